/**
 * Host names: how a name written in a resource becomes a full name, and which names lead to a service.
 *
 * As in Istio, a name without a dot belongs to the resource's own namespace:
 * `reviews` in namespace `default` is `reviews.default.svc.cluster.local`.
 */

import { isIP } from 'node:net';

const SUFFIX = '.svc.cluster.local';

/** The full name of a host written in a resource of `namespace`. */
export function fullName(written: string, namespace: string): string {
  if (written.includes('.') || written === '*' || isIP(written) !== 0) return written;
  return `${written}.${namespace}${SUFFIX}`;
}

/** The full name of a Kubernetes service. */
export function kubernetesHost(name: string, namespace: string): string {
  return `${name}.${namespace}${SUFFIX}`;
}

/** Name and namespace of a Kubernetes service's full name; undefined for other names. */
export function kubernetesName(host: string): { name: string; namespace: string } | undefined {
  if (!host.endsWith(SUFFIX)) return undefined;
  const [name, namespace, ...more] = host.slice(0, -SUFFIX.length).split('.');
  if (!name || !namespace || more.length > 0 || name === '*') return undefined;
  return { name, namespace };
}

/** The shorter names by which a workload of `namespace` may call a Kubernetes service, or a pod of one. */
export function shortForms(host: string, namespace: string): readonly string[] {
  if (!host.endsWith(SUFFIX) || isWildcard(host)) return [];
  const inside = host.slice(0, -SUFFIX.length);
  const dot = inside.lastIndexOf('.');
  if (dot <= 0) return [];
  const forms = [`${inside}.svc`, inside];
  return inside.slice(dot + 1) === namespace ? [...forms, inside.slice(0, dot)] : forms;
}

export function isWildcard(host: string): boolean {
  return host.startsWith('*');
}

/** Whether `pattern` (a name, `*.suffix`, `*`) covers `host`, which may be a wildcard itself. */
export function covers(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  if (!isWildcard(pattern)) return false;
  const suffix = pattern.slice(1);
  const rest = isWildcard(host) ? host.slice(1) : host;
  return rest.endsWith(suffix) && (isWildcard(host) || rest.length > suffix.length);
}
