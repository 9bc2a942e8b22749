/** Which exchanges have their trace kept, why, and what the budgets refuse. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import { KeepVerdicts } from '../../src/telemetry/keep/keep-verdicts.ts';
import { KeepState } from '../../src/telemetry/metrics/keep-state.ts';
import { MetricRegistry, type RequestSeries } from '../../src/telemetry/metrics/metrics.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import { type KeepSettings, usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';
import { inbound, outbound } from './records.ts';

const { HasParent, Kept, Muted, PeerKeeps, PeerMeshed, Refused, Sampled } = RecordFlag;

interface Desk {
  readonly verdicts: KeepVerdicts;
  readonly series: RequestSeries;
  /** Mark records for the worker. */
  readonly written: ExchangeRecord[];
}

function desk(settings: Partial<KeepSettings> = {}): Desk {
  const written: ExchangeRecord[] = [];
  const verdicts = new KeepVerdicts({ ...usualChoices.keep, ...settings }, 7, (record) => {
    written.push(Object.assign(new ExchangeRecord(), record));
    return true;
  });
  return { verdicts, series: { keep: new KeepState() } as unknown as RequestSeries, written };
}

let traces = 1;
const denied = failure.denied.code;

/** Of a trace of its own. */
function fresh(fields: Partial<ExchangeRecord>, make = outbound): ExchangeRecord {
  return make({ traceId3: traces++, ...fields });
}

for (const [title, fields, by] of [
  ['a plain answer', { status: 200 }, SampledBy.None],
  ['a 404 of the upstream', { status: 404 }, SampledBy.None],
  ['a 500 of the upstream', { status: 500 }, SampledBy.Error],
  ['no route', { status: 404, causeCode: failure['no-route'].code }, SampledBy.None],
  ['a downstream that left', { causeCode: failure['client-gone'].code }, SampledBy.None],
  ['a refused connect', { status: 0, causeCode: failure['connect-refused'].code }, SampledBy.Error],
  ['a bad request', { status: 400, causeCode: failure['protocol-error'].code }, SampledBy.Error],
  ['a denial', { status: 502, causeCode: failure['egress-denied'].code }, SampledBy.Denied],
  ['a caller that a policy denies', { status: 403, causeCode: denied }, SampledBy.Denied],
  ['a second attempt', { status: 200, attempt: 1 }, SampledBy.Retry],
  ['a second attempt that failed', { status: 503, attempt: 1 }, SampledBy.Retry],
] as const) {
  test(`${title}: ${by === SampledBy.None ? 'not kept' : 'kept, and the reason is told'}`, () => {
    const { verdicts, series } = desk();
    const record = fresh(fields);
    assert.equal(verdicts.decide(record, series, 5, true), by !== SampledBy.None);
    assert.equal(record.sampledBy, by);
    assert.equal((record.flags & Kept) !== 0, by !== SampledBy.None);
    if (by !== SampledBy.None) assert.equal(verdicts.counts.kept[by], 1);
  });
}

test('an error of a trace that the head sampler has chosen is still its choice', () => {
  const { verdicts, series } = desk();
  const flags = Sampled | HasParent;
  const record = fresh({ status: 500, flags, sampledBy: SampledBy.Ratio });
  assert.equal(verdicts.decide(record, series, 5, true), true);
  assert.equal(record.sampledBy, SampledBy.Ratio);
  assert.notEqual(record.flags & Kept, 0, 'others are told');
});

test('a 4xx of the upstream is kept where the settings say so', () => {
  const { verdicts, series } = desk({ keeps4xx: true });
  const record = fresh({ status: 404 });
  assert.equal(verdicts.decide(record, series, 5, true), true);
  assert.equal(record.sampledBy, SampledBy.Error);
});

test('errors over the budget of a route are refused and counted; a second later others are kept', () => {
  const { verdicts, series } = desk({ errorsPerSecond: 20 });
  const fail = (now: number) => verdicts.decide(fresh({ status: 500 }), series, now, true);
  const first = Array.from({ length: 1_000 }, () => fail(0)).filter(Boolean);
  assert.equal(first.length, 20);
  assert.equal(verdicts.counts.kept[SampledBy.Error], 20);
  assert.equal(verdicts.counts.refused[SampledBy.Error], 980);
  let kept = 0;
  for (let ms = 1; ms <= 10_000; ms++) if (fail(ms)) kept++;
  assert.equal(kept, 200);
  assert.equal(verdicts.counts.kept[SampledBy.Error], 220);
  assert.equal(verdicts.counts.refused[SampledBy.Error], 980 + 9_800);
});

test('callers that a policy denies have the budget of errors: a flood of them fills no queue', () => {
  const { verdicts, series } = desk({ errorsPerSecond: 20 });
  const deny = () => verdicts.decide(fresh({ status: 403, causeCode: denied }), series, 0, true);
  assert.equal(Array.from({ length: 100 }, deny).filter(Boolean).length, 20);
  assert.equal(verdicts.counts.refused[SampledBy.Denied], 80);
});

