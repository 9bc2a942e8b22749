/**
 * Propagation for Node.js: the preload mounted into application containers and named in NODE_OPTIONS.
 *
 * A value that the pod has is kept behind ours. Where the value is not known when the pod is created
 * (`valueFrom`, or an `envFrom` that may hold it) the container is left alone with a warning: setting
 * it would replace what the user wrote elsewhere.
 */

import { paths, volumeNames } from './patch-names.ts';
import type { Container, EnvVariable, VolumeMount } from './pod.ts';

const variableName = 'NODE_OPTIONS';
const option = `--require ${paths.preload}/tracecar-propagate.cjs`;

/** The container with the preload; the same container when something stands in the way. */
export function addPropagation(container: Container): Container {
  if (propagationObstacle(container) !== '') return container;
  const env = container.env ?? [];
  const known = env.findLast(({ name }) => name === variableName);
  const value = known === undefined ? option : `${option} ${known.value ?? ''}`;
  const mount: VolumeMount = {
    name: volumeNames.preload,
    mountPath: paths.preload,
    readOnly: true,
  };
  return {
    ...container,
    env:
      known === undefined
        ? [...env, { name: variableName, value }]
        : env.map((each) => (each === known ? { ...each, value } : each)),
    volumeMounts: [...(container.volumeMounts ?? []), mount],
  };
}

/** Undoes addPropagation, also one of an older version; undoing twice is undoing once. */
export function removePropagation(container: Container): Container {
  const mounts = container.volumeMounts ?? [];
  const keptMounts = mounts.filter(({ name }) => name !== volumeNames.preload);
  const env = container.env ?? [];
  const keptEnv = withoutOption(env);
  let result = container;
  if (keptMounts.length < mounts.length) result = withList(result, 'volumeMounts', keptMounts);
  if (keptEnv !== env) result = withList(result, 'env', keptEnv);
  return result;
}

/** The last NODE_OPTIONS counts; when it was ours alone it goes, and the one before it counts. */
function withoutOption(env: readonly EnvVariable[]): readonly EnvVariable[] {
  const kept = [...env];
  let isChanged = false;
  for (let index = env.length - 1; index >= 0; index--) {
    const { name, value } = env[index]!;
    if (name !== variableName) continue;
    let rest = value ?? '';
    while (rest.startsWith(`${option} `)) rest = rest.slice(option.length + 1);
    if (rest === option) {
      kept.splice(index, 1);
      isChanged = true;
      continue;
    }
    if (rest === (value ?? '')) break;
    kept[index] = { ...env[index]!, value: rest };
    isChanged = true;
    break;
  }
  return isChanged ? kept : env;
}

/** The container with the list, without the key when the list is empty. */
function withList(container: Container, key: string, list: readonly unknown[]): Container {
  if (list.length > 0) return { ...container, [key]: list };
  const { [key]: _empty, ...rest } = container;
  return rest as Container;
}

/** Why a container cannot have the preload, as a sentence without its subject; empty when it can. */
export function propagationObstacle(container: Container): string {
  const known = container.env?.findLast(({ name }) => name === variableName);
  if (known?.valueFrom) return `its ${variableName} comes from valueFrom`;
  const source = container.envFrom?.find(({ prefix }) => variableName.startsWith(prefix ?? ''));
  if (known === undefined && source !== undefined) return `its envFrom may set ${variableName}`;
  const mount = container.volumeMounts?.find(({ mountPath }) => mountPath === paths.preload);
  if (mount !== undefined) return `it has a mount of its own at ${paths.preload}`;
  return '';
}

/** One warning for each container that `addPropagation` would leave alone. */
export function propagationWarnings(containers: readonly Container[]): string[] {
  return containers.flatMap((container) => {
    const obstacle = propagationObstacle(container);
    if (obstacle === '') return [];
    return [`trace propagation is off in container ${container.name}: ${obstacle}`];
  });
}
