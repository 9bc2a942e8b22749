/**
 * Who a pod works for: the workload, the service name of its spans and their resource attributes.
 *
 * Order and names: OpenTelemetry's conventions for Kubernetes (reference/tracing.md 2.4). What is
 * known only later (name, address and node of the pod) stands as `$(VARIABLE)` for the kubelet.
 */

import type { Container, Pod, TextMap } from './pod.ts';

export interface Workload {
  /** Deployment, ReplicaSet, StatefulSet, DaemonSet, CronJob, Job, Pod or a kind of somebody's own. */
  readonly kind: string;
  readonly name: string;
}

const attributePrefix = 'resource.opentelemetry.io/';
/** Names the application for kubectl, and for us. */
export const defaultContainerKey = 'kubectl.kubernetes.io/default-container';

/** The workload behind a pod, as far as the pod itself tells. */
export function workloadOf(pod: Pod): Workload {
  const { metadata } = pod;
  const owners = metadata?.ownerReferences ?? [];
  const owner = owners.find(({ controller }) => controller === true) ?? owners[0];
  const kind = owner?.kind ?? '';
  const name = owner?.name ?? '';
  if (kind === '' || name === '') {
    // generateName ends with a hyphen; the rest is all that is known before the pod exists.
    const known = metadata?.name || (metadata?.generateName ?? '').replace(/-+$/, '');
    return { kind: 'Pod', name: known };
  }
  const hash = metadata?.labels?.['pod-template-hash'] ?? '';
  if (kind === 'ReplicaSet' && hash !== '' && name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: name.slice(0, -hash.length - 1) };
  }
  // A CronJob names its Jobs after the minute they were due, counted from 1970.
  const minute = kind === 'Job' ? /^(.+)-\d{8,10}$/.exec(name) : null;
  return minute === null ? { kind, name } : { kind: 'CronJob', name: minute[1]! };
}

/** The container that people mean by "the application": named by annotation, else the first. */
export function applicationOf(pod: Pod): Container | undefined {
  const containers = pod.spec.containers ?? [];
  const wanted = pod.metadata?.annotations?.[defaultContainerKey];
  return containers.find(({ name }) => name === wanted) ?? containers[0];
}

/** OTEL_SERVICE_NAME; never empty. */
export function serviceName(pod: Pod, workload: Workload): string {
  const annotated = pod.metadata?.annotations?.[`${attributePrefix}service.name`];
  return annotated || workload.name || applicationOf(pod)?.name || 'unknown_service';
}

const workloadAttributes: Readonly<Record<string, string>> = {
  Deployment: 'k8s.deployment.name',
  ReplicaSet: 'k8s.replicaset.name',
  StatefulSet: 'k8s.statefulset.name',
  DaemonSet: 'k8s.daemonset.name',
  CronJob: 'k8s.cronjob.name',
  Job: 'k8s.job.name',
};

/**
 * OTEL_RESOURCE_ATTRIBUTES as the `value` of an environment variable: values percent-encoded, with
 * `$(POD_NAME)`, `$(POD_NAMESPACE)`, `$(POD_UID)`, `$(POD_IP)` and `$(NODE_NAME)` for the kubelet.
 */
export function resourceAttributes(pod: Pod, workload: Workload): string {
  const annotations = pod.metadata?.annotations ?? {};
  const application = applicationOf(pod);
  const container = encoded(application?.name ?? '');
  const owner = Object.hasOwn(workloadAttributes, workload.kind)
    ? workloadAttributes[workload.kind]
    : undefined;
  const attributes = new Map<string, string>([
    ['service.namespace', '$(POD_NAMESPACE)'],
    ['service.instance.id', `$(POD_NAMESPACE).$(POD_NAME).${container}`],
    ['k8s.namespace.name', '$(POD_NAMESPACE)'],
    ['k8s.pod.name', '$(POD_NAME)'],
    ['k8s.pod.uid', '$(POD_UID)'],
    ['k8s.pod.ip', '$(POD_IP)'],
    ['k8s.node.name', '$(NODE_NAME)'],
    ['k8s.container.name', container],
  ]);
  const version = versionOf(pod.metadata?.labels ?? {}, application);
  if (version !== '') attributes.set('service.version', encoded(version));
  if (owner !== undefined) attributes.set(owner, encoded(workload.name));
  // Sorted, because the API server gives maps back in an order of its own.
  for (const [key, value] of Object.entries(annotations).toSorted()) {
    const name = key.startsWith(attributePrefix) ? key.slice(attributePrefix.length) : '';
    if (/^[\w.-]{1,255}$/.test(name) && name !== 'service.name') {
      attributes.set(name, encoded(value));
    }
  }
  return [...attributes].map(([key, value]) => `${key}=${value}`).join(',');
}

/** As the specification of OTEL_RESOURCE_ATTRIBUTES wants values; a lone surrogate has no form. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** The label that says it, else tag and digest of the application's image. */
function versionOf(labels: TextMap, application: Container | undefined): string {
  const label = labels['app.kubernetes.io/version'];
  if (label) return label;
  const image = /^[^@]*?(?::([^/:@]+))?(@.*)?$/.exec(application?.image ?? '');
  return `${image?.[1] ?? ''}${image?.[2] ?? ''}`;
}

/** A text as the `value` of an environment variable: the kubelet must not expand `$(...)` in it. */
export function literalValue(text: string): string {
  return text.replaceAll('$', '$$$$');
}
