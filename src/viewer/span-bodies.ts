/**
 * Where the JSON of spans is kept: in memory (memory-bodies.ts) or in a file (sqlite-bodies.ts).
 *
 * The index knows which spans there are; bodies only hold bytes under the place that they gave out.
 * Spans are put one by one and committed once a request: before that they may be lost as a whole.
 */

import type { OriginParts, SpanOrigin } from './span-origin.ts';
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

/** A span that was kept before this process began. */
export interface StoredSpan {
  readonly traceId: string;
  /** The number that the bodies have for its origin. */
  readonly originId: number;
  readonly origin: OriginParts;
  readonly name: string;
  /** But for its origin, name and place, which were another process's. Read it at once. */
  readonly parts: RowParts;
  readonly tokens: ArrayLike<number>;
  readonly place: Pick<BodyPlace, 'bodyHigh' | 'bodyLow'>;
}

/** The contract of both; test/viewer/trace-store.test.ts runs on both. */
export interface SpanBodies {
  /** The file, '' when there is none; and what is wrong with it, '' when nothing is. */
  readonly file: string;
  readonly problem: string;
  /** What is there already, in order of arrival: asked once, before anything else. */
  stored(): Iterable<StoredSpan>;
  /** The store's object for an origin of `stored`. */
  know(origin: SpanOrigin, originId: number): void;
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