test('all series of a route have one budget, those of another route their own', () => {
  const registry = new MetricRegistry();
  const seriesOf = (route: string, subset: string) =>
    registry.requestSeries({
      direction: 'outbound',
      listener: '',
      route,
      rule: '',
      cluster: 'c',
      subset,
    });
  const { verdicts } = desk();
  const failing = (series: RequestSeries) =>
    Array.from({ length: 30 }, () =>
      verdicts.decide(fresh({ status: 500 }), series, 0, true),
    ).filter(Boolean).length;
  assert.equal(failing(seriesOf('reviews', 'v1')), 20);
  assert.equal(failing(seriesOf('reviews', 'v2')), 0);
  assert.equal(failing(seriesOf('ratings', 'v1')), 20);
});

test('a budget of none keeps no error, and still counts each', () => {
  const { verdicts, series } = desk({ errorsPerSecond: 0 });
  assert.equal(verdicts.decide(fresh({ status: 500 }), series, 0, true), false);
  assert.equal(verdicts.counts.refused[SampledBy.Error], 1);
});

test('one exchange is judged once: refused at its head it is not refused again at its end', () => {
  const { verdicts, series } = desk({ errorsPerSecond: 0 });
  const record = fresh({ status: 500 });
  verdicts.decide(record, series, 0, false);
  verdicts.decide(record, series, 1, true);
  assert.equal(record.flags & Refused, Refused);
  assert.equal(verdicts.counts.refused[SampledBy.Error], 1);
});

test('slow is what passes the fixed limit or the learned one, once a second', () => {
  const { verdicts, series } = desk({ slowUs: 2_000_000 });
  const record = fresh({ startMs: 0.5 });
  assert.equal(verdicts.decide(record, series, 2_000.4, false), false);
  assert.equal(verdicts.decide(record, series, 2_000.6, false), true);
  assert.equal(record.sampledBy, SampledBy.Slow);
  series.keep.slowUs = 30_000;
  const late = (totalUs: number, now: number) =>
    verdicts.decide(fresh({ totalUs }), series, now, true);
  assert.equal(late(30_001, 2_900), false);
  assert.equal(verdicts.counts.refused[SampledBy.Slow], 1);
  assert.equal(late(30_000, 3_500), false);
  assert.equal(verdicts.counts.refused[SampledBy.Slow], 1);
  assert.equal(late(30_001, 3_500), true);
});

test('what the head sampler chose needs no verdict, and takes nothing from a budget', () => {
  const { verdicts, series } = desk();
  const record = fresh({ status: 500, flags: Sampled, sampledBy: SampledBy.Parent });
  assert.equal(verdicts.decide(record, series, 0, true), true);
  assert.equal(record.sampledBy, SampledBy.Parent);
  assert.equal(verdicts.counts.kept[SampledBy.Error], 0);
});

test('a hop that samples by its own ratio against its caller still keeps an error for all', () => {
  const { verdicts, series } = desk();
  const flags = Sampled | HasParent;
  const quiet = fresh({ flags, sampledBy: SampledBy.Ratio });
  assert.equal(verdicts.decide(quiet, series, 0, true), true);
  assert.equal(verdicts.verdictOf(quiet), false, 'callers are not told: they have ratios too');
  const failed = fresh({ flags, sampledBy: SampledBy.Ratio, status: 500 });
  assert.equal(verdicts.decide(failed, series, 0, true), true);
  assert.equal(verdicts.verdictOf(failed), true);
});

test('what the upstream keeps is kept, and with it what follows in the trace', () => {
  const { verdicts, series } = desk();
  const call = fresh({ status: 200 });
  verdicts.learn(call, true, 0);
  assert.equal(call.flags & (PeerMeshed | PeerKeeps | Kept), PeerMeshed | PeerKeeps | Kept);
  const server = inbound({ traceId3: call.traceId3, status: 200 });
  assert.equal(verdicts.decide(server, series, 1, false), true);
  assert.equal(server.sampledBy, SampledBy.Retro);
  const next = outbound({ traceId3: call.traceId3, flags: HasParent });
  verdicts.begin(next);
  assert.equal(next.flags & Kept, Kept);
  const other = outbound({ traceId3: traces++, flags: HasParent });
  verdicts.begin(other);
  assert.equal(other.flags & Kept, 0);
});

test('an error that was refused below is the same one here, and takes no budget', () => {
  const { verdicts, series } = desk();
  const call = fresh({ status: 500 });
  verdicts.learn(call, false, 0);
  assert.equal(verdicts.decide(call, series, 0, false), false);
  const server = inbound({ traceId3: call.traceId3, status: 500 });
  assert.equal(verdicts.decide(server, series, 0, false), false);
  assert.equal(verdicts.counts.kept[SampledBy.Error], 0);
  assert.equal(verdicts.counts.refused[SampledBy.Error], 0);
  // Another trace has its own verdict, with an upstream that is no sidecar.
  assert.equal(verdicts.decide(fresh({ status: 500 }), series, 0, false), true);
});

