/**
 * Names, paths and ports of what injection adds to a pod.
 *
 * The sidecar, `tracecar init` and the webhook meet in these; a user's own container or volume must
 * not have one of them, which `decide` checks.
 */

import { statusKey } from './annotations.ts';
import { isObject, type Pod } from './pod.ts';

export const initName = 'tracecar-init';
export const sidecarName = 'tracecar-proxy';

export const volumeNames = Object.freeze({
  config: 'tracecar-config',
  /** In memory: the key and what belongs to it. */
  identity: 'tracecar-identity',
  preload: 'tracecar-preload',
  temporary: 'tracecar-tmp',
  token: 'tracecar-token',
  /** Followed by the position of the Secret in its list. */
  tlsPrefix: 'tracecar-tls-',
});

export const paths = Object.freeze({
  config: '/etc/tracecar/config',
  tls: '/etc/tracecar/tls',
  identity: '/var/run/tracecar/identity',
  token: '/var/run/secrets/tracecar',
  preload: '/tracecar/preload',
  temporary: '/tmp',
  /** In a volume that only the sidecar mounts. */
  drainSecret: '/tmp/tracecar-drain-secret',
});

export const ports = Object.freeze({ health: 15_021, merged: 15_020, metrics: 15_090 });

/** Ports that an application cannot have: ours, and those that the peers keep for the same. */
export const reservedPorts: readonly number[] = [
  15_000, 15_001, 15_006, 15_020, 15_021, 15_022, 15_053, 15_090,
];

/** Carries the secret by which the health port knows the kubelet (src/admin/health-server.ts). */
export const drainSecretHeader = 'x-tracecar-drain-secret';

/** The sidecar's user; connections of this user are not captured. */
export const sidecarUid = 1337;

/** Volumes on the node's disk that do not keep the autoscaler from moving the pod. */
export const safeToEvictKey = 'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes';

/** True for the name of a volume that injection may add. */
export function isOurVolume(name: string): boolean {
  const { tlsPrefix, ...whole } = volumeNames;
  return Object.values(whole).some((each) => each === name) || name.startsWith(tlsPrefix);
}

/** What the status annotation says; undefined when there is none that we wrote. */
export interface InjectionStatus {
  readonly version: string;
  /** Of everything that was added but the pod's own secret: equal hashes are equal injections. */
  readonly hash: string;
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
  /** Annotations that were added beside the status. */
  readonly annotations: readonly string[];
  /** Labels that were added. */
  readonly labels?: readonly string[];
  /** Annotations that were changed, as they were; null: there was none. */
  readonly replaced?: Readonly<Record<string, string | null>>;
}

/** Reads the status annotation of a pod. */
export function readStatus(pod: Pod): InjectionStatus | undefined {
  const text = pod.metadata?.annotations?.[statusKey];
  if (text === undefined || text.length > 4_096) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value) || typeof value.version !== 'string') return undefined;
    const { version, hash, containers, volumes, annotations, labels, replaced } = value;
    return {
      version,
      hash: typeof hash === 'string' ? hash : '',
      containers: textsOf(containers),
      volumes: textsOf(volumes),
      annotations: textsOf(annotations),
      labels: textsOf(labels),
      replaced: replacedOf(replaced),
    };
  } catch {
    return undefined;
  }
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function replacedOf(value: unknown): Readonly<Record<string, string | null>> {
  if (!isObject(value)) return {};
  const known = Object.entries(value).filter(([, old]) => old === null || typeof old === 'string');
  return Object.fromEntries(known) as Record<string, string | null>;
}

/** Whether the pod carries an injection of ours, of this version or an older one. */
export function isInjected(pod: Pod): boolean {
  return readStatus(pod)?.containers.includes(sidecarName) ?? false;
}
