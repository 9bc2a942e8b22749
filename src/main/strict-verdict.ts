/**
 * Strict verdict: who would be refused if only mutual TLS were taken, from what sidecars recorded.
 *
 *   reports of sidecars ──┐
 *   resources to come ────┴─► of each workload: callers of ports that would be STRICT, and who they are
 *
 * It knows callers of the past. Who calls once a week and did not this week is not among them, and the
 * text says since when was recorded. Where the resources make nothing of a workload STRICT, it says so
 * and who would be refused if they did: a PeerAuthentication that was left out is no all-clear.
 */

import { printable } from '../base/printable.ts';
import { hasSidecar, labelText } from '../config/resource/labels.ts';
import { type Resource, resourceName } from '../config/resource/resource.ts';
import type { PeerModes, WorkloadModes } from '../config/world/peer-modes.ts';
import type { PeerMode } from '../model/security.ts';
import type { PlaintextCaller } from '../proxy/scope/plaintext-callers.ts';
import type { StrictReport } from './strict-report.ts';

export interface WorkloadVerdict {
  /** `default app=web`. */
  readonly workload: string;
  readonly source: string;
  readonly since: string;
  /**
   * Why nothing of it is to be STRICT; empty: something is. Then nobody is refused, and the others tell
   * who would be if all of it were.
   */
  readonly notStrict: string;
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
  const planned = modes?.modesOf(namespace, labels);
  const notStrict = planned === undefined ? '' : reasonNotStrict(planned);
  const isAllStrict = planned === undefined || notStrict !== '';
  const isRefused = (port: number) => isAllStrict || modeOfPort(planned, port) === 'strict';
  const problem =
    identity === ''
      ? 'it has no identity (--identity), so it records nobody, and in STRICT it refuses everybody'
      : '';
  const refused = callers
    .filter(({ port }) => isRefused(port))
    .map((caller) => ({
      ...caller,
      name: names.get(caller.address) ?? '',
      last: timeText(caller.lastMs),
      isNow: modeOfPort(security, caller.port) === 'strict',
    }));
  return {
    workload: `${namespace} ${labelText(labels)}`,
    ...{ source, since: timeText(sinceMs), notStrict, problem, refused, forgotten },
  };
}

/** Empty: a port of it is STRICT. */
function reasonNotStrict({ mode, origin, ports }: WorkloadModes): string {
  if (mode === 'strict' || ports.some((each) => each.mode === 'strict')) return '';
  if (origin !== '') return `${origin} says ${mode.toUpperCase()}`;
  return 'no PeerAuthentication says what it takes';
}

function modeOfPort({ mode, ports }: WorkloadModes, port: number): PeerMode {
  return ports.find((each) => each.port === port)?.mode ?? mode;
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
  const { workload, source, since, notStrict, problem, refused, forgotten } = verdict;
  const lines = [`${workload} (${source})`];
  if (notStrict !== '') {
    lines.push(`  nothing of it would be STRICT: ${notStrict}. If all of it were:`);
  }
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
export function breaks({ notStrict, problem, refused, forgotten }: WorkloadVerdict): boolean {
  return notStrict === '' && (problem !== '' || refused.length > 0 || forgotten > 0);
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
