/**
 * What the story says of its own figures: correctness fails it, speed is named.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  faultsOf,
  faultsPlanted,
  type KeptFailures,
  keptFaultsOf,
  type StoryArm,
  targetLines,
} from '../peers/story/verdict.ts';

const good: StoryArm = {
  requests: 1_000,
  failed: [],
  split: { v1: 600, v2: 400 },
  counts: { whole: 1_000, traces: 1_000, wrongParents: 0 },
  hops: { hops: 4_000, unverified: [] },
};

test('a story in which everything holds has no fault', () => {
  assert.deepEqual(faultsOf(good), []);
  assert.deepEqual(faultsOf({ ...good, split: { v1: 580, v2: 420 } }), []);
  assert.deepEqual(faultsOf({ ...good, split: { v1: 620, v2: 380 } }), []);
});

test('each broken promise is a fault of its own', () => {
  const counts = good.counts;
  const cases: readonly (readonly [Partial<StoryArm>, string])[] = [
    [{ failed: ['1 x status 503'] }, 'requests failed: 1 x status 503'],
    [{ split: { v1: 600, v2: 399 } }, '999 of 1000 requests were answered'],
    [{ counts: { ...counts, whole: 999 } }, '999 of 1000 requests are one whole trace'],
    [{ counts: { ...counts, traces: 1_001 } }, '1001 traces of 1000 requests'],
    [{ counts: { ...counts, wrongParents: 1 } }, '1 spans have a wrong parent'],
    [
      { hops: { hops: 4_000, unverified: ['web asks nobody: GET'] } },
      '1 of 4000 hops without their peer, first: web asks nobody: GET',
    ],
    [{ split: { v1: 621, v2: 379 } }, 'v1 answered 62.1 % instead of 60.0 %'],
    [{ split: { v1: 579, v2: 421 } }, 'v1 answered 57.9 % instead of 60.0 %'],
  ];
  for (const [broken, fault] of cases) assert.deepEqual(faultsOf({ ...good, ...broken }), [fault]);
});

test('targets of speed are met or missed, in words', () => {
  assert.deepEqual(targetLines({ cpuRatio: 0.6, readyDeltaMs: 1_500 }), [
    "target CPU per request <= 0.6 of Envoy's: met (0.60)",
    'target Ready at most 1.5 s later with a sidecar: met (1.50 s)',
  ]);
  for (const line of targetLines({
    cpuRatio: 0.61,
    readyDeltaMs: Number.NaN,
  })) {
    assert.match(line, /^target .*: MISSED \(/);
  }
});

const kept: KeptFailures = {
  ...{ requests: 2_000, failed: faultsPlanted, surprises: [], others: 0, example: 'a' },
  ...{ kept: faultsPlanted, whole: faultsPlanted },
  named: { 'reviews-route.yaml:11:7 0 v2 40': faultsPlanted },
};

test('the fault is told when every failure is whole and names its rule', () => {
  assert.deepEqual(keptFaultsOf(kept), []);
  assert.deepEqual(keptFaultsOf({ ...kept, others: 100 }), []);
});

test('a failure that is lost, in pieces or nameless fails the story, and so does a trace too many', () => {
  const cases: readonly (readonly [Partial<KeptFailures>, string])[] = [
    [{ whole: 19 }, '19 of 20 failures are one whole trace'],
    [{ named: {} }, 'the failures name no rule'],
    [{ named: { '- - v2 40': 20 } }, 'the failures name - - v2 40'],
    [{ others: 101 }, '101 traces of requests that did not fail'],
    [{ surprises: ['x-1: no answer in 20 s'] }, 'not the planted fault: x-1: no answer in 20 s'],
    [{ failed: 0, kept: 0, whole: 0 }, '0 requests failed, not 20'],
  ];
  for (const [broken, fault] of cases)
    assert.deepEqual(keptFaultsOf({ ...kept, ...broken }), [fault]);
});
