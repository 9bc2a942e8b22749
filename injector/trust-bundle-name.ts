/**
 * Where the roots of the mesh stand in a cluster: written by the authority (src/main/ca-kube-store.ts),
 * read by the injector.
 */

/** A ConfigMap of the injector's namespace. */
export const trustBundleName = 'tracecar-trust-bundle';
/** The key of the roots in it, PEM. */
export const trustBundleKey = 'roots.pem';
