/**
 * The way of spans to a collector, with exact accounts: batches as the specification's batching
 * processor makes them (OTEL_BSP_*), written where they will be sent from.
 *
 *   push ─► [ waiting: lanes of batches (span-lanes.ts) ] ─► [ in flight ] ─► sent | dropped
 *             full: dropped             ▲                         │
 *                                       └─── may be tried again ──┘
 *
 * One batch is exported at a time: at once when there is a full one, else when its first span has waited
 * for its lane's time. After a failure that may pass all wait for a while; then the newest goes first.
 * A span that is pushed is always in exactly one of the four places, whatever the exporter says counts
 * once.
 */

import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { Milliseconds } from '../../base/clock.ts';
import type { WakeUps } from '../../base/deadlines.ts';
import { type Random, systemRandom } from '../../base/random.ts';
import { type TelemetryLimits, telemetryLimits } from '../../model/telemetry-limits.ts';
import type { ExchangeRecord } from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import type { BatchSettings } from '../settings/settings.ts';
import { nextDelay, RetryableError } from '../transport/export-retry.ts';
import { describeError } from '../transport/own-transport.ts';
import type { SpanOutput } from './span-exporters.ts';
import { LANES, Lane, SpanLanes, type WaitingBatch } from './span-lanes.ts';

/** Some seven seconds of tries. */
const STUCK_FAILURES = 4;

type CallOff = (() => void) | undefined;

/** Of the queue's own that tests replace. */
export interface SpanQueueOptions {
  readonly random?: Random;
  readonly limits?: TelemetryLimits;
}

export class SpanQueue {
  /** Accepted by the collector. */
  sent = 0;
  /** Given up; `queueFull` of them because the queue was full. */
  dropped = 0;
  queueFull = 0;
  #lastError = '';
  /** What the answer says that is being read: its batch's result comes next. */
  #rejected = 0;
  #inFlight = 0;
  #isClosed = false;
  #isExporting = false;
  /** Everything leaves now: nothing waits for its time. */
  #isFlushing = false;
  /** In a row, of those after which a batch may be tried again; above 0 the collector is away. */
  #failures = 0;
  #callOffPause: CallOff;
  /** Of each lane: its spans have waited long enough, or the timer until then. */
  readonly #isDue: boolean[] = LANES.map(() => false);
  readonly #callOffDue: CallOff[] = LANES.map(() => undefined);
  readonly #lanes: SpanLanes;
  readonly #output: SpanOutput;
  readonly #settings: BatchSettings;
  readonly #wakeUps: WakeUps;
  readonly #random: Random;
  readonly #limits: TelemetryLimits;

  constructor(
    output: SpanOutput,
    settings: BatchSettings,
    wakeUps: WakeUps,
    { random = systemRandom, limits = telemetryLimits }: SpanQueueOptions = {},
  ) {
    this.#output = output;
    this.#settings = settings;
    this.#wakeUps = wakeUps;
    this.#random = random;
    this.#limits = limits;
    this.#lanes = new SpanLanes(() => output.newBatch(), settings, limits);
  }

