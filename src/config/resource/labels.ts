/**
 * Labels: what is asked of the labels of workloads, by selectors and by ourselves.
 */

import type { Labels } from './values.ts';

/** On what a sidecar of the mesh stands before; its value is then `istio`. */
export const sidecarLabel = 'security.istio.io/tlsMode';

/** Whether `own` has every one of the `wanted` labels. */
export function carries(own: Labels, wanted: Labels): boolean {
  return Object.keys(wanted).every((key) => own[key] === wanted[key]);
}

/** With the labels that Istio's injection gives to pods, which selectors written for it may name. */
export function withCanonical(labels: Labels): Labels {
  const name = labels['app.kubernetes.io/name'] ?? labels.app;
  const revision = labels['app.kubernetes.io/version'] ?? labels.version ?? 'latest';
  return {
    ...(name === undefined ? {} : { 'service.istio.io/canonical-name': name }),
    'service.istio.io/canonical-revision': revision,
    ...labels,
  };
}

/** Whether labels say that a sidecar of the mesh stands before the workload. */
export function hasSidecar(labels: Labels): boolean {
  return labels[sidecarLabel] === 'istio';
}

/** `app=reviews,version=v1`. */
export function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? 'without labels' : pairs.join(',');
}
