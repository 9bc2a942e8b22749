/**
 * Head sampling and ids: ratios, what a parent decides, and that every hop decides alike.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { HeadSampler } from '../../src/telemetry/context/head-sampler.ts';
import { readTraceparent, TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import {
  ExchangeRecord,
  RecordFlag,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { printTraceparent } from './records.ts';

function ids(env: Record<string, string>, seed = 1): TraceIds {
  const { settings, warnings } = readTelemetrySettings(env);
  assert.deepEqual(warnings, []);
  return new TraceIds(settings.sampler, seededRandom(seed), settings.exporter !== 'none');
}

function begin(from: TraceIds, parent?: string): ExchangeRecord {
  const context = new TraceContext();
  if (parent !== undefined) assert.ok(readTraceparent(parent, 0, parent.length, context));
  const record = new ExchangeRecord();
  from.begin(record, context);
  return record;
}

const isSampled = (record: ExchangeRecord) => (record.flags & RecordFlag.Sampled) !== 0;
const parentOf = (record: ExchangeRecord) => printTraceparent(record).slice(13, 68);

for (const ratio of [0.5, 0.1, 0.01, 0.001]) {
  test(`a ratio of ${ratio} keeps that share within three standard deviations`, () => {
    const from = ids({
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: String(ratio),
    });
    const total = 200_000;
    let kept = 0;
    for (let index = 0; index < total; index++) if (isSampled(begin(from))) kept++;
    const sigma = Math.sqrt(total * ratio * (1 - ratio));
    assert.ok(Math.abs(kept - total * ratio) < 3 * sigma, `${kept} of ${total}`);
  });
}

test('hops with ratios of 50, 10 and 1 % keep nested sets of traces', () => {
  const samplers = [0.5, 0.1, 0.01].map(
    (ratio) => new HeadSampler({ isParentBased: false, ratio }),
  );
  const random = seededRandom(3);
  const kept = [0, 0, 0];
  for (let index = 0; index < 100_000; index++) {
    const traceId2 = random.u32() | 0;
    const traceId3 = random.u32() | 0;
    const decisions = samplers.map((sampler) => sampler.isInRatio(traceId2, traceId3));
    if (decisions[2]) assert.ok(decisions[1]);
    if (decisions[1]) assert.ok(decisions[0]);
    decisions.forEach((decision, at) => {
      if (decision) kept[at]!++;
    });
  }
  assert.ok(kept[0]! > kept[1]! && kept[1]! > kept[2]! && kept[2]! > 0);
});

test('the ends of the ratio are exact', () => {
  const all = new HeadSampler({ isParentBased: false, ratio: 1 });
  const none = new HeadSampler({ isParentBased: false, ratio: 0 });
  const quarter = new HeadSampler({ isParentBased: false, ratio: 0.25 });
  for (const [traceId2, traceId3] of [
    [0, 0],
    [-1, -1],
    [0x00ff_ffff, -1],
  ] as const) {
    assert.equal(all.isInRatio(traceId2, traceId3), true);
    assert.equal(none.isInRatio(traceId2, traceId3), false);
  }
  assert.equal(quarter.isInRatio(0x00c0_0000, 0), true, 'th:c keeps c0_0000_0000_0000');
  assert.equal(quarter.isInRatio(0x00bf_ffff, -1), false);
});

const SAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const UNSAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';

const decisions: readonly (readonly [
  sampler: string,
  argument: string,
  root: boolean,
  sampledParent: boolean,
  unsampledParent: boolean,
])[] = [
  ['always_on', '', true, true, true],
  ['always_off', '', false, false, false],
  ['traceidratio', '1', true, true, true],
  ['traceidratio', '0', false, false, false],
  ['parentbased_always_on', '', true, true, false],
  ['parentbased_always_off', '', false, true, false],
  ['parentbased_traceidratio', '0', false, true, false],
  ['parentbased_traceidratio', '1', true, true, false],
];

for (const [sampler, argument, root, sampledParent, unsampledParent] of decisions) {
  test(`${sampler} ${argument}: root ${root}, sampled parent ${sampledParent}`, () => {
    const from = ids({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument });
    assert.equal(isSampled(begin(from)), root);
    assert.equal(isSampled(begin(from, SAMPLED)), sampledParent);
    assert.equal(isSampled(begin(from, UNSAMPLED)), unsampledParent);
  });
}

test('a record says who decided', () => {
  const parentBased = ids({ OTEL_TRACES_SAMPLER: 'parentbased_always_on' });
  assert.equal(begin(parentBased).sampledBy, SampledBy.Ratio);
  assert.equal(begin(parentBased, SAMPLED).sampledBy, SampledBy.Parent);
  assert.equal(begin(parentBased, UNSAMPLED).sampledBy, SampledBy.None);
  assert.equal(
    begin(ids({ OTEL_TRACES_SAMPLER: 'always_on' }), SAMPLED).sampledBy,
    SampledBy.Ratio,
  );
});

test('the default keeps 1 % of new traces and follows a parent', () => {
  const from = ids({});
  let kept = 0;
  for (let index = 0; index < 20_000; index++) if (isSampled(begin(from))) kept++;
  assert.ok(kept > 150 && kept < 250, String(kept));
  assert.equal(isSampled(begin(from, SAMPLED)), true);
});

test('a continued trace keeps its id and flags, gets a new span id and its parent', () => {
  const record = begin(ids({}), 'cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more');
  assert.match(printTraceparent(record), /^traceparent: 00-0af7651916cd43dd8448eb211c80319c-/);
  assert.ok(printTraceparent(record).endsWith('-03\r\n'));
  assert.equal(record.parentId0 >>> 0, 0xb7ad6b71);
  assert.equal(record.parentId1 >>> 0, 0x69203331);
  assert.notEqual(parentOf(record).slice(36, 52), 'b7ad6b7169203331');
  assert.equal((record.flags & RecordFlag.HasParent) !== 0, true);
});

test('a new trace sets random, has no parent, and the next hop continues it', () => {
  const first = begin(ids({ OTEL_TRACES_SAMPLER: 'always_on' }));
  assert.ok(parentOf(first).endsWith('-03'));
  assert.equal((first.flags & RecordFlag.HasParent) !== 0, false);
  const next = begin(ids({}, 2), parentOf(first));
  assert.equal(parentOf(next).slice(3, 35), parentOf(first).slice(3, 35));
  assert.equal(next.parentId0, first.spanId0);
  assert.equal(next.parentId1, first.spanId1);
});

test('flags that the proxy set survive, those of an earlier trace do not', () => {
  const record = new ExchangeRecord();
  record.flags = RecordFlag.ConnectionReused | RecordFlag.Sampled | RecordFlag.HasParent;
  ids({ OTEL_TRACES_SAMPLER: 'always_off' }).begin(record, new TraceContext());
  assert.equal(record.flags, RecordFlag.ConnectionReused | RecordFlag.RandomId);
});

test('ids are never all zero', () => {
  const values = [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 9];
  let next = 0;
  const from = new TraceIds(
    { isParentBased: true, ratio: 0 },
    { u32: () => values[next++] ?? assert.fail('asked too often') },
    true,
  );
  const record = begin(from);
  assert.equal(record.traceId3, 5);
  assert.equal(record.spanId1, 9);
});

for (const env of [{ OTEL_TRACES_EXPORTER: 'none' }, { OTEL_SDK_DISABLED: 'true' }]) {
  test(`with ${Object.keys(env)[0]} a trace passes through and none is started`, () => {
    const from = ids(env);
    assert.equal(printTraceparent(begin(from)), '');
    assert.equal(parentOf(begin(from, SAMPLED)), SAMPLED);
    assert.equal(parentOf(begin(from, UNSAMPLED)), UNSAMPLED);
  });
}
