/**
 * What the A/B page claims: a difference only where the counts prove one.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verdictOf } from '../../src/viewer/ab-verdict.ts';
import { printRate, printShare } from '../../src/viewer/share-text.ts';
import type { AbSubset } from '../../src/viewer/view-answers.ts';

function subset(name: string, rest: Partial<AbSubset>): AbSubset {
  return {
    subset: name,
    requests: 1_000,
    ratePerSecond: 10,
    errors: 0,
    clientErrors: 0,
    errorShare: 0,
    errorShareLow: 0,
    errorShareHigh: 0.004,
    p50Ms: 2,
    p95Ms: 4,
    p99Ms: 8,
    meanMs: 2,
    share: 0.5,
    weight: 50,
    statuses: [],
    buckets: [
      { toMs: 2.5, requests: 600 },
      { toMs: 5, requests: 350 },
      { toMs: null, requests: 50 },
    ],
    stepSeconds: 5,
    steps: [],
    exemplars: [],
    ...rest,
  };
}

const v1 = subset('v1', {});
const alike =
  'The counts prove no difference in errors: the 95 % intervals overlap. Latencies are alike.';

test('equal counts prove nothing', () => {
  assert.equal(verdictOf([v1, subset('v2', {})]), alike);
});

test('more errors are claimed when the intervals do not meet, and only then', () => {
  const shares = { errorShare: 0.02, errorShareLow: 0.005, errorShareHigh: 0.04 };
  assert.match(
    verdictOf([v1, subset('v2', shares)]),
    /^v2 fails more often than v1: 2\.0 % against 0 %; their 95 % intervals do not meet\./,
  );
  assert.equal(verdictOf([v1, subset('v2', { ...shares, errorShareLow: 0.003 })]), alike);
});

test('slower is claimed when the histograms are far apart and the p95 differs', () => {
  const slow = [
    { toMs: 2.5, requests: 300 },
    { toMs: 5, requests: 500 },
    { toMs: null, requests: 200 },
  ];
  assert.match(
    verdictOf([v1, subset('v2', { p95Ms: 9, buckets: slow })]),
    /v2 is slower: p95 9\.00 ms against 4\.00 ms\.$/,
  );
  // Another p95 of histograms that are nearly the same is chance.
  assert.equal(verdictOf([v1, subset('v2', { p95Ms: 9 })]), alike);
  // The same distance among a hundredth of the requests proves nothing.
  const few = slow.map((bucket) => ({ ...bucket, requests: bucket.requests / 100 }));
  const small = subset('v2', { p95Ms: 9, requests: 10, buckets: few });
  assert.match(verdictOf([v1, small]), /Latencies are alike\.$/);
});

test('one subset, or none, has nothing to compare with', () => {
  const idle = subset('v2', { requests: 0, errorShare: null, p95Ms: null });
  assert.equal(verdictOf([]), 'No requests in this time.');
  assert.match(verdictOf([v1, idle]), /^Only v1 got requests/);
  assert.match(verdictOf([subset('', {}), idle]), /^Only no subset got requests/);
});

test('the order of the subsets does not change what is claimed', () => {
  const any = fc
    .record({ share: fc.double({ min: 0, max: 1, noNaN: true }), p95Ms: fc.nat({ max: 50 }) })
    .map(({ share, p95Ms }) => ({
      p95Ms: p95Ms + 1,
      errorShare: share,
      errorShareLow: share * 0.9,
      errorShareHigh: Math.min(1, share * 1.1 + 0.001),
    }));
  fc.assert(
    fc.property(any, any, (one, other) => {
      fc.pre(one.errorShare !== other.errorShare && one.p95Ms !== other.p95Ms);
      const pair = [subset('v1', one), subset('v2', other)];
      assert.equal(verdictOf(pair), verdictOf(pair.toReversed()));
    }),
  );
});

test('shares and rates have as many digits as tell them apart', () => {
  const shares = [0, 0.000_042, 0.0042, 0.0301, 0.5, 0.9996, 1, null].map(printShare);
  assert.deepEqual(shares, ['0 %', '<0.01 %', '0.42 %', '3.0 %', '50.0 %', '100 %', '100 %', '–']);
  const rates = [0, 0.04, 0.4, 99.9, 1204.4].map(printRate);
  assert.deepEqual(rates, ['0/s', '0.04/s', '0.4/s', '99.9/s', '1,204/s']);
});
