/**
 * Where the JSON of spans is kept: in memory (memory-bodies.ts) or in a file (sqlite-bodies.ts).
 *
 * The index knows which spans there are; bodies only hold bytes under the place that they gave out.
 * Spans are put one by one and committed once a request: before that they may be lost as a whole.
 */

import type { SpanOrigin } from './span-origin.ts';
import type { RowParts } from './span-row.ts';

/** Two words that the bodies understand, and the length in bytes. */
export interface BodyPlace {
  bodyHigh: number;
  bodyLow: number;
  bodyBytes: number;
}

/** What a store on disk needs beside the JSON to have the span again after a restart. */
export interface SpanToKeep {
  readonly traceId: string;
  readonly origin: SpanOrigin;
  readonly name: string;
  readonly parts: RowParts;
  readonly tokens: ArrayLike<number>;
}

export interface SpanBodies {
  /** What counts against `storeBytesMax` beside the index. */
  readonly bytes: number;
  /** Keeps the JSON of a span and writes where into `place`. */
  put(json: string, span: SpanToKeep, place: BodyPlace): void;
  /** Ends what a request has put: '' when it is kept, else why none of it is. */
  commit(): string;
  read(place: Readonly<BodyPlace>): Uint8Array;
  /** The span is gone. */
  release(place: Readonly<BodyPlace>): void;
  /** No span has this origin any more. */
  forgetOrigin(origin: SpanOrigin): void;
  close(): void;
}
