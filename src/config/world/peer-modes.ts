/**
 * Peer modes: what the PeerAuthentication resources say to a workload, as Istio joins them.
 *
 *   root namespace, no selector ──► its namespace, no selector ──► selector fits ──► port
 *
 * Each that says a mode beats the ones before it, UNSET leaves it to them, and where nobody says
 * anything it is PERMISSIVE. Of several that stand equal the first by name counts, and the others are
 * complained of; one with a mistake inside goes before them and says STRICT.
 */

import type { InboundSecurity, PeerMode, PortMode } from '../../model/security.ts';
import { carries, labelText, withCanonical } from '../resource/labels.ts';
import { modeOf } from '../resource/peer-authentication.ts';
import { type PeerAuthenticationResource, resourceName } from '../resource/resource.ts';
import type { Labels } from '../resource/values.ts';
import { type Complaints, placeText } from '../syntax/complaints.ts';

/** What an inbound port takes, without who may call it. */
export type WorkloadModes = Pick<InboundSecurity, 'mode' | 'origin' | 'ports'>;

interface OfNamespace {
  readonly general: PeerAuthenticationResource[];
  readonly selecting: PeerAuthenticationResource[];
}

const nobodySays: WorkloadModes = Object.freeze({
  mode: 'permissive',
  origin: '',
  ports: Object.freeze([]),
});

export class PeerModes {
  readonly #byNamespace = new Map<string, OfNamespace>();
  readonly #rootNamespace: string;

  /** Complains of namespaces that are told two things. */
  constructor(
    resources: readonly PeerAuthenticationResource[],
    rootNamespace: string,
    complaints: Complaints,
  ) {
    this.#rootNamespace = rootNamespace;
    for (const each of resources.toSorted(byRank)) {
      const known = this.#byNamespace.get(each.namespace);
      const { general, selecting } = known ?? { general: [], selecting: [] };
      (isGeneral(each) ? general : selecting).push(each);
      if (known === undefined) this.#byNamespace.set(each.namespace, { general, selecting });
    }
    for (const [namespace, { general }] of this.#byNamespace) {
      complainOfOthers(general, `namespace ${namespace}`, complaints);
    }
  }

  /**
   * Of the workload with these labels.
   *
   * @param complaints hear of selectors that are as particular as each other, if they are given
   */
  modesOf(namespace: string, labels: Labels, complaints?: Complaints): WorkloadModes {
    if (this.#byNamespace.size === 0) return nobodySays;
    const own = this.#byNamespace.get(namespace);
    const canonical = own === undefined ? labels : withCanonical(labels);
    const fitting = own?.selecting.filter((each) => carries(canonical, selectorOf(each))) ?? [];
    if (complaints !== undefined) {
      complainOfOthers(fitting, `the workload (${labelText(labels)})`, complaints);
    }
    const levels = [
      this.#byNamespace.get(this.#rootNamespace)?.general[0],
      own?.general[0],
      fitting[0],
    ];
    return join(levels.filter((each) => each !== undefined));
  }

  /** Of one port of it. */
  modeAt(namespace: string, labels: Labels, port: number): PeerMode {
    const { mode, ports } = this.modesOf(namespace, labels);
    return ports.find((each) => each.port === port)?.mode ?? mode;
  }
}

/** From the most general to the most particular. */
function join(levels: readonly PeerAuthenticationResource[]): WorkloadModes {
  let { mode, origin } = nobodySays;
  for (const each of levels) {
    const said = each.isSound ? modeOf(each.spec.mtls) : 'strict';
    if (said === undefined) continue;
    mode = said;
    origin = originOf(each);
  }
  const last = levels.at(-1);
  if (last === undefined || isGeneral(last) || !last.isSound) return { mode, origin, ports: [] };
  const ports = (last.spec.portLevelMtls ?? []).flatMap(({ key, value }): PortMode[] => {
    const said = modeOf(value);
    return said === undefined ? [] : [{ port: Number(key), mode: said, origin: originOf(last) }];
  });
  return { mode, origin, ports: ports.toSorted((first, second) => first.port - second.port) };
}

/** `PeerAuthentication default/strict mesh.yaml:3:1`. */
function originOf(resource: PeerAuthenticationResource): string {
  return `PeerAuthentication ${resourceName(resource)} ${placeText(resource.at)}`;
}

function selectorOf({ spec }: PeerAuthenticationResource): Labels {
  return spec.selector?.matchLabels ?? {};
}

function isGeneral(resource: PeerAuthenticationResource): boolean {
  return Object.keys(selectorOf(resource)).length === 0;
}

function byRank(first: PeerAuthenticationResource, second: PeerAuthenticationResource): number {
  if (first.isSound !== second.isSound) return first.isSound ? 1 : -1;
  const [one, other] = [resourceName(first), resourceName(second)];
  return Number(one > other) - Number(one < other);
}

function complainOfOthers(
  [first, ...others]: readonly PeerAuthenticationResource[],
  whom: string,
  complaints: Complaints,
): void {
  if (first === undefined) return;
  for (const each of others) {
    // The last good text of the same one (closing-resources.ts).
    if (!first.isSound && resourceName(each) === resourceName(first)) continue;
    const name = `PeerAuthentication ${resourceName(first)} (${placeText(first.at)})`;
    const message = `${name} tells ${whom} what to take from callers, and counts`;
    const fix = 'Join the two, or give the selectors labels that tell the workloads apart.';
    complaints.add('peers-ambiguous', each.at, message, fix);
  }
}
