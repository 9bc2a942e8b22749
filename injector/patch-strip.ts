/**
 * The way back: a pod without anything that an injection added, of this version or an older one.
 *
 * Rendering always starts from here, so that injecting twice is injecting once, and an older
 * injection is replaced as a whole. `tracecar uninject` is this function. What cannot be told: the
 * name of a port in a probe comes back as its number, an empty list as an absent one.
 */

import { statusKey } from './annotations.ts';
import { restoreScrape } from './merge-metrics.ts';
import { meshLabel } from './patch-identity.ts';
import { initName, isOurVolume, readStatus, safeToEvictKey, sidecarName } from './patch-names.ts';
import { defaultContainerKey } from './patch-workload.ts';
import type { Container, Pod, PodMetadata, PodSpec } from './pod.ts';
import { readEntries, restoreProbes } from './probes.ts';
import { removePropagation } from './propagation.ts';

const ourContainers = [initName, sidecarName];

/** Gives the pod as it was; keys that were there before stay, even when they are empty. */
export function withoutInjection(pod: Pod): Pod {
  const initContainers = pod.spec.initContainers ?? [];
  const sidecar = initContainers.find(({ name }) => name === sidecarName);
  const probes = sidecar?.env?.find(({ name }) => name === 'TRACECAR_PROBES')?.value;
  const entries = readEntries(probes?.replaceAll('$$', '$'));
  const restore = (container: Container) => removePropagation(restoreProbes(container, entries));
  const keptInit = initContainers.filter(({ name }) => !ourContainers.includes(name));
  const volumes = pod.spec.volumes ?? [];
  let spec: PodSpec = pod.spec;
  if (spec.containers) spec = { ...spec, containers: spec.containers.map(restore) };
  if (spec.initContainers) {
    spec = withList(spec, 'initContainers', keptInit.map(restore), initContainers.length);
  }
  if (spec.volumes) {
    const kept = volumes.filter(({ name }) => !isOurVolume(name));
    spec = withList(spec, 'volumes', kept, volumes.length);
  }
  const metadata = pod.metadata
    ? withoutLabels(withoutAnnotations(pod.metadata, pod), pod)
    : pod.metadata;
  return metadata ? { ...pod, metadata, spec } : { ...pod, spec };
}

/** A list that lost all its elements goes with its key. */
function withList(
  spec: PodSpec,
  key: 'initContainers' | 'volumes',
  list: readonly unknown[],
  lengthBefore: number,
): PodSpec {
  if (list.length > 0 || lengthBefore === 0) return { ...spec, [key]: list };
  const { [key]: _empty, ...rest } = spec;
  return rest as PodSpec;
}

function withoutAnnotations(metadata: PodMetadata, pod: Pod): PodMetadata {
  if (!metadata.annotations) return metadata;
  const isDefaultOurs = readStatus(pod)?.annotations.includes(defaultContainerKey) ?? false;
  const added = isDefaultOurs ? [statusKey, defaultContainerKey] : [statusKey];
  const restored = restoreScrape(metadata.annotations, readStatus(pod)?.replaced ?? {});
  const kept = Object.entries(restored).flatMap(([key, value]) => {
    if (key === safeToEvictKey) {
      const others = value.split(',').filter((name) => !isOurVolume(name.trim()));
      return others.length === 0 ? [] : [[key, others.join(',')] as const];
    }
    return added.includes(key) ? [] : [[key, value] as const];
  });
  if (kept.length > 0) return { ...metadata, annotations: Object.fromEntries(kept) };
  const { annotations: _empty, ...rest } = metadata;
  return rest;
}

function withoutLabels(metadata: PodMetadata, pod: Pod): PodMetadata {
  const { key } = meshLabel;
  const isOurs = readStatus(pod)?.labels?.includes(key) ?? false;
  if (!metadata.labels || !isOurs || !Object.hasOwn(metadata.labels, key)) return metadata;
  const { [key]: _ours, ...kept } = metadata.labels;
  if (Object.keys(kept).length > 0) return { ...metadata, labels: kept };
  const { labels: _empty, ...rest } = metadata;
  return rest;
}
