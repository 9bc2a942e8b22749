/**
 * Ids and the sampling decision of a span: continues a received trace or starts one.
 *
 * Hot: integers only. When nothing is exported no trace is started, and a received one passes through
 * as it came, so that a sidecar without a collector never leaves a parent that nobody can find.
 */

import type { Random } from '../base/random.ts';
import { type ExchangeRecord, RecordFlag, SampledBy } from './exchange-record.ts';
import { HeadSampler } from './head-sampler.ts';
import type { SamplerSettings } from './settings.ts';
import { type TraceContext, TraceFlag } from './trace-context.ts';

const TRACE_BITS = RecordFlag.Sampled | RecordFlag.HasParent | RecordFlag.RandomId;

export class TraceIds {
  readonly #random: Random;
  readonly #sampler: HeadSampler;
  readonly #isExporting: boolean;

  constructor(sampler: SamplerSettings, random: Random, isExporting: boolean) {
    this.#random = random;
    this.#sampler = new HeadSampler(sampler);
    this.#isExporting = isExporting;
  }

  /** Writes ids, parent, trace flags and sampledBy of `record`; see HotTelemetry.beginSpan. */
  begin(record: ExchangeRecord, context: TraceContext): void {
    record.flags &= ~TRACE_BITS;
    record.sampledBy = SampledBy.None;
    if (context.present) this.#continueTrace(record, context);
    else if (this.#isExporting) this.#startTrace(record);
    else clearIds(record);
  }

  #continueTrace(record: ExchangeRecord, context: TraceContext): void {
    record.traceId0 = context.traceId0;
    record.traceId1 = context.traceId1;
    record.traceId2 = context.traceId2;
    record.traceId3 = context.traceId3;
    record.parentId0 = context.parentId0;
    record.parentId1 = context.parentId1;
    record.flags |= RecordFlag.HasParent;
    if ((context.flags & TraceFlag.Random) !== 0) record.flags |= RecordFlag.RandomId;
    const isParentSampled = (context.flags & TraceFlag.Sampled) !== 0;
    if (!this.#isExporting) {
      record.spanId0 = context.parentId0;
      record.spanId1 = context.parentId1;
      if (isParentSampled) record.flags |= RecordFlag.Sampled;
      return;
    }
    this.#newSpanId(record);
    if (!this.#sampler.isParentBased) this.#sampleByRatio(record);
    else if (isParentSampled) {
      record.flags |= RecordFlag.Sampled;
      record.sampledBy = SampledBy.Parent;
    }
  }

  #startTrace(record: ExchangeRecord): void {
    const random = this.#random;
    do {
      record.traceId0 = random.u32() | 0;
      record.traceId1 = random.u32() | 0;
      record.traceId2 = random.u32() | 0;
      record.traceId3 = random.u32() | 0;
    } while ((record.traceId0 | record.traceId1 | record.traceId2 | record.traceId3) === 0);
    record.parentId0 = 0;
    record.parentId1 = 0;
    record.flags |= RecordFlag.RandomId;
    this.#newSpanId(record);
    this.#sampleByRatio(record);
  }

  #newSpanId(record: ExchangeRecord): void {
    do {
      record.spanId0 = this.#random.u32() | 0;
      record.spanId1 = this.#random.u32() | 0;
    } while ((record.spanId0 | record.spanId1) === 0);
  }

  #sampleByRatio(record: ExchangeRecord): void {
    if (!this.#sampler.isInRatio(record.traceId2, record.traceId3)) return;
    record.flags |= RecordFlag.Sampled;
    record.sampledBy = SampledBy.Ratio;
  }
}

function clearIds(record: ExchangeRecord): void {
  record.traceId0 = 0;
  record.traceId1 = 0;
  record.traceId2 = 0;
  record.traceId3 = 0;
  record.spanId0 = 0;
  record.spanId1 = 0;
  record.parentId0 = 0;
  record.parentId1 = 0;
}
