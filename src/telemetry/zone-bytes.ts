/**
 * Bytes of bodies by the zones that they went between: what crossing zones costs at a cloud.
 *
 * The proxy holds an object a pool of connections and adds to it once an exchange. Zones come from
 * configuration, so there are few; those beyond `zonePairsMax` are counted under the zone `other`.
 */

import type { Direction } from '../model/routing-table.ts';

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
  /** From the caller, and to it. */
  requestBytes = 0.5;
  responseBytes = 0.5;

  constructor({ direction, callerZone, calleeZone }: ZonePair) {
    this.direction = direction;
    this.callerZone = callerZone;
    this.calleeZone = calleeZone;
    this.requestBytes = 0;
    this.responseBytes = 0;
  }

  /** An exchange, or an attempt of one, has ended. */
  add(requestBytes: number, responseBytes: number): void {
    this.requestBytes += requestBytes;
    this.responseBytes += responseBytes;
  }
}

const OTHER = 'other';

export class ZoneTable {
  readonly #pairsMax: number;
  readonly #pairs = new Map<string, ZoneBytes>();

  constructor(pairsMax: number) {
    this.#pairsMax = pairsMax;
  }

  /** The same object for the same pair. For set-up, not per request. */
  find(pair: ZonePair): ZoneBytes {
    const known = this.#pairs.get(keyOf(pair));
    if (known !== undefined) return known;
    const isFull = this.#pairs.size >= this.#pairsMax;
    if (isFull && pair.calleeZone !== OTHER) return this.find({ ...pair, calleeZone: OTHER });
    const bytes = new ZoneBytes(pair);
    this.#pairs.set(keyOf(pair), bytes);
    return bytes;
  }

  all(): readonly ZoneBytes[] {
    return [...this.#pairs.values()];
  }
}

function keyOf({ direction, callerZone, calleeZone }: ZonePair): string {
  return `${direction}\u0000${callerZone}\u0000${calleeZone}`;
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
