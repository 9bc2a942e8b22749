/**
 * What the bench asks of a neighbour and what it gets back: plain data over the process channel.
 *
 * A neighbour does to an arm what the measured load does not, beside it and in a process of its own, so
 * that the generator is disturbed by the arm alone. What it is to see is part of the order's meaning.
 */

export const neighbourKinds = [
  'idle',
  'churn',
  'slow-reader',
  'slow-writer',
  'large-header',
  'reset',
  'large-bodies',
] as const;
export type NeighbourKind = (typeof neighbourKinds)[number];

export interface NeighbourOrder {
  readonly kind: NeighbourKind;
  readonly port: number;
  /** Connections of idle, slow readers, slow writers and large bodies. */
  readonly connections?: number;
  /** New connections of churn and large headers; requests of resets and large bodies. */
  readonly ratePerSecond?: number;
}

export type NeighbourQuestion =
  | NeighbourOrder
  /** One more request on each idle connection: nobody closes it for its age. */
  | { readonly kind: 'touch' }
  | { readonly kind: 'count' }
  | { readonly kind: 'stop' };

/** Since the order, or the answer before. */
export interface NeighbourReport {
  /** Connections that are open and stay so: idle ones. */
  readonly open: number;
  /** Requests; of slow readers, pieces that they read; of slow writers, bytes that they sent. */
  readonly acts: number;
  /** Exchanges that came to an end. */
  readonly ended: number;
  /** Of them, those that ended as they are to: see `expectation`. */
  readonly asMeant: number;
  /** The first that did not, in a few words; '' when all did. */
  readonly otherwise: string;
}

/** What an exchange of each kind comes to where the neighbour is served, or refused, as it should be. */
export const expectation: Readonly<Record<NeighbourKind, string>> = {
  idle: 'answered',
  churn: 'answered',
  'slow-reader': 'answered',
  'slow-writer': 'answered',
  'large-header': 'refused',
  reset: 'failed',
  'large-bodies': 'answered',
};
