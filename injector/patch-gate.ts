/**
 * The gate of a pod: which container starts after which, and what holds the application back.
 *
 *   tracecar-proxy starts -> tracecar-init: writes the rules, waits until the proxy is ready, ends
 *                         -> the init containers of the user -> the application
 *
 * The kubelet goes on at once when a native sidecar without a startup probe runs, and so the sidecar
 * starts while the rules are written. A startup probe or a postStart hook in its place would make two
 * waits of one: the kubelet sees the end of an init container only when it next looks, once a second.
 */

import type { Container } from './pod.ts';

/** A sidecar that needs longer is broken; `tracecar init` then ends with what it said last. */
const awaitProxySeconds = 60;

/** Arguments of `tracecar init` that hold the others back. */
export const gateArguments: readonly string[] = ['--await-proxy', String(awaitProxySeconds)];

/** The init containers of a pod in the order in which they start. */
export function startOrder(
  init: Container,
  sidecar: Container,
  ofUser: readonly Container[],
): readonly Container[] {
  return [sidecar, init, ...ofUser];
}
