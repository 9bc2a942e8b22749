/**
 * Kubernetes objects as the tests read them: the fields they look at, all else by its JSON.
 *
 * These are no schemas: the API server is real, and what it answers is taken as it comes.
 */

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason?: string;
  readonly message?: string;
  readonly lastTransitionTime?: string;
}

export interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly [field: string]: unknown;
}

export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly started?: boolean;
  readonly restartCount: number;
  readonly state: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: { readonly startedAt: string };
    readonly terminated?: { readonly exitCode: number; readonly reason?: string };
  };
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly replicas?: number;
    readonly clusterIP?: string;
    readonly containers?: readonly ContainerSpec[];
    readonly initContainers?: readonly ContainerSpec[];
    readonly [field: string]: unknown;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly Condition[];
    readonly containerStatuses?: readonly ContainerStatus[];
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
    readonly availableReplicas?: number;
    readonly [field: string]: unknown;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export function hasCondition(object: KubernetesObject | undefined, type: string): boolean {
  const conditions = object?.status?.conditions ?? [];
  return conditions.some((each) => each.type === type && each.status === 'True');
}

/** Why a pod will not become ready by waiting; undefined while it may. */
export function failureOf(pod: KubernetesObject | undefined): string | undefined {
  if (pod === undefined) return undefined;
  if (pod.status?.phase === 'Failed') return `the pod failed: ${JSON.stringify(pod.status)}`;
  const statuses = [
    ...(pod.status?.initContainerStatuses ?? []),
    ...(pod.status?.containerStatuses ?? []),
  ];
  for (const { name, state } of statuses) {
    const reason = state.waiting?.reason ?? '';
    const isFinal =
      /^(CrashLoopBackOff|ErrImageNeverPull|InvalidImageName|CreateContainer\w*Error)/;
    if (isFinal.test(reason)) return `container ${name}: ${reason} ${state.waiting?.message ?? ''}`;
  }
  return undefined;
}

/** Every replica of the newest template is available and no other is left: `rollout status`. */
export function isRolledOut(deployment: KubernetesObject | undefined): boolean {
  const wanted = deployment?.spec?.replicas ?? 1;
  const { observedGeneration, replicas, updatedReplicas, availableReplicas } =
    deployment?.status ?? {};
  return (
    deployment !== undefined &&
    (observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0) &&
    (updatedReplicas ?? 0) === wanted &&
    (replicas ?? 0) === wanted &&
    (availableReplicas ?? 0) === wanted
  );
}
