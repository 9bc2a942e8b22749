/**
 * Open requests by header values: one is found, of two none, what is over is forgotten, and no more than
 * there is room for is kept.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow, seededRandom } from '../../src/base/random.ts';
import { correlationFieldsOf } from '../../src/telemetry/context/correlation-fields.ts';
import { Found, OpenRequests } from '../../src/telemetry/context/open-requests.ts';
import { TraceContext, TraceFlag } from '../../src/telemetry/context/trace-context.ts';
import { RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { inbound } from './records.ts';

const none = new TraceContext();

function add(open: OpenRequests, value: string, id: number, field = 0): number {
  open.hashText(field, value, 0, value.length);
  return open.add(inbound({ traceId3: id, spanId1: id }), none);
}

function find(open: OpenRequests, value: string, field = 0): number | 'none' | 'several' {
  const out = new TraceContext();
  open.hashText(field, value, 0, value.length);
  const found = open.find(out);
  if (found === Found.One) return out.parentId1;
  assert.equal(out.present, false);
  return found === Found.None ? 'none' : 'several';
}

test('a value leads to its one open request, with ids, flags and threshold', () => {
  const open = new OpenRequests(1, 2, 16);
  const record = inbound({ flags: RecordFlag.Sampled | RecordFlag.RandomId });
  const context = new TraceContext();
  context.setThreshold(0xc0_0000, 7);
  open.hashText(0, 'xabcx', 1, 4);
  open.add(record, context);
  const out = new TraceContext();
  open.hashBytes(0, Buffer.from('abc'), 0, 3);
  assert.equal(open.find(out), Found.One);
  const { traceId0, traceId1, traceId2, traceId3, parentId0, parentId1 } = out;
  assert.deepEqual(
    [traceId0, traceId1, traceId2, traceId3, parentId0, parentId1],
    [
      record.traceId0,
      record.traceId1,
      record.traceId2,
      record.traceId3,
      record.spanId0,
      record.spanId1,
    ],
  );
  assert.equal(out.flags, TraceFlag.Sampled | TraceFlag.Random);
  assert.deepEqual([out.thresholdHigh, out.thresholdLow], [0xc0_0000, 7]);
});

test('two open requests with one value are none, and the one that is left is one again', () => {
  const open = new OpenRequests(1, 2, 16);
  const first = add(open, 'same', 1);
  const second = add(open, 'same', 2);
  assert.equal(find(open, 'same'), 'several');
  open.remove(first);
  assert.equal(find(open, 'same'), 2);
  open.remove(second);
  assert.equal(find(open, 'same'), 'none');
});

test('the same value of another field is another value', () => {
  const open = new OpenRequests(1, 2, 16);
  add(open, 'id', 1, 0);
  add(open, 'id', 2, 1);
  assert.equal(find(open, 'id', 0), 1);
  assert.equal(find(open, 'id', 1), 2);
  assert.equal(find(open, 'id', 2), 'none');
});

test('what has no room is not added, until something is removed', () => {
  const open = new OpenRequests(1, 2, 4);
  const slots = [1, 2, 3, 4].map((id) => add(open, `v${id}`, id));
  assert.equal(add(open, 'v5', 5), -1);
  assert.equal(find(open, 'v5'), 'none');
  open.remove(slots[1]!);
  assert.ok(add(open, 'v5', 5) >= 0);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map((id) => find(open, `v${id}`)),
    [1, 'none', 3, 4, 5],
  );
});

test('100,000 requests in any order are found while they are open and not after', () => {
  const random = seededRandom(6);
  const open = new OpenRequests(random.u32(), random.u32(), 64);
  const slots = new Map<number, number>();
  for (let round = 1; round <= 100_000; round++) {
    const key = 1 + randomBelow(random, 80);
    const slot = slots.get(key);
    if (slot !== undefined) {
      open.remove(slot);
      slots.delete(key);
    } else {
      const added = add(open, `request ${key}`, key);
      assert.equal(added < 0, slots.size === 64);
      if (added >= 0) slots.set(key, added);
    }
    const asked = 1 + randomBelow(random, 80);
    assert.equal(find(open, `request ${asked}`), slots.has(asked) ? asked : 'none');
  }
});

test('configured fields follow the known ones, each once', () => {
  const names = correlationFieldsOf(['x-order', 'x-request-id']);
  assert.equal(names[0], 'x-request-id');
  assert.equal(names.at(-1), 'x-order');
  assert.equal(new Set(names).size, names.length);
});
