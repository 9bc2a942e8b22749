/**
 * A HotTelemetry that keeps every record in memory and makes ids by counting.
 *
 * It stands in for the ring and the worker where a test asks what the proxy reported. The rules of
 * sampling are telemetry's own and are tested there: this one samples everything.
 */

import type { TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { ExchangeRecord, RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { NameTable } from '../../src/telemetry/record/name-table.ts';
import type { HotTelemetry } from '../../src/telemetry/telemetry.ts';

export class MemoryTelemetry implements HotTelemetry {
  readonly isExporting = true;
  readonly names: NameTable;
  readonly metrics: MetricRegistry = new MetricRegistry();
  /** Copies, in the order of `finish`. */
  readonly records: ExchangeRecord[] = [];
  /** Whether spans are sampled at their head. */
  isSampling = true;
  /** What upstreams said of their traces, in order. */
  readonly learned: boolean[] = [];
  /** `TRACE-ID ADDRESS` of what peers asked to keep, up to `askedMax` of them. */
  readonly asked: string[] = [];
  askedMax = Number.POSITIVE_INFINITY;
  #spans = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param namesMax from then on names have the id 0 */
  constructor(namesMax = 10_000) {
    this.names = new NameTable(() => undefined, namesMax);
  }

  beginSpan(record: ExchangeRecord, context: TraceContext): void {
    this.#spans++;
    if (this.isSampling) record.flags |= RecordFlag.Sampled;
    record.spanId0 = 0x5a;
    record.spanId1 = this.#spans;
    if (context.present) {
      record.flags |= RecordFlag.HasParent;
      record.traceId0 = context.traceId0;
      record.traceId1 = context.traceId1;
      record.traceId2 = context.traceId2;
      record.traceId3 = context.traceId3;
      record.parentId0 = context.parentId0;
      record.parentId1 = context.parentId1;
    } else {
      record.traceId0 = 0x7ace;
      record.traceId3 = this.#spans;
    }
  }

  finish(record: ExchangeRecord): void {
    this.records.push(Object.assign(new ExchangeRecord(), record));
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  decide(record: ExchangeRecord): boolean {
    return this.verdictOf(record);
  }

  learn(record: ExchangeRecord, keeps: boolean): void {
    this.learned.push(keeps);
    record.flags |= RecordFlag.PeerMeshed | (keeps ? RecordFlag.PeerKeeps | RecordFlag.Kept : 0);
  }

  keep(ids: Int32Array, count: number, address: string): number {
    const words = Array.from(ids.subarray(0, 4 * count), (word) => word >>> 0);
    const hex = words.map((word) => word.toString(16).padStart(8, '0')).join('');
    for (const [id] of hex.matchAll(/.{32}/g)) {
      if (this.asked.length === this.askedMax) break;
      this.asked.push(`${id} ${address}`);
    }
    return Math.min(count, this.askedMax);
  }

  verdictOf(record: ExchangeRecord): boolean {
    return (record.flags & (RecordFlag.Sampled | RecordFlag.Kept)) !== 0;
  }

  /** Resolves when at least `count` records have been finished. */
  async recorded(count: number): Promise<void> {
    while (this.records.length < count) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
