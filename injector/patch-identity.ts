/**
 * What a pod needs to have an identity: a token that says who it is, a folder for its key, the roots.
 *
 *   kubelet ── projected token (audience of the authority) ──► sidecar ── signing request ──► authority
 *
 * Only the sidecar mounts either volume. The kubelet gives a token that is asked for with mode 0400 to
 * root, and the sidecar is user 1337 beside an init container that is root: so it is 0444, in a volume
 * that nobody else has. The label tells callers that mutual TLS is spoken here; a pod that has the
 * label with a word of its own keeps it.
 */

import type { InjectionOptions } from './annotations.ts';
import type { InjectionSettings } from './patch.ts';
import { paths, volumeNames } from './patch-names.ts';
import { literalValue } from './patch-workload.ts';
import type { EnvVariable, TextMap, Volume, VolumeMount } from './pod.ts';

/** Where identities come from; the same for every pod. */
export interface IdentitySettings {
  /** `HOST:PORT` of the authority that signs. */
  readonly authority: string;
  readonly trustDomain: string;
  /** PEM: the roots by which the authority and all peers are verified. */
  readonly trustBundle: string;
}

/** Whom a token is for: the authority takes no other one. */
const audience = 'tracecar.dev/ca';
/** The kubelet renews it at four fifths. */
const tokenSeconds = 600;

export const meshLabel = Object.freeze({ key: 'security.istio.io/tlsMode', value: 'istio' });

/** The identity that a pod gets; undefined for none. */
export function identityOf(
  settings: InjectionSettings,
  options: InjectionOptions,
): IdentitySettings | undefined {
  return options.identity === 'on' ? settings.identity : undefined;
}

export function identityArguments({ authority, trustDomain }: IdentitySettings): string[] {
  return [
    ...['--identity', authority],
    ...['--trust-domain', trustDomain],
    ...['--token', `${paths.token}/${tokenFile}`],
    ...['--identity-dir', paths.identity],
  ];
}

const tokenFile = 'token';

export function identityEnv({ trustBundle }: IdentitySettings): EnvVariable[] {
  const fieldRef = { apiVersion: 'v1', fieldPath: 'spec.serviceAccountName' };
  return [
    { name: 'TRACECAR_SERVICE_ACCOUNT', valueFrom: { fieldRef } },
    { name: 'TRACECAR_TRUST_BUNDLE', value: literalValue(trustBundle) },
  ];
}

export const identityMounts: readonly VolumeMount[] = [
  { name: volumeNames.token, mountPath: paths.token, readOnly: true },
  { name: volumeNames.identity, mountPath: paths.identity },
];

export const identityVolumes: readonly Volume[] = [
  {
    name: volumeNames.token,
    projected: {
      defaultMode: 0o444,
      sources: [
        { serviceAccountToken: { audience, expirationSeconds: tokenSeconds, path: tokenFile } },
      ],
    },
  },
  // In memory: a private key is never on a disk, and outlives a restart of the sidecar.
  { name: volumeNames.identity, emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
];

/** Labels that the injection adds to those of the pod. */
export function identityLabels(labels: TextMap): TextMap {
  return Object.hasOwn(labels, meshLabel.key) ? {} : { [meshLabel.key]: meshLabel.value };
}
