/**
 * The decision: whether a pod gets a sidecar, and why or why not. Pure; it changes nothing.
 *
 * First hit wins (reference/interception-and-injection.md 1.3): what can never carry a sidecar, what
 * has one already, the pod's own word, the namespace's word, nothing. Values are strict: a word that
 * is not understood refuses the pod with the reason, because a pod without its sidecar is a silent
 * hole in the mesh.
 */

import { shown } from '../src/base/port-list.ts';
import {
  injectKey,
  keyPrefix,
  readOptions,
  unknownAnnotations,
  unknownLabels,
} from './annotations.ts';
import { exemptNamespaces } from './exempt-namespaces.ts';
import { scrapeWarnings } from './merge-metrics.ts';
import type { InjectionSettings } from './patch.ts';
import {
  initName,
  isInjected,
  isOurVolume,
  reservedPorts,
  sidecarName,
  sidecarUid,
  volumeNames,
} from './patch-names.ts';
import { withoutInjection } from './patch-strip.ts';
import type { Container, NamespaceFacts, Pod } from './pod.ts';
import { probeWarnings } from './probes.ts';
import { propagationWarnings } from './propagation.ts';

export interface Decision {
  readonly inject: boolean;
  /** The pod must not be created as it is: the webhook answers allowed: false with `reason`. */
  readonly refuse: boolean;
  /** One sentence without a full stop, for people. */
  readonly reason: string;
  /** For `warnings` of the review, each with the prefix `tracecar: `; never empty for a skip. */
  readonly warnings: readonly string[];
}

/** Decides about a pod that is being created in a namespace. */
export function decide(pod: Pod, namespace: NamespaceFacts, settings: InjectionSettings): Decision {
  const impossible = whyImpossible(pod, namespace, settings) || whyAlreadyMeshed(pod);
  if (impossible !== '') return skip(impossible);
  const labels = pod.metadata?.labels ?? {};
  const annotations = pod.metadata?.annotations ?? {};
  const unknown = [...unknownLabels(labels, 'pod'), ...unknownAnnotations(annotations, 'pod')];
  // Also where nothing asks for a sidecar: the misspelt name may be the wish for one.
  if (unknown.length > 0) return refuse(unknown[0]!);
  const wish = wishOf(pod, namespace);
  if (wish.value === undefined) return refuse(wish.reason);
  if (wish.value === 'disabled') return skip(wish.reason);
  const plain = isInjected(pod) ? withoutInjection(pod) : pod;
  const read = readOptions(plain.metadata?.annotations ?? {}, namespace.annotations, settings);
  if ('problem' in read) return refuse(read.problem);
  const misplaced = unknownLabels(namespace.labels, 'namespace');
  if (misplaced.length > 0) return refuse(misplaced[0]!);
  const obstacle = whyUnsafe(plain);
  if (obstacle !== '') return refuse(obstacle);
  const warnings = [
    ...podSecurityWarnings(namespace),
    ...dnsWarnings(plain, read.options.identity),
    ...probeWarnings(plain),
    ...(read.options.mergeMetrics === 'on' ? scrapeWarnings(plain) : []),
    ...drainWarnings(plain, read.options.drainSeconds),
    ...(read.options.propagation === 'node'
      ? propagationWarnings(plain.spec.containers ?? [])
      : []),
  ];
  return {
    inject: true,
    refuse: false,
    reason: wish.reason,
    warnings: warnings.map((each) => `tracecar: ${each}`),
  };
}

function skip(reason: string): Decision {
  const warnings = [`tracecar: no sidecar: ${reason}`];
  return { inject: false, refuse: false, reason, warnings };
}

function refuse(reason: string): Decision {
  return { inject: false, refuse: true, reason, warnings: [`tracecar: refused: ${reason}`] };
}

function whyImpossible(
  pod: Pod,
  namespace: NamespaceFacts,
  { exempt = exemptNamespaces() }: InjectionSettings,
): string {
  if (pod.spec.hostNetwork === true) {
    return 'the pod is in the network of its node (hostNetwork), whose traffic is not ours to redirect';
  }
  if (pod.spec.os?.name === 'windows') return 'the pod runs on Windows, the sidecar on Linux';
  if (Object.hasOwn(pod.metadata?.annotations ?? {}, 'kubernetes.io/config.mirror')) {
    return 'the pod is static: its node runs it from a file and ignores changes';
  }
  if (exempt.includes(namespace.name)) {
    return `${namespace.name} is a system namespace, which is never meshed`;
  }
  return '';
}

