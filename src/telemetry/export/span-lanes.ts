/**
 * Batches of spans that wait, in lanes by how much their loss would hurt; and which of them goes next,
 * or goes lost, when not all can have their way.
 *
 *   Error    [ batch | batch | filling ]     taken first, dropped last
 *   Kept     [ filling ]
 *   Sampled  [ batch | batch | batch | filling ]     dropped first, its oldest batch before the others
 *
 * A lane is in the order of time. All its batches are full but the one that is filling, if there is
 * one, and those that were put back half full. It knows no time and no exporter.
 */

import { failure } from '../../model/failure.ts';
import type { TelemetryLimits } from '../../model/telemetry-limits.ts';
import { type ExchangeRecord, SampledBy } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import type { BatchSettings } from '../settings/settings.ts';
import type { SpanBatch } from './span-batches.ts';

/** Error: also retries, denials and debugging. Kept: slow, and what a later verdict called back. */
export const Lane = { Error: 0, Kept: 1, Sampled: 2 } as const;

export const LANES: readonly number[] = Object.values(Lane);

/**
 * The lane of a record by why it is exported, or by what happened: a trace that was drawn at its head
 * and went wrong is worth as much as one that was kept because it did.
 */
export function laneOf({
  sampledBy,
  status,
  causeCode,
}: Pick<ExchangeRecord, 'sampledBy' | 'status' | 'causeCode'>): number {
  switch (sampledBy) {
    case SampledBy.Error:
    case SampledBy.Retry:
    case SampledBy.Denied:
    case SampledBy.Debug:
      return Lane.Error;
    case SampledBy.Slow:
    case SampledBy.Retro:
      return Lane.Kept;
    default:
      return status >= FIRST_SERVER_ERROR || isFailure(causeCode) ? Lane.Error : Lane.Sampled;
  }
}

const FIRST_SERVER_ERROR = 500;
const clientGone = failure['client-gone'].code;

/** A downstream that left is none. */
function isFailure(causeCode: number): boolean {
  return causeCode !== 0 && causeCode !== clientGone;
}

/** A batch and what became of it so far. */
export interface WaitingBatch {
  readonly batch: SpanBatch;
  readonly lane: number;
  /** Counts up: the order of time. */
  readonly order: number;
  /** How often it was exported. */
  attempts: number;
}

export class SpanLanes {
  /** Of all lanes together. */
  spans = 0;
  bytes = 0;
  readonly #lanes: readonly WaitingBatch[][] = LANES.map(() => []);
  readonly #filling: (WaitingBatch | undefined)[] = LANES.map(() => undefined);
  #order = 0;
  readonly #newBatch: () => SpanBatch;
  readonly #settings: BatchSettings;
  readonly #bytesMax: number;

  constructor(newBatch: () => SpanBatch, settings: BatchSettings, limits: TelemetryLimits) {
    this.#newBatch = newBatch;
    this.#settings = settings;
    this.#bytesMax = limits.spanQueueBytesMax;
  }

  /** Spans or bytes are at their limit: the next span drives others out. */
  get isFull(): boolean {
    return this.spans >= this.#settings.queueMax || this.bytes >= this.#bytesMax;
  }

  /** Whether the lane holds anything. */
  has(lane: number): boolean {
    return this.#lanes[lane]!.length > 0;
  }

  /** Whether a batch of the lane need not wait for more spans. */
  hasFull(lane: number): boolean {
    const [oldest] = this.#lanes[lane]!;
    return oldest !== undefined && oldest !== this.#filling[lane];
  }

  /** Adds a span, whatever is full. */
  add(record: ExchangeRecord, text: RecordText, lane: number): void {
    const entry = this.#filling[lane] ?? this.#start(lane);
    const { batch } = entry;
    const before = batch.bytes;
    batch.add(record, text);
    this.bytes += batch.bytes - before;
    this.spans++;
    if (batch.length >= this.#settings.batchMax) this.#filling[lane] = undefined;
  }

  /** Takes a batch of `lane` out: the oldest, or else the newest that is not filling. */
  take(lane: number, isNewest: boolean): WaitingBatch | undefined {
    const entries = this.#lanes[lane]!;
    const filling = this.#filling[lane];
    const isFillingLast = filling !== undefined && entries.length > 1;
    const index = isNewest ? entries.length - (isFillingLast ? 2 : 1) : 0;
    return this.#remove(lane, index);
  }

  /** Takes out the batch whose loss hurts least, of `lane` or one below it. */
  takeWorst(lane: number): WaitingBatch | undefined {
    for (let worst = LANES.length - 1; worst >= lane; worst--) {
      if (this.has(worst)) return this.#remove(worst, 0);
    }
    return undefined;
  }

  /** Gives a batch back that was taken: to its place in time. */
  putBack(entry: WaitingBatch): void {
    const entries = this.#lanes[entry.lane]!;
    const next = entries.findIndex(({ order }) => order > entry.order);
    entries.splice(next === -1 ? entries.length : next, 0, entry);
    this.spans += entry.batch.length;
    this.bytes += entry.batch.bytes;
  }

  /** Forgets everything that waits. */
  clear(): void {
    for (const lane of LANES) {
      this.#lanes[lane]!.length = 0;
      this.#filling[lane] = undefined;
    }
    this.spans = 0;
    this.bytes = 0;
  }

  #start(lane: number): WaitingBatch {
    const entry = { batch: this.#newBatch(), lane, order: this.#order++, attempts: 0 };
    this.#lanes[lane]!.push(entry);
    this.#filling[lane] = entry;
    return entry;
  }

  #remove(lane: number, index: number): WaitingBatch | undefined {
    const [entry] = this.#lanes[lane]!.splice(index, 1);
    if (entry === undefined) return undefined;
    if (entry === this.#filling[lane]) this.#filling[lane] = undefined;
    this.spans -= entry.batch.length;
    this.bytes -= entry.batch.bytes;
    return entry;
  }
}
