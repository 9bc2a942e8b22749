/**
 * What a table's tracing rules and `--spans` do to the beginning of a span: the ratio of new traces by
 * direction, and spans that are not made, whose parents stay what they were.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import {
  noTracingRules,
  type TracingRule,
  type TracingRules,
} from '../../src/model/routing-table.ts';
import { TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import {
  ExchangeRecord,
  isExported,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/record/exchange-record.ts';

const parentBased = { isParentBased: true, ratio: 0 };

function idsOf(over: Partial<{ ratio: number; spans: 'both' | 'server' | 'client' }> = {}) {
  const sampler = { ...parentBased, ratio: over.ratio ?? 0 };
  return new TraceIds(sampler, seededRandom(3), true, over.spans);
}

function rules(inbound: Partial<TracingRule>, outbound: Partial<TracingRule> = {}): TracingRules {
  return {
    inbound: { ...noTracingRules.inbound, ...inbound },
    outbound: { ...noTracingRules.outbound, ...outbound },
  };
}

function begin(ids: TraceIds, kind: number, context = new TraceContext()): ExchangeRecord {
  const record = new ExchangeRecord();
  record.kind = kind;
  ids.begin(record, context);
  return record;
}

function received(isSampled: boolean): TraceContext {
  const context = new TraceContext();
  context.present = true;
  context.traceId3 = 7;
  context.parentId1 = 9;
  context.flags = isSampled ? 3 : 2;
  return context;
}

function shareOf(ids: TraceIds, kind: number): number {
  let sampled = 0;
  for (let count = 0; count < 2_000; count++) {
    if (isExported(begin(ids, kind).flags)) sampled++;
  }
  return sampled / 2_000;
}

test("a table's ratio beats that of the settings, by direction, and goes with the table", () => {
  const ids = idsOf({ ratio: 0 });
  assert.equal(shareOf(ids, RecordKind.Server), 0);
  ids.setRules(rules({ ratio: 1 }, { ratio: 0.25 }));
  assert.equal(shareOf(ids, RecordKind.Server), 1);
  const share = shareOf(ids, RecordKind.Client);
  assert.ok(share > 0.2 && share < 0.3, `${share}`);
  ids.setRules(noTracingRules);
  assert.equal(shareOf(ids, RecordKind.Server), 0);
});

test("a caller's decision is followed whatever ratio a table has", () => {
  const ids = idsOf({ ratio: 1 });
  ids.setRules(rules({ ratio: 1 }));
  assert.ok(!isExported(begin(ids, RecordKind.Server, received(false)).flags));
  ids.setRules(rules({ ratio: 0 }));
  assert.ok(isExported(begin(ids, RecordKind.Server, received(true)).flags));
});

for (const [what, make] of [
  ['--spans client', () => idsOf({ ratio: 1, spans: 'client' })],
  [
    'disableSpanReporting of SERVER',
    () => {
      const ids = idsOf({ ratio: 1 });
      ids.setRules(rules({ isReported: false }));
      return ids;
    },
  ],
] as const) {
  test(`${what} makes no SERVER spans: a trace passes as it came and none begins there`, () => {
    const ids = make();
    const passed = begin(ids, RecordKind.Server, received(true));
    assert.ok(!isExported(passed.flags));
    assert.deepEqual([passed.traceId3, passed.spanId1, passed.parentId1], [7, 9, 9]);
    assert.ok(passed.flags & RecordFlag.Sampled, 'the flag goes on');
    const root = begin(ids, RecordKind.Server);
    assert.deepEqual([root.traceId0, root.spanId1, isExported(root.flags)], [0, 0, false]);
    assert.ok(isExported(begin(ids, RecordKind.Client).flags));
    assert.notEqual(begin(ids, RecordKind.Client, received(true)).spanId1, 9);
  });
}

test('what the settings have switched off no table switches on', () => {
  const ids = idsOf({ ratio: 1, spans: 'server' });
  ids.setRules(rules({}, { isReported: true, ratio: 1 }));
  assert.equal(shareOf(ids, RecordKind.Client), 0);
  assert.equal(shareOf(ids, RecordKind.Server), 1);
});

test('a span of its own is begun again once a table wants it', () => {
  const ids = idsOf({ ratio: 1 });
  ids.setRules(rules({ isReported: false }));
  ids.setRules(rules({ isReported: true }));
  assert.notEqual(begin(ids, RecordKind.Server, received(true)).spanId1, 9);
});
