/**
 * The startup gate: the application's containers start when the sidecar listens, not before.
 *
 * The kubelet starts the next container when a native sidecar's startup probe has passed. A postStart
 * hook by HTTP cannot do it: the hook runs once, at once, and its failure restarts the container.
 */

import { ports } from './patch-names.ts';

/** Fields of the sidecar's container that hold the others back. */
export function startupGate(): Readonly<Record<string, unknown>> {
  return {
    startupProbe: {
      httpGet: { path: '/healthz/ready', port: ports.health, scheme: 'HTTP' },
      periodSeconds: 1,
      timeoutSeconds: 3,
      successThreshold: 1,
      failureThreshold: 120,
    },
  };
}
