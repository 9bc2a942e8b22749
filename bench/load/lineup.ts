/**
 * What the generator and its pacer share: the plan of an open loop, and the connections it is sent on.
 *
 * Every connection has a place. The generator prepares a place (the next request's bytes, the
 * descriptor) and puts it in line; the pacer takes the first one and sends. A place belongs to one of
 * the two at a time, and its state says which; only a place that is Ready can be wanted by both.
 *
 *    generator: prepare --> Ready ---pacer writes---> UnderWay --> answer, verified --> prepare ...
 *                             \--the peer closed it--> Closed: the pacer asks the generator to send
 */

export const PlaceState = { Ready: 0, UnderWay: 1, Closed: 2 } as const;

/** Indexes of `control`. */
export const Control = {
  /** Places put in line so far; who lacks one waits on it. */
  Queued: 0,
  /** Requests sent so far. */
  Sent: 1,
  /** 1 while the pacer may be writing: then no descriptor may be given a second meaning. */
  Writing: 2,
  /** 1 when the load is over, for whatever reason. */
  Stopped: 3,
  /** 1 while the pacer has a request due and no place: only then must it be woken. */
  Starving: 4,
} as const;

/** All of it in shared memory; goes to the pacer as one message. */
export interface Lineup {
  readonly control: Int32Array;
  /** The pacer stays awake for so long before each request: its waking up takes some 20 us. */
  readonly leadMs: number;
  /** By arrival: milliseconds of monotonicMs, rising. */
  readonly dueAt: Float64Array;
  /** By arrival: how long after it was due, and a connection free, it was sent; NaN = not yet. */
  readonly lateMs: Float64Array;
  /** By place from here on: PlaceState. */
  readonly state: Int32Array;
  readonly descriptor: Int32Array;
  readonly length: Int32Array;
  /** The arrival that was sent there last, and when. */
  readonly arrival: Int32Array;
  readonly sentAt: Float64Array;
  /** Since when it is in line. */
  readonly freeAt: Float64Array;
  readonly text: readonly Uint8Array[];
  /** Places in line, oldest first: a ring. */
  readonly line: Int32Array;
}

/** The pacer's word to the generator: the rest of this request is yours, from byte `from` on. */
export interface HandOver {
  readonly place: number;
  readonly arrival: number;
  /** -1: nothing is sent, and there is no connection to send on. */
  readonly from: number;
}

/** For as many places as have a `state`, each with room for a request of `textBytes`. */
export function makeLineup(
  arrivals: number,
  state: Int32Array,
  textBytes: number,
  leadMs: number,
): Lineup {
  const places = state.length;
  return {
    control: sharedInts(5),
    leadMs,
    dueAt: sharedDoubles(arrivals),
    lateMs: sharedDoubles(arrivals).fill(Number.NaN),
    state,
    descriptor: sharedInts(places),
    length: sharedInts(places),
    arrival: sharedInts(places),
    sentAt: sharedDoubles(places),
    freeAt: sharedDoubles(places),
    text: Array.from({ length: places }, () => new Uint8Array(new SharedArrayBuffer(textBytes))),
    line: sharedInts(places),
  };
}

export function sharedInts(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(count * 4));
}

function sharedDoubles(count: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(count * 8));
}