test('a refusal is no obstacle for a retry: the trace is kept after all', () => {
  const { verdicts, series } = desk({ errorsPerSecond: 0 });
  const first = fresh({ status: 0, causeCode: failure['connect-refused'].code });
  assert.equal(verdicts.decide(first, series, 0, true), false);
  const second = outbound({ traceId3: first.traceId3, status: 200, attempt: 1 });
  assert.equal(verdicts.decide(second, series, 1, false), true);
  assert.equal(second.sampledBy, SampledBy.Retry);
});

test('a trace that a peer asks for is marked, and told to the worker once', () => {
  const { verdicts, series, written } = desk();
  const ids = Int32Array.of(1, 2, 3, -4, 5, 6, 7, 8);
  assert.equal(verdicts.keep(ids, 2, '10.0.0.9', 10), 2);
  assert.equal(verdicts.keep(ids, 1, '10.0.0.9', 11), 1);
  assert.deepEqual(
    written.map(({ kind, traceId0, traceId3, peerAddress }) => [
      kind,
      traceId0,
      traceId3,
      peerAddress,
    ]),
    [
      [RecordKind.Mark, 1, -4, '10.0.0.9'],
      [RecordKind.Mark, 5, 8, '10.0.0.9'],
    ],
  );
  assert.equal(verdicts.received, 3);
  assert.equal(verdicts.known, 1);
  const late = inbound({ traceId0: 1, traceId1: 2, traceId2: 3, traceId3: -4 });
  assert.equal(verdicts.decide(late, series, 12, true), true);
  assert.equal(late.sampledBy, SampledBy.Retro);
});

test('of 100 000 ids that peers send in a second those are taken that the rate allows', () => {
  const { verdicts, written } = desk();
  let taken = 0;
  const ids = new Int32Array(400);
  for (let message = 0; message < 1_000; message++) {
    for (let word = 0; word < ids.length; word++) ids[word] = message * 400 + word + 1;
    taken += verdicts.keep(ids, 100, '10.0.0.9', message);
  }
  const { receivedIdsPerSecond } = keepLimits;
  assert.equal(taken, 2 * receivedIdsPerSecond - 1, 'those of one second, and of the bucket');
  assert.equal(written.length, taken);
  assert.equal(verdicts.overRate, 100_000 - taken);
});

test('of 100 000 traces that answers say are kept, those are that the rate allows, all counted', () => {
  const { verdicts, series } = desk();
  let kept = 0;
  for (let index = 0; index < 100_000; index++) {
    const now = Math.floor(index / 100);
    const call = fresh({ status: 200 });
    verdicts.learn(call, true, now);
    assert.notEqual(call.flags & PeerKeeps, 0, 'it need not be told');
    if (verdicts.decide(call, series, now, true)) kept++;
  }
  const { receivedIdsPerSecond } = keepLimits;
  assert.equal(kept, 2 * receivedIdsPerSecond - 1, 'those of one second, and of the bucket');
  assert.equal(verdicts.learned, kept);
  assert.equal(verdicts.learnedOverRate, 100_000 - kept);
  assert.equal(verdicts.keep(Int32Array.of(9, 9, 9, 9), 1, '10.0.0.9', 999), 1, 'not of messages');
});

test('what is kept already takes nothing from the rate of answers', () => {
  const { verdicts } = desk();
  const first = fresh({ status: 200 });
  verdicts.learn(first, true, 0);
  for (let index = 0; index < 5_000; index++) {
    const call = outbound({ traceId3: first.traceId3, status: 200 });
    verdicts.learn(call, true, 0);
    assert.notEqual(call.flags & Kept, 0);
    verdicts.learn(fresh({ flags: Sampled, sampledBy: SampledBy.Parent }), true, 0);
  }
  assert.deepEqual([verdicts.learned, verdicts.learnedOverRate], [1, 0]);
});

test('over the rate of answers an error is still judged by what is known here', () => {
  const { verdicts, series } = desk();
  for (let index = 0; index < keepLimits.receivedIdsPerSecond; index++) {
    verdicts.learn(fresh({ status: 200 }), true, 0);
  }
  const call = fresh({ status: 500 });
  verdicts.learn(call, true, 0);
  assert.equal(verdicts.learnedOverRate, 1);
  assert.equal(verdicts.decide(call, series, 0, true), true);
  assert.equal(call.sampledBy, SampledBy.Error);
});

test('a record without a span of its own goes on with the flag that it came with', () => {
  const { verdicts } = desk();
  const call = fresh({ status: 200 });
  verdicts.learn(call, true, 0);
  const muted = outbound({ traceId3: call.traceId3, flags: HasParent | Muted });
  verdicts.begin(muted);
  assert.equal(muted.flags, HasParent | Muted);
  const next = outbound({ traceId3: call.traceId3, flags: HasParent });
  verdicts.begin(next);
  assert.equal(next.flags, HasParent | Kept);
});
