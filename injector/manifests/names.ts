/**
 * Names and labels that the objects of an installation share. They are fixed: one Tracecar a cluster.
 */

import { usualNamespace } from '../exempt-namespaces.ts';
import { trustBundleName } from '../trust-bundle-name.ts';

export const systemNamespace = usualNamespace;
export const injectorName = 'tracecar-injector';
export const viewerName = 'tracecar-view';
export const injectorSecret = 'tracecar-injector-tls';
/** Also the name of its service account: part of the id by which sidecars know it. */
export const authorityName = 'tracecar-ca';
export const authorityPort = 15_010;
export const authorityAddress = `${authorityName}.${systemNamespace}.svc:${authorityPort}`;
/** Objects that the authority makes and keeps (src/main/ca-kube-store.ts). */
export const authoritySecret = 'tracecar-ca-state';
export const authorityMaps = ['tracecar-ca-sidecars', trustBundleName] as const;
export const viewerEndpoint = `http://${viewerName}.${systemNamespace}:4318`;

/** An object of Kubernetes as it is written into a manifest. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** Labels of an object; `name` is the program that it belongs to. */
export function labelsOf(name: string, version: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': name,
    'app.kubernetes.io/part-of': 'tracecar',
    'app.kubernetes.io/version': version,
  };
}

/** What selects the pods of a program; never changes, because a Deployment's selector cannot. */
export function selectorOf(name: string): Record<string, string> {
  return { 'app.kubernetes.io/name': name };
}
