/**
 * What `tracecar install` is told by flags and `TRACECAR_*` variables. Plain data in and out.
 *
 * The image is required until there is a release to take one from: a guessed reference would be found
 * missing by a kubelet, minutes later and far from the person who typed the command.
 */

import { type Environment, type Flag, readFlags, UsageError } from '../../src/main/flags.ts';
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
  /** Empty without a viewer: nobody exports spans but pods that name a collector themselves. */
  readonly otlpEndpoint: string;
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
    otlpEndpoint: readEndpoint(one('otlp-endpoint')) || (hasViewer ? viewerEndpoint : ''),
  };
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
