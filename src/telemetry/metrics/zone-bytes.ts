/**
 * Bytes of bodies by the zones that they went between: what crossing zones costs at a cloud.
 *
 * The proxy holds an object with each pool of connections and adds to it once an attempt. Zones come from
 * configuration, so there are few; those beyond `zonesMax` are counted under the zone `other`.
 */

import type { Direction } from '../../model/routing-table.ts';

/** Survives structured cloning. */
export interface ZonePair {
  /** Who counted it: a sidecar of the callee is `inbound`. */
  readonly direction: Direction;
  /** Of the caller and of the callee; '' = unknown. */
  readonly callerZone: string;
  readonly calleeZone: string;
}

export class ZoneBytes implements ZonePair {
  readonly direction: Direction;
  readonly callerZone: string;
  readonly calleeZone: string;
  /** From the caller, and to it. Not whole at first, so that V8 stores a double for ever. */
  requestBytes = 0.5;
  responseBytes = 0.5;

  constructor({ direction, callerZone, calleeZone }: ZonePair) {
    this.direction = direction;
    this.callerZone = callerZone;
    this.calleeZone = calleeZone;
    this.requestBytes = 0;
    this.responseBytes = 0;
  }

  /** An exchange that came in, or an attempt of one that went out, has ended. */
  add(requestBytes: number, responseBytes: number): void {
    this.requestBytes += requestBytes;
    this.responseBytes += responseBytes;
  }
}

const OTHER = 'other';

export class ZoneTable {
  /** What came in, from a zone that nobody knows. */
  readonly inbound: ZoneBytes;
  readonly #ownZone: string;
  readonly #zonesMax: number;
  readonly #outbound = new Map<string, ZoneBytes>();

  /** `ownZone`: '' = unknown. `zonesMax`: of callees. */
  constructor(ownZone: string, zonesMax: number) {
    this.#ownZone = ownZone;
    this.#zonesMax = zonesMax;
    this.inbound = new ZoneBytes({ direction: 'inbound', callerZone: '', calleeZone: ownZone });
  }

  /** What goes to `calleeZone`: the same object for the same zone. For set-up, not per request. */
  outbound(calleeZone: string): ZoneBytes {
    const known = this.#outbound.get(calleeZone);
    if (known !== undefined) return known;
    const isFull = this.#outbound.size >= this.#zonesMax;
    if (isFull && calleeZone !== OTHER) return this.outbound(OTHER);
    const direction = 'outbound';
    const bytes = new ZoneBytes({ direction, callerZone: this.#ownZone, calleeZone });
    this.#outbound.set(calleeZone, bytes);
    return bytes;
  }

  /** Those that have counted something. */
  all(): readonly ZoneBytes[] {
    const all = [this.inbound, ...this.#outbound.values()];
    return all.filter(({ requestBytes, responseBytes }) => requestBytes + responseBytes > 0);
  }
}

/** Bytes from one zone to another. */
export interface ZoneFlow {
  readonly direction: Direction;
  readonly source: string;
  readonly destination: string;
  bytes: number;
}

/** Requests go from the caller's zone, responses come back: each flow once, in no order. */
export function zoneFlows(pairs: Iterable<Omit<ZoneBytes, 'add'>>): readonly ZoneFlow[] {
  const flows = new Map<string, ZoneFlow>();
  const add = (direction: Direction, source: string, destination: string, bytes: number) => {
    const key = `${direction}\u0000${source}\u0000${destination}`;
    const flow = flows.get(key) ?? { direction, source, destination, bytes: 0 };
    flow.bytes += bytes;
    flows.set(key, flow);
  };
  for (const { direction, callerZone, calleeZone, requestBytes, responseBytes } of pairs) {
    add(direction, callerZone, calleeZone, requestBytes);
    add(direction, calleeZone, callerZone, responseBytes);
  }
  return [...flows.values()];
}