  /** Why spans are lost, for a person; empty when no export has failed and some have not. */
  get trouble(): string {
    if (this.#lastError === '' && this.sent === 0) return 'no answer from it yet';
    return this.#lastError;
  }

  /** Spans that wait because the collector has failed for a while; 0 when it has not. */
  get stuck(): number {
    return this.#failures >= STUCK_FAILURES ? this.#lanes.spans : 0;
  }

  /** Waiting and in flight. */
  get queued(): number {
    return this.#lanes.spans + this.#inFlight;
  }

  /**
   * Spans that it takes before others have to go. Without bound once the collector has failed twice:
   * then they go by priority, and what is left in the ring would only keep the important ones from it.
   */
  get room(): number {
    if (this.#isClosed) return 0;
    if (this.#failures > 1) return Number.POSITIVE_INFINITY;
    return Math.max(0, this.#settings.queueMax - this.#lanes.spans);
  }

  /** Nothing is taken any more, whatever its lane: what comes now is refused unread. */
  get isFull(): boolean {
    return this.#isClosed;
  }

  /** A span comes that is not taken. */
  refuse(): void {
    this.dropped++;
    this.queueFull++;
  }

  /**
   * Takes the span of `record` and its `text`, both of which the caller may use again. In a full queue
   * the oldest batch of the lowest lane goes for it, or itself when all lanes with spans are above.
   */
  push(record: ExchangeRecord, text: RecordText, lane: number = Lane.Sampled): void {
    if (this.#isClosed || !this.#makeRoom(lane)) {
      this.refuse();
      return;
    }
    this.#lanes.add(record, text, lane);
    this.#seeTo(lane);
  }

  /**
   * The collector refuses spans of the batch whose result comes next (OTLP partial success). More than
   * the batch has are all of it.
   */
  reject(spans: number): void {
    this.#rejected = spans;
  }

  /** Sends everything at once; resolves when every batch has its last answer, also a bad one. */
  async flush(): Promise<void> {
    if (this.#isClosed) return;
    this.#isFlushing = true;
    this.#callOffTimers();
    const exports: Promise<void>[] = [];
    for (const lane of LANES) {
      for (;;) {
        const entry = this.#lanes.take(lane, false);
        if (entry === undefined) break;
        exports.push(this.#exportUntilAnswered(entry));
      }
    }
    await Promise.all(exports);
    try {
      await this.#output.shutdown();
    } catch {
      // The exporter's answers are in the counts already.
    }
  }

  /** Gives up what is still queued; later answers change nothing. */
  close(): void {
    this.#isClosed = true;
    this.#callOffTimers();
    this.dropped += this.queued;
    this.#lanes.clear();
    this.#inFlight = 0;
  }

  #callOffTimers(): void {
    this.#callOffPause?.();
    for (const callOff of this.#callOffDue) callOff?.();
  }

  /** Whether there is room for one more, after others were dropped for it. */
  #makeRoom(lane: number): boolean {
    while (this.#lanes.isFull) {
      const worst = this.#lanes.takeWorst(lane);
      if (worst === undefined) return false;
      this.dropped += worst.batch.length;
      this.queueFull += worst.batch.length;
      worst.batch.drop();
    }
    return true;
  }

  /** Exports what is full, and sees to it that the rest of the lane is exported in time. */
  #seeTo(lane: number): void {
    if (this.#isClosed || this.#isFlushing) return;
    const isWaiting = !this.#isDue[lane] && this.#lanes.has(lane);
    if (isWaiting && this.#callOffDue[lane] === undefined) {
      const { delayMs } = this.#settings;
      const laneMs = lane === Lane.Sampled ? delayMs : Math.min(delayMs, this.#limits.keptDelayMs);
      this.#callOffDue[lane] = this.#wakeUps.after(laneMs, () => {
        this.#callOffDue[lane] = undefined;
        this.#isDue[lane] = true;
        this.#exportNext();
      });
    }
    if (this.#lanes.hasFull(lane)) this.#exportNext();
  }

  #exportNext(): void {
    if (this.#isExporting || this.#isClosed || this.#isFlushing) return;
    if (this.#callOffPause !== undefined) return;
    for (const lane of LANES) {
      if (!this.#isDue[lane] && !this.#lanes.hasFull(lane)) continue;
      const entry = this.#lanes.take(lane, this.#failures > 0);
      this.#callOffDue[lane]?.();
      this.#callOffDue[lane] = undefined;
      this.#isDue[lane] = false;
      if (entry === undefined) continue;
      this.#exportAlone(entry);
      return;
    }
  }

  #exportAlone(entry: WaitingBatch): void {
    this.#isExporting = true;
    const { lane } = entry;
    void this.#export(entry).then((retryMs) => {
      this.#isExporting = false;
      if (retryMs !== undefined) this.#pauseFor(retryMs);
      this.#seeTo(lane);
      this.#exportNext();
    });
  }

  /** Nothing is exported until then, in place of what was asked before. */
  #pauseFor(retryMs: Milliseconds): void {
    if (this.#isFlushing || this.#isClosed) return;
    this.#callOffPause?.();
    this.#callOffPause = this.#wakeUps.after(retryMs, () => {
      this.#callOffPause = undefined;
      this.#exportNext();
    });
  }

  async #exportUntilAnswered(first: WaitingBatch): Promise<void> {
    let entry: WaitingBatch | undefined = first;
    while (entry !== undefined && !this.#isClosed) {
      const retryMs: Milliseconds | undefined = await this.#export(entry);
      if (retryMs === undefined) return;
      await new Promise<void>((resolve) => void this.#wakeUps.after(retryMs, resolve));
      entry = this.#lanes.take(entry.lane, false);
    }
  }

  /**
   * Resolves when the batch has its answer or its time is over, with the milliseconds to wait for after
   * a failure that may pass; never rejects.
   */
  #export(entry: WaitingBatch): Promise<Milliseconds | undefined> {
    entry.attempts++;
    this.#inFlight += entry.batch.length;
    return new Promise((resolve) => {
      let isAnswered = false;
      let isLate = false;
      const { timeoutMs } = this.#settings;
      const callOff = this.#wakeUps.after(timeoutMs, () => {
        isLate = true;
        // It stays in flight: who has not answered may still take it.
        this.#lastError = `no answer in ${timeoutMs} ms`;
        this.#failures++;
        resolve(this.#isClosed ? undefined : this.#delay(0));
      });
      const answer = (result: ExportResult): void => {
        const rejected = this.#rejected;
        this.#rejected = 0;
        if (isAnswered) return;
        isAnswered = true;
        callOff();
        const retryMs = this.#isClosed
          ? undefined
          : this.#account(entry, result, { rejected, isLate });
        resolve(retryMs);
        if (isLate) this.#onLate(retryMs);
      };
      try {
        entry.batch.export(answer);
      } catch (error) {
        answer({ code: ExportResultCode.FAILED, error: error as Error });
      }
    });
  }

