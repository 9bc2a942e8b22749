/**
 * Spans as copies of shapes: those that came before, and when a new one is worth keeping. For each form
 * that spans are written in one of its own.
 */

import type { ExchangeRecord } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import type { GrowingBytes } from './growing-bytes.ts';
import { ShapeTable } from './shape-table.ts';
import { SpanPlaces } from './span-places.ts';
import type { SpanSurroundings } from './span-surroundings.ts';

/** A span of which only slots change. */
export interface Shape<Out> {
  /** Appends the span of `record` to `out`. */
  put(out: Out, record: ExchangeRecord, text: RecordText, places: SpanPlaces): void;
}

export class SpanCopies<Out extends GrowingBytes> {
  /** Of the last record. */
  readonly places = new SpanPlaces();
  /** Its shape is to be added once it was written: one like it came before. */
  wantsShape = false;
  readonly #around: SpanSurroundings;
  readonly #shapes = new ShapeTable<Shape<Out>>();
  /** A cut text is not the one of the wire. */
  readonly #hasShapes: boolean;
  /** That of the facts which the shapes were made with. */
  #edition = 0;

  constructor(around: SpanSurroundings) {
    this.#around = around;
    this.#hasShapes = around.attributeLengthMax === Number.POSITIVE_INFINITY;
  }

  /** Appends the record's span to `out` if there is a shape for it; tells whether. */
  put(out: Out, record: ExchangeRecord, text: RecordText): boolean {
    const { places } = this;
    this.wantsShape = false;
    places.set(record, text, this.#around);
    if (!this.#hasShapes || !places.mayHaveShape(record, text)) return false;
    const { clusters, rules } = this.#around;
    const edition = clusters.edition + rules.edition;
    if (edition !== this.#edition) {
      this.#shapes.clear();
      this.#edition = edition;
    }
    const shape = this.#shapes.find(record, text, places.mark + 1 < text.authority);
    if (shape === undefined) {
      this.wantsShape = this.#shapes.isRepeated();
      return false;
    }
    shape.put(out, record, text, places);
    return true;
  }

  /** Keeps the shape of the last record. */
  add(text: RecordText, shape: Shape<Out>): void {
    this.#shapes.add(text, shape);
  }
}
