/**
 * Exemplars: one a bucket and outcome, the newest, bounded, and only of series that records can name.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  ExemplarBook,
  ExemplarStore,
  HeldExemplars,
} from '../../src/telemetry/metrics/exemplars.ts';
import { spanKey } from '../../src/telemetry/metrics/request-cell.ts';
import type { ExchangeRecord } from '../../src/telemetry/record/exchange-record.ts';
import { outbound } from './records.ts';

function heldOf(...fields: readonly Partial<ExchangeRecord>[]): HeldExemplars {
  const held = new HeldExemplars(1_000_000, 100);
  for (const each of fields) held.add(outbound(each));
  return held;
}

test('the newest batch that was taken counts, of each bucket', () => {
  const store = new ExemplarStore(100);
  store.take(heldOf({ seriesId: 3, totalUs: 10, spanId1: 1 }));
  store.take(heldOf({ seriesId: 3, totalUs: 20, spanId1: 2 }));
  store.take(heldOf({ seriesId: 3, totalUs: 2_000, spanId1: 3 }));
  const entries = store.entries();
  assert.deepEqual(
    entries.map(({ spanId, bucket, us }) => [spanId.slice(-1), bucket, us]),
    [
      ['2', 0, 20],
      ['3', 2, 2_000],
    ],
  );
});

test('a span that no series has counted is none', () => {
  assert.deepEqual([...heldOf({ seriesId: 0 }).entries], []);
});

test('a batch holds few and the store is bounded: the oldest go', () => {
  const held = new HeldExemplars(0, 5);
  for (let status = 200; status < 210; status++) held.add(outbound({ seriesId: 1, status }));
  assert.equal([...held.entries].length, 5);
  const store = new ExemplarStore(3);
  store.take(held);
  const keys = store.entries().map(({ key }) => key);
  assert.deepEqual(
    keys,
    [202, 203, 204].map((status) => spanKey(outbound({ status }))),
  );
});

test('of several sources the newest is found, and nothing for others', () => {
  const store = new ExemplarStore(10);
  store.take(heldOf({ seriesId: 1, startMs: 50, spanId1: 1 }, { seriesId: 2, spanId1: 2 }));
  const book = new ExemplarBook(store.entries());
  const key = spanKey(outbound());
  const found = book.find([
    { seriesId: 1, key },
    { seriesId: 2, key },
  ]);
  assert.equal(found?.filter((each) => each !== undefined).length, 1);
  assert.equal(found?.[2]?.spanId.slice(-1), '2');
  assert.equal(book.find([{ seriesId: 1, key: key + 1 }]), undefined);
  assert.equal(book.find([{ seriesId: 9, key }]), undefined);
});