  /** An answer is here that nobody waits for any more. */
  #onLate(retryMs: Milliseconds | undefined): void {
    if (retryMs !== undefined) {
      this.#pauseFor(retryMs);
      return;
    }
    this.#callOffPause?.();
    this.#callOffPause = undefined;
    this.#exportNext();
  }

  /** Until the next try, after what has failed by now. */
  #delay(retryAfterMs: Milliseconds): Milliseconds {
    return nextDelay(Math.max(1, this.#failures), retryAfterMs, this.#random, this.#limits);
  }

  /** Tells for how long to wait after a failure that may pass. */
  #account(
    entry: WaitingBatch,
    { code, error }: ExportResult,
    { rejected, isLate }: { readonly rejected: number; readonly isLate: boolean },
  ): Milliseconds | undefined {
    const { length } = entry.batch;
    this.#inFlight -= length;
    if (code === ExportResultCode.SUCCESS) {
      const lost = Math.min(rejected, length);
      this.sent += length - lost;
      this.dropped += lost;
      if (lost > 0) this.#lastError = `the collector rejected ${lost} spans of a batch`;
      this.#failures = 0;
      return undefined;
    }
    this.#lastError = error === undefined ? 'the export failed' : describeError(error);
    const mayPass = error instanceof RetryableError;
    // One that is late has failed before.
    if (!mayPass) this.#failures = 0;
    else if (!isLate) this.#failures++;
    if (mayPass && entry.attempts < this.#limits.exportAttemptsMax) {
      this.#lanes.putBack(entry);
      this.#isDue[entry.lane] = true;
    } else {
      this.dropped += length;
      entry.batch.drop();
    }
    return mayPass ? this.#delay(error.retryAfterMs) : undefined;
  }
}
