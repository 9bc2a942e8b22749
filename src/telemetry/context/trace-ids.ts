/**
 * Ids and the sampling decision of a span: continues a received trace or starts one.
 *
 * Hot: integers only. Where no span is made, of a record or of its direction or at all, no trace is
 * started, and a received one passes through as it came, so that nobody has a parent that cannot be found.
 */

import type { Random } from '../../base/random.ts';
import type { TracingRule, TracingRules } from '../../model/routing-table.ts';
import {
  type ExchangeRecord,
  isOutbound,
  RecordFlag,
  SampledBy,
} from '../record/exchange-record.ts';
import type { SamplerSettings } from '../settings/settings.ts';
import type { SpansMode } from '../settings/tracing-choices.ts';
import { HeadSampler, reaches } from './head-sampler.ts';
import { thresholdDigits } from './sampling-state.ts';
import { Decision, type TraceContext, TraceFlag } from './trace-context.ts';

const TRACE_BITS =
  RecordFlag.Sampled |
  RecordFlag.HasParent |
  RecordFlag.RandomId |
  RecordFlag.Kept |
  RecordFlag.OwnThreshold;

export class TraceIds {
  readonly #random: Random;
  readonly #settings: SamplerSettings;
  readonly #isExporting: boolean;
  readonly #spans: SpansMode;
  #inbound: HeadSampler;
  #outbound: HeadSampler;
  #mutesInbound: boolean;
  #mutesOutbound: boolean;

  constructor(
    sampler: SamplerSettings,
    random: Random,
    isExporting: boolean,
    spans: SpansMode = 'both',
  ) {
    this.#random = random;
    this.#settings = sampler;
    this.#isExporting = isExporting;
    this.#spans = spans;
    this.#inbound = new HeadSampler(sampler);
    this.#outbound = this.#inbound;
    this.#mutesInbound = spans === 'client';
    this.#mutesOutbound = spans === 'server';
  }

  /** From now on spans begin as a table says; where it is silent, as the settings say. */
  setRules({ inbound, outbound }: TracingRules): void {
    this.#inbound = this.#samplerOf(inbound);
    this.#outbound = this.#samplerOf(outbound);
    this.#mutesInbound = this.#spans === 'client' || !inbound.isReported;
    this.#mutesOutbound = this.#spans === 'server' || !outbound.isReported;
  }

  #samplerOf({ ratio }: TracingRule): HeadSampler {
    const settings = this.#settings;
    return new HeadSampler(ratio === undefined ? settings : { ...settings, ratio });
  }

  /**
   * Writes ids, parent, trace flags, sampledBy and extra of `record`, and the threshold that goes on
   * into `context`; see HotTelemetry.beginSpan.
   */
  begin(record: ExchangeRecord, context: TraceContext): void {
    record.flags &= ~TRACE_BITS;
    record.sampledBy = SampledBy.None;
    record.extra = '';
    const isClient = isOutbound(record);
    if (isClient ? this.#mutesOutbound : this.#mutesInbound) record.flags |= RecordFlag.Muted;
    const hasSpan = this.#isExporting && (record.flags & RecordFlag.Muted) === 0;
    const sampler = isClient ? this.#outbound : this.#inbound;
    if (context.present) this.#continueTrace(record, context, hasSpan, sampler);
    else if (hasSpan) this.#startTrace(record, context, sampler);
    else clearIds(record);
  }

  #continueTrace(
    record: ExchangeRecord,
    context: TraceContext,
    hasSpan: boolean,
    sampler: HeadSampler,
  ): void {
    record.traceId0 = context.traceId0;
    record.traceId1 = context.traceId1;
    record.traceId2 = context.traceId2;
    record.traceId3 = context.traceId3;
    record.parentId0 = context.parentId0;
    record.parentId1 = context.parentId1;
    record.flags |= RecordFlag.HasParent;
    if ((context.flags & TraceFlag.Random) !== 0) record.flags |= RecordFlag.RandomId;
    const isParentSampled = (context.flags & TraceFlag.Sampled) !== 0;
    if (!hasSpan) {
      record.spanId0 = context.parentId0;
      record.spanId1 = context.parentId1;
      if (isParentSampled) record.flags |= RecordFlag.Sampled;
      return;
    }
    this.#newSpanId(record);
    if (context.decision === Decision.Debug) sampleAs(record, SampledBy.Debug);
    else if (!sampler.isParentBased || context.decision === Decision.Deferred) {
      sampleByRatio(record, context, sampler);
    } else if (isParentSampled) {
      record.flags |= RecordFlag.Sampled;
      record.sampledBy = SampledBy.Parent;
      if (context.thresholdHigh >= 0) noteThreshold(record, context, sampler);
    } else if (context.decision === Decision.Capped) record.sampledBy = SampledBy.Cap;
  }

  #startTrace(record: ExchangeRecord, context: TraceContext, sampler: HeadSampler): void {
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
    decideRoot(record, context, sampler);
  }

  #newSpanId(record: ExchangeRecord): void {
    do {
      record.spanId0 = this.#random.u32() | 0;
      record.spanId1 = this.#random.u32() | 0;
    } while ((record.spanId0 | record.spanId1) === 0);
  }
}

/** Without a trace a caller may still have decided. */
function decideRoot(record: ExchangeRecord, context: TraceContext, sampler: HeadSampler): void {
  const { decision } = context;
  if (decision === Decision.None) sampleByRatio(record, context, sampler);
  else if (decision === Decision.Debug) sampleAs(record, SampledBy.Debug);
  else if (!sampler.isParentBased) sampleByRatio(record, context, sampler);
  else if (decision === Decision.Accepted) sampleAs(record, SampledBy.Parent);
  else if (decision === Decision.Capped) record.sampledBy = SampledBy.Cap;
}

function sampleAs(record: ExchangeRecord, by: number): void {
  record.flags |= RecordFlag.Sampled;
  record.sampledBy = by;
}

function sampleByRatio(record: ExchangeRecord, context: TraceContext, sampler: HeadSampler): void {
  const isExplicit = context.randomHigh >= 0;
  const high = isExplicit ? context.randomHigh : record.traceId2;
  const low = isExplicit ? context.randomLow : record.traceId3;
  if (!sampler.isInRatio(high, low)) {
    context.setThreshold(-1, 0);
    return;
  }
  record.flags |= RecordFlag.Sampled | RecordFlag.OwnThreshold;
  record.sampledBy = SampledBy.Ratio;
  context.setThreshold(sampler.thresholdHigh, sampler.thresholdLow);
}

/** A threshold that cannot have let this trace pass is a mistake, and would be counted wrong. */
function noteThreshold(record: ExchangeRecord, context: TraceContext, sampler: HeadSampler): void {
  const { thresholdHigh: high, thresholdLow: low } = context;
  const isExplicit = context.randomHigh >= 0;
  const randomHigh = isExplicit ? context.randomHigh : record.traceId2;
  const randomLow = isExplicit ? context.randomLow : record.traceId3;
  if (!reaches(randomHigh, randomLow, high, low)) {
    context.setThreshold(-1, 0);
  } else if (high === sampler.thresholdHigh && low === sampler.thresholdLow) {
    record.flags |= RecordFlag.OwnThreshold;
  } else {
    record.extra = `t${thresholdDigits(high, low)}`;
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
