/**
 * CPU time that the sidecars of a namespace have used, read from /proc on this machine.
 *
 * A container's process carries its pod's name in HOSTNAME; that and its program tell whose sidecar it
 * is. All threads count, Tracecar's telemetry worker too.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { parseCpuMicros } from '../../../bench/stage/procfs.ts';
import type { Cluster } from '../cluster/cluster.ts';

/** Names of the pods of a namespace. */
export async function podNames(cluster: Cluster, namespace: string): Promise<ReadonlySet<string>> {
  const text = await cluster.kubectl(['-n', namespace, 'get', 'pods', '-o', 'name']);
  return new Set(
    text
      .trim()
      .split('\n')
      .map((line) => line.replace('pod/', '')),
  );
}

/** Process ids of the sidecars in these pods. */
export function sidecarsOf(pods: ReadonlySet<string>): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const command = readIfThere(`/proc/${pid}/cmdline`).split('\0');
      const isSidecar =
        command[0]?.endsWith('/envoy') ||
        (command.includes('/opt/tracecar/tracecar.cjs') && command.includes('proxy'));
      if (!isSidecar) return false;
      const host = /(?:^|\0)HOSTNAME=([^\0]*)/.exec(readIfThere(`/proc/${pid}/environ`))?.[1];
      return host !== undefined && pods.has(host);
    });
}

/** Microseconds of all their threads since they began; 10 ms resolution each. */
export function cpuMicrosOf(pids: readonly number[]): number {
  const times = pids.map((pid) => parseCpuMicros(readFileSync(`/proc/${pid}/stat`, 'utf8')));
  return times.reduce((sum, each) => sum + each, 0);
}

/** Resident memory of all of them in KiB. */
export function memoryKbOf(pids: readonly number[]): number {
  const sizes = pids.map((pid) => {
    const status = readIfThere(`/proc/${pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  });
  return sizes.reduce((sum, each) => sum + each, 0);
}

/** A process may end while it is looked at. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
