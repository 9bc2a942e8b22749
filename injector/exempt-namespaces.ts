/**
 * The namespaces whose pods never get a sidecar: those of Kubernetes itself, and the injector's own.
 *
 * The webhook's configuration does not ask about them and the injector answers as if it did: what the
 * cluster needs to start must never wait for us.
 */

const systemNamespaces = ['kube-system', 'kube-public', 'kube-node-lease'];

/** Where `tracecar install` puts the injector. */
export const usualNamespace = 'tracecar-system';

/** `own` is the namespace that the injector runs in (`--namespace`). */
export function exemptNamespaces(own: string = usualNamespace): readonly string[] {
  return [...systemNamespaces, own];
}
