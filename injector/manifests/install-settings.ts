/**
 * What `tracecar install` is told by flags and `TRACECAR_*` variables. Plain data in and out.
 *
 * The image is required until there is a release to take one from: a guessed reference would be found
 * missing by a kubelet, minutes later and far from the person who typed the command.
 */

import { type Environment, type Flag, readFlags, UsageError } from '../../src/main/flags.ts';
import { usualTrustDomain } from '../../src/model/security.ts';
import { readName } from '../annotation-values.ts';
import { readTrustDomain } from '../settings.ts';
import { viewerEndpoint } from './names.ts';

const pullPolicies = ['Always', 'IfNotPresent', 'Never'] as const;
const replicasMax = 9;

export interface InstallSettings {
  readonly image: string;
  readonly imagePullPolicy: (typeof pullPolicies)[number];
  /** Of the injector. One has no disruption budget: a budget lets one go, and there is no other. */
  readonly replicas: number;
  readonly hasViewer: boolean;
  readonly propagation: 'node' | 'off';
  /** Undefined: no authority is installed, and pods get no identity. */
  readonly identity: InstalledIdentity | undefined;
  /** Empty without a viewer: nobody exports spans but pods that name a collector themselves. */
  readonly otlpEndpoint: string;
}

export interface InstalledIdentity {
  readonly trustDomain: string;
  /** Secret with an issuer from outside (tls.crt, tls.key, ca.crt); empty: the authority makes its own. */
  readonly issuerSecret: string;
}

export const installFlags: readonly Flag[] = [
  {
    name: 'image',
    value: 'REF',
    otherwise: '',
    help: 'image of all programs, built from the Dockerfile; required',
  },
  {
    name: 'image-pull-policy',
    value: 'POLICY',
    choices: pullPolicies,
    otherwise: 'IfNotPresent',
    help: 'of the injector, the viewer and every sidecar',
  },
  {
    name: 'replicas',
    value: 'NUMBER',
    otherwise: '2',
    help: 'of the injector; pods of annotated namespaces wait while none is ready',
  },
  {
    name: 'viewer',
    value: '',
    otherwise: '',
    help: 'also `tracecar view` as a Service: traces in memory, page on 16686',
  },
  {
    name: 'propagation',
    value: 'off|node',
    choices: ['off', 'node'],
    otherwise: 'off',
    help: 'the preload for Node.js where neither pod nor namespace says',
  },
  {
    name: 'identity',
    value: 'on|off',
    choices: ['on', 'off'],
    otherwise: 'on',
    help: 'on: an authority gives every sidecar an identity, and sidecars speak mutual TLS',
  },
  {
    name: 'trust-domain',
    value: 'NAME',
    otherwise: usualTrustDomain,
    help: 'of every identity; cannot be changed later',
  },
  {
    name: 'issuer-secret',
    value: 'NAME',
    otherwise: 'its own root',
    help: 'Secret of tracecar-system with an issuer from outside, as of cert-manager',
  },
  {
    name: 'otlp-endpoint',
    value: 'URL',
    otherwise: 'the viewer, if there is one',
    help: 'where sidecars and injector send spans (OTLP over HTTP)',
  },
];

export const uninstallFlags: readonly Flag[] = [];

/** Reads flags and environment. Throws UsageError with one line about the first mistake. */
export function readInstallSettings(
  args: readonly string[],
  environment: Environment,
): InstallSettings {
  const { values } = readFlags(installFlags, args, environment);
  const one = (name: string) => values.get(name)?.[0];
  const hasViewer = values.has('viewer');
  const policy = pullPolicies.find((each) => each === one('image-pull-policy'));
  return {
    image: readImage(one('image')),
    imagePullPolicy: policy ?? 'IfNotPresent',
    replicas: readReplicas(one('replicas') ?? '2'),
    hasViewer,
    propagation: one('propagation') === 'node' ? 'node' : 'off',
    identity: readIdentity(one),
    otlpEndpoint: readEndpoint(one('otlp-endpoint')) || (hasViewer ? viewerEndpoint : ''),
  };
}

function readIdentity(one: (name: string) => string | undefined): InstalledIdentity | undefined {
  if (one('identity') === 'off') {
    const name = ['trust-domain', 'issuer-secret'].find((each) => one(each) !== undefined);
    if (name === undefined) return undefined;
    throw new UsageError(`--${name} is of no use with --identity off`);
  }
  const issuerSecret = one('issuer-secret') ?? '';
  if (issuerSecret !== '' && 'problem' in readName(issuerSecret)) {
    throw new UsageError(`--issuer-secret is the name of a Secret, not '${issuerSecret}'`);
  }
  return { trustDomain: readTrustDomain(one('trust-domain') ?? usualTrustDomain), issuerSecret };
}

function readImage(text: string | undefined): string {
  if (text === undefined) {
    throw new UsageError(
      'needs --image REF: there is no released image yet; build one with the Dockerfile and name it',
    );
  }
  if (/^[\w][\w.\-/:@]{0,511}$/.test(text)) return text;
  throw new UsageError(`--image is an image reference such as registry/tracecar:1, not '${text}'`);
}

function readReplicas(text: string): number {
  const replicas = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (replicas >= 1 && replicas <= replicasMax) return replicas;
  throw new UsageError(`--replicas is 1 to ${replicasMax}, not '${text}'`);
}

function readEndpoint(text: string | undefined): string {
  if (text === undefined) return '';
  if (/^https?:\/\/[\x21-\x7e]{1,2000}$/.test(text) && URL.canParse(text)) {
    return text.replace(/\/+$/, '');
  }
  throw new UsageError(
    `--otlp-endpoint is a URL such as http://collector.observability:4318, not '${text}'`,
  );
}
