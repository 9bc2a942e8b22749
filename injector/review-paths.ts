/**
 * Where each webhook of the MutatingWebhookConfiguration asks. The path tells what the API server knew
 * when it asked, which its review does not say.
 */

export const reviewPaths = Object.freeze({
  /** A pod whose namespace has the label `tracecar.dev/inject: enabled`. */
  pods: '/inject/pods',
  /** A pod of another namespace that has names of ours itself. */
  askingPods: '/inject/asking-pods',
  namespaces: '/inject/namespaces',
});
