/**
 * How much later a pod is Ready with a sidecar: the same application, pods with and without in turn.
 *
 * A time runs from the request that creates the pod to the moment when a watch shows it Ready. The
 * kubelet looks at its containers once a second, so pods are created spread over that second: what
 * deleted the one before ends at always the same moment of it.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import { imageReferences } from '../cluster/images.ts';

export interface ReadyTimes {
  readonly pods: number;
  readonly bareMs: number;
  readonly withSidecarMs: number;
}

/** The kubelet's period (`genericPlegRelistPeriod`). */
const kubeletPeriodMs = 1_000;

const names = { bare: 'ready-bare', meshed: 'ready-meshed' } as const;

/** Medians over `rounds` pods of each kind, one at a time. The mesh must be installed. */
export async function measureReady(cluster: Cluster, rounds: number): Promise<ReadyTimes> {
  await cluster.kubectl(['create', 'namespace', names.bare]);
  await cluster.kubectl(['create', 'namespace', names.meshed]);
  await cluster.kubectl(['annotate', 'namespace', names.meshed, 'tracecar.dev/inject=enabled']);
  const times = { bare: [] as number[], meshed: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    for (const kind of ['bare', 'meshed'] as const) {
      await pause((kubeletPeriodMs * round) / rounds);
      times[kind].push(await timeOf(cluster, names[kind], `app-${round}`));
    }
  }
  for (const namespace of Object.values(names)) {
    await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
  }
  return { pods: rounds, bareMs: medianOf(times.bare), withSidecarMs: medianOf(times.meshed) };
}

async function timeOf(cluster: Cluster, namespace: string, name: string): Promise<number> {
  const container = {
    name: 'app',
    image: imageReferences.sample,
    imagePullPolicy: 'IfNotPresent',
    args: ['/app/ratings.cjs'],
    env: [
      { name: 'HOST', value: '0.0.0.0' },
      { name: 'PORT', value: '9080' },
    ],
    readinessProbe: { httpGet: { path: '/counts', port: 9080 }, periodSeconds: 1 },
  };
  const spec = { containers: [container], terminationGracePeriodSeconds: 0 };
  const started = performance.now();
  await cluster.apply([{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec }]);
  const pod = await cluster.waitForPod(namespace, name, 60_000);
  const elapsedMs = performance.now() - started;
  const sidecars = ((pod.spec as { initContainers?: unknown[] }).initContainers ?? []).length;
  if (sidecars > 0 !== (namespace === names.meshed)) {
    throw new Error(`${namespace}/${name} has ${sidecars} init containers`);
  }
  await cluster.kubectl(['-n', namespace, 'delete', 'pod', name, '--wait=true']);
  return elapsedMs;
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
