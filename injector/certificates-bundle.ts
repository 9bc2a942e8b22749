/**
 * The caBundle of a MutatingWebhookConfiguration: is it ours to fill, and what has to change.
 *
 * Pure. The patch names places in a list, so it begins with a test of the version that was read.
 */

import type { KubeObject } from '../src/kube/kube-object.ts';
import { isObject } from './pod.ts';

/** Whether cert-manager was asked to write the bundle. */
export function isFilledByOthers({ metadata }: KubeObject): boolean {
  return Object.keys(metadata.annotations ?? {}).some((key) =>
    key.startsWith('cert-manager.io/inject-'),
  );
}

export interface BundleOperation {
  readonly op: 'test' | 'add';
  readonly path: string;
  readonly value: string;
}

/** The JSON Patch that makes every webhook trust `caPem`; empty when all do. */
export function bundlePatch(configuration: KubeObject, caPem: string): BundleOperation[] {
  const wanted = Buffer.from(caPem, 'utf8').toString('base64');
  const webhooks = Array.isArray(configuration.webhooks) ? configuration.webhooks : [];
  const operations: BundleOperation[] = [];
  webhooks.forEach((webhook: unknown, index) => {
    const target = isObject(webhook) ? webhook.clientConfig : undefined;
    if (!isObject(target) || target.caBundle === wanted) return;
    // `add` to a member that exists replaces it (RFC 6902 4.1).
    const path = `/webhooks/${index}/clientConfig/caBundle`;
    operations.push({ op: 'add', path, value: wanted });
  });
  if (operations.length === 0) return [];
  const version = configuration.metadata.resourceVersion ?? '';
  return [{ op: 'test', path: '/metadata/resourceVersion', value: version }, ...operations];
}
