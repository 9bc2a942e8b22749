/**
 * Strict verdict: who would be refused if only mutual TLS were taken, from what sidecars recorded.
 *
 *   reports of sidecars ──┐
 *   resources to come ────┴─► of each workload: callers of ports that would be STRICT, and who they are
 *
 * It knows callers of the past. Who calls once a week and did not this week is not among them, and the
 * text says since when was recorded.
 */

import { printable } from '../base/printable.ts';
import { hasSidecar } from '../config/endpoint-identity.ts';
import type { PeerModes } from '../config/peer-modes.ts';
import { type Resource, resourceName } from '../config/resource.ts';
import { labelText } from '../config/select-sidecar.ts';
import type { PeerMode } from '../model/security.ts';
import type { PlaintextCaller } from '../proxy/scope/plaintext-callers.ts';
import type { StrictReport } from './strict-report.ts';

export interface WorkloadVerdict {
  /** `default app=web`. */
  readonly workload: string;
  readonly source: string;
  readonly since: string;
  /** Why everybody would be refused, or nobody's calls are known; empty: neither. */
  readonly problem: string;
  readonly refused: readonly RefusedCaller[];
  /** Callers that were recorded and forgotten again: there are more than are named. */
  readonly forgotten: number;
}

export interface RefusedCaller extends PlaintextCaller {
  /** Whose address it is, as far as the resources tell; empty: nobody knows. */
  readonly name: string;
  readonly last: string;
  /** It is refused already. */
  readonly isNow: boolean;
}

/** What is to be; undefined modes: STRICT everywhere. */
export interface Outlook {
  readonly modes: PeerModes | undefined;
  readonly names: ReadonlyMap<string, string>;
}

export function judgeStrict(
  source: string,
  report: StrictReport,
  { modes, names }: Outlook,
): WorkloadVerdict {
  const { namespace, labels, identity, security, callers, forgotten, sinceMs } = report;
  const modeAt = (port: number): PeerMode => modes?.modeAt(namespace, labels, port) ?? 'strict';
  const modeNow = (port: number) =>
    security.ports.find((each) => each.port === port)?.mode ?? security.mode;
  const planned = modes?.modesOf(namespace, labels);
  const isStrictAnywhere =
    planned === undefined ||
    planned.mode === 'strict' ||
    planned.ports.some(({ mode }) => mode === 'strict');
  const problem =
    identity === '' && isStrictAnywhere
      ? 'it has no identity (--identity), so it records nobody, and in STRICT it refuses everybody'
      : '';
  const refused = callers
    .filter(({ port }) => modeAt(port) === 'strict')
    .map((caller) => ({
      ...caller,
      name: names.get(caller.address) ?? '',
      last: timeText(caller.lastMs),
      isNow: modeNow(caller.port) === 'strict',
    }));
  return {
    workload: `${namespace} ${labelText(labels)}`,
    ...{ source, since: timeText(sinceMs), problem, refused, forgotten },
  };
}

/** Address to whose it is, of machines and pods. */
export function namesByAddress(resources: readonly Resource[]): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const note = (address: string | undefined, resource: Resource, labels = {}) => {
    if (address === undefined) return;
    const sidecar = hasSidecar(labels) ? 'with a sidecar' : 'without a sidecar';
    names.set(address, `${resource.kind} ${resourceName(resource)}, ${sidecar}`);
  };
  for (const resource of resources) {
    if (resource.kind === 'Pod') {
      note(resource.spec.status?.podIP, resource, resource.spec.metadata?.labels);
    } else if (resource.kind === 'WorkloadEntry') {
      note(resource.spec.address.value, resource, resource.spec.labels);
    } else if (resource.kind === 'ServiceEntry') {
      for (const each of resource.spec.endpoints ?? []) {
        note(each.address?.value, resource, each.labels);
      }
    }
  }
  return names;
}

/** For people. */
export function printVerdicts(verdicts: readonly WorkloadVerdict[]): string {
  return `${verdicts.flatMap(linesOf).map(printable).join('\n')}\n`;
}

function linesOf(verdict: WorkloadVerdict): string[] {
  const { workload, source, since, problem, refused, forgotten } = verdict;
  const lines = [`${workload} (${source})`];
  if (problem !== '') lines.push(`  ${problem}`);
  for (const caller of refused) {
    const { address, port, connections, last, name, isAlsoMeshed, isNow } = caller;
    const times = connections === 1 ? '1 connection' : `${connections} connections`;
    const facts = [
      ...(name === '' ? [] : [name]),
      ...(isAlsoMeshed ? ['comes by mutual TLS too'] : []),
      ...(isNow ? ['is refused already'] : []),
    ];
    const about = facts.length === 0 ? '' : `; ${facts.join('; ')}`;
    lines.push(`  ${address} to port ${port}: ${times}, last ${last}${about}`);
  }
  if (forgotten > 0) lines.push(`  and ${forgotten} more, which had to be forgotten`);
  if (problem === '' && refused.length === 0) lines.push(`  nobody since ${since}`);
  else if (problem === '') lines.push(`  recorded since ${since}`);
  return lines;
}

/** Whether somebody would be refused. */
export function breaks({ problem, refused, forgotten }: WorkloadVerdict): boolean {
  return problem !== '' || refused.length > 0 || forgotten > 0;
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
