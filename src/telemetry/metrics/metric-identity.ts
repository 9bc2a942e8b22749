/**
 * Who a process is, as metrics say it in labels: from the resource of its spans.
 */

export interface MetricIdentity {
  /** As on spans. */
  readonly service: string;
  readonly namespace: string;
  /** Empty: unknown, as below. */
  readonly workload: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
  /** SPIFFE id that it proves. */
  readonly principal: string;
  /** Methods that may be named; undefined: all. */
  readonly knownMethods: readonly string[] | undefined;
}

/** `resource`: its attributes; `labels`: of the workload; `principal`: '' without an identity. */
export function metricIdentity(
  resource: Readonly<Record<string, string>>,
  labels: Readonly<Record<string, string>>,
  knownMethods: readonly string[] | undefined,
  principal = '',
): MetricIdentity {
  const service = resource['service.name'] ?? '';
  const first = (...keys: readonly string[]) =>
    keys.map((key) => resource[key]).find((value) => value !== undefined);
  const workload = first(
    'k8s.deployment.name',
    'k8s.statefulset.name',
    'k8s.daemonset.name',
    'k8s.cronjob.name',
    'k8s.job.name',
  );
  return {
    service,
    namespace: first('k8s.namespace.name', 'service.namespace') ?? '',
    workload: workload ?? service,
    app: labels.app ?? labels['app.kubernetes.io/name'] ?? service,
    version: labels.version ?? first('service.version') ?? '',
    cluster: first('k8s.cluster.name') ?? '',
    principal,
    knownMethods,
  };
}