function whyAlreadyMeshed(pod: Pod): string {
  const foreign = ['istio-proxy', 'linkerd-proxy'];
  const taken = isInjected(pod) ? foreign : [...foreign, sidecarName, initName];
  const found = everyContainer(pod).find(({ name }) => taken.includes(name));
  if (found === undefined) return '';
  return `the pod has a container named ${found.name} already, which is not ours to refresh`;
}

interface Wish {
  /** Undefined: the word is not understood. */
  readonly value: 'enabled' | 'disabled' | undefined;
  readonly reason: string;
}

/** The word that counts: labels before annotations, the pod before its namespace. */
function wishOf(pod: Pod, namespace: NamespaceFacts): Wish {
  const places = [
    ['label of the pod', pod.metadata?.labels],
    ['annotation of the pod', pod.metadata?.annotations],
    ['label of the namespace', namespace.labels],
    ['annotation of the namespace', namespace.annotations],
  ] as const;
  for (const [place, map] of places) {
    if (!map || !Object.hasOwn(map, injectKey)) continue;
    const word = map[injectKey]!;
    if (word === 'enabled' || word === 'disabled') {
      return { value: word, reason: `the ${place} says ${injectKey}: ${word}` };
    }
    const reason = `${injectKey} is enabled or disabled, but the ${place} says '${shown(word)}'`;
    return { value: undefined, reason };
  }
  return { value: 'disabled', reason: `neither pod nor namespace says ${injectKey}: enabled` };
}

/** What would let traffic past the sidecar or take a name of ours. */
function whyUnsafe(plain: Pod): string {
  const podUser = plain.spec.securityContext?.runAsUser;
  for (const container of everyContainer(plain)) {
    if ((container.securityContext?.runAsUser ?? podUser) === sidecarUid) {
      return `container ${container.name} runs as user ${sidecarUid}, the sidecar's: its traffic would pass by`;
    }
    const port = container.ports?.find(
      ({ containerPort, protocol }) =>
        (protocol ?? 'TCP') === 'TCP' && reservedPorts.includes(containerPort ?? 0),
    );
    if (port !== undefined) {
      return `container ${container.name} has port ${port.containerPort}, which belongs to the sidecar`;
    }
  }
  const volume = plain.spec.volumes?.find(({ name }) => isOurVolume(name));
  if (volume !== undefined) return `the volume name ${volume.name} belongs to the sidecar`;
  const mounts = everyContainer(plain).flatMap((each) => each.volumeMounts ?? []);
  const secret = mounts.find(({ name }) => secretVolumes.includes(name));
  return secret === undefined ? '' : `only the sidecar mounts the volume ${secret.name}`;
}

/** Who mounts these can be who the pod is. */
const secretVolumes: readonly string[] = [volumeNames.token, volumeNames.identity];

function everyContainer(pod: Pod): readonly Container[] {
  return [...(pod.spec.initContainers ?? []), ...(pod.spec.containers ?? [])];
}

/** Pod Security judges after us, and refuses; only we know what for. */
function podSecurityWarnings(namespace: NamespaceFacts): string[] {
  const level = namespace.labels['pod-security.kubernetes.io/enforce'];
  if (level !== 'baseline' && level !== 'restricted') return [];
  return [
    `namespace ${namespace.name} enforces Pod Security ${level}, which refuses NET_ADMIN of ${initName}`,
  ];
}

function dnsWarnings(plain: Pod, identity: 'on' | 'off'): string[] {
  const policy = plain.spec.dnsPolicy ?? 'ClusterFirst';
  if (policy.startsWith('ClusterFirst')) return [];
  if (identity === 'on') {
    return [
      `dnsPolicy ${shown(policy)}: if tracecar-ca does not resolve the pod is never ready; or ${keyPrefix}identity: off`,
    ];
  }
  return [`dnsPolicy ${shown(policy)}: names of the cluster may not resolve for the sidecar`];
}

const graceSecondsUsual = 30;

/** The kubelet's patience is the whole pod's: when it is over, the sidecar is killed in its drain. */
function drainWarnings(plain: Pod, drainSeconds: number): string[] {
  const graceSeconds = plain.spec.terminationGracePeriodSeconds ?? graceSecondsUsual;
  // A pod with 0 or 1 (Kubernetes makes 1 of negative ones) wants to be killed.
  if (drainSeconds < graceSeconds || graceSeconds <= 1) return [];
  return [
    `the pod has ${graceSeconds} s to end (terminationGracePeriodSeconds) and its sidecar drains for up to ${drainSeconds} s: set tracecar.dev/drain-seconds lower or the grace period higher`,
  ];
}
