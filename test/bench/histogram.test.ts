/**
 * The log-linear histogram against exact percentiles of the same values.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Histogram } from '../../bench/load/histogram.ts';
import { seededRandom } from '../../src/base/random.ts';

/** Durations from 50 ns to some seconds, the way latencies are spread: most small, few large. */
function drawDurations(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => 50 * Math.exp((random.u32() / 2 ** 32) * 17));
}

function exactPercentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.max(1, Math.ceil(sorted.length * share)) - 1]!;
}

test('a percentile is within half a percent of the exact one, over eight powers of ten', () => {
  const values = drawDurations(20_000, 7);
  const histogram = new Histogram();
  for (const value of values) histogram.record(value);
  for (const share of [0.001, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1]) {
    const exact = exactPercentile(values, share);
    const found = histogram.percentile(share);
    const allowed = Math.max(1, exact * 0.005);
    assert.ok(Math.abs(found - exact) <= allowed, `p${share * 100}: ${found}, exactly ${exact}`);
  }
});

test('merged histograms hold what one histogram of all values holds', () => {
  const values = drawDurations(5000, 11);
  const whole = new Histogram();
  const halves = [new Histogram(), new Histogram()];
  values.forEach((value, index) => {
    whole.record(value);
    halves[index % 2]!.record(value);
  });
  const merged = new Histogram();
  for (const half of halves) merged.add(half.toSparse());
  assert.equal(merged.total, 5000);
  assert.deepEqual(merged.toSparse(), whole.toSparse());
});

test('the ends of the range are counted, not lost', () => {
  const histogram = new Histogram();
  for (const value of [-5, 0, 127, 128, 2 ** 31, 2 ** 32, 1e12]) histogram.record(value);
  assert.equal(histogram.total, 7);
  assert.equal(histogram.percentile(0), 0);
  assert.ok(histogram.percentile(1) > 4.2e9);
});

test('an empty histogram has no percentile', () => {
  assert.ok(Number.isNaN(new Histogram().percentile(0.5)));
});

test('counts that no histogram can have written are refused', () => {
  assert.throws(() => new Histogram().add([999_999, 1]), RangeError);
  assert.throws(() => new Histogram().add([3, -1]), RangeError);
});
