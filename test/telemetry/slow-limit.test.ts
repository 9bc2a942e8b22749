/** From which duration on a request is slow, as a route's own requests tell. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import { MetricRegistry, type RequestSeries } from '../../src/telemetry/metrics/metrics.ts';
import { SlowLimits } from '../../src/telemetry/metrics/slow-limit.ts';
import { inbound } from './records.ts';

const { slowFactor, slowRequestsMin, slowSeriesPerTurn, slowTurnMs, slowWindowMs } = keepLimits;

function seriesOf(registry: MetricRegistry, route: string): RequestSeries {
  const labels = { direction: 'inbound', listener: 'l', route, rule: '', cluster: 'c' } as const;
  return registry.requestSeries({ ...labels, subset: '' });
}

function observe(series: RequestSeries, count: number, durationUs: number): void {
  for (let index = 0; index < count; index++) series.observe(inbound(), 200, durationUs);
}

/** A share of 12.5 % is what a percentile may be too low by. */
function assertNear(actualUs: number, wantedUs: number): void {
  assert.ok(actualUs <= wantedUs && actualUs >= wantedUs * 0.875, `${actualUs} for ${wantedUs}`);
}

test('nothing is slow until enough is known; then what takes 3 times as long as 99 %', () => {
  const registry = new MetricRegistry();
  const series = seriesOf(registry, 'r');
  const limits = new SlowLimits(() => registry.allSeries());
  observe(series, slowRequestsMin - 1, 10_000);
  limits.turn(0);
  assert.equal(series.keep.slowUs, Number.POSITIVE_INFINITY);
  observe(series, 1, 500_000);
  limits.turn(slowTurnMs);
  assertNear(series.keep.slowUs, slowFactor * 10_000);
  observe(series, 10, 500_000);
  limits.turn(2 * slowTurnMs);
  assertNear(series.keep.slowUs, slowFactor * 500_000);
});

test('what was long ago is forgotten after two windows', () => {
  const registry = new MetricRegistry();
  const series = seriesOf(registry, 'r');
  const limits = new SlowLimits(() => registry.allSeries());
  observe(series, 1_000, 1_000_000);
  limits.turn(0);
  const turns = (2 * slowWindowMs) / slowTurnMs;
  for (let turn = 1; turn <= turns; turn++) {
    observe(series, 50, 2_000);
    limits.turn(turn * slowTurnMs);
    if (turn * slowTurnMs < slowWindowMs) assertNear(series.keep.slowUs, slowFactor * 1_000_000);
  }
  assertNear(series.keep.slowUs, slowFactor * 2_000);
});

test('a turn looks at a bounded number of series, and every series has its turn', () => {
  const registry = new MetricRegistry();
  const all = Array.from({ length: 3 * slowSeriesPerTurn }, (_, index) =>
    seriesOf(registry, `r${index}`),
  );
  for (const series of all) observe(series, slowRequestsMin, 1_000);
  const limits = new SlowLimits(() => registry.allSeries());
  const known = () => all.filter(({ keep }) => Number.isFinite(keep.slowUs)).length;
  limits.turn(0);
  assert.equal(known(), slowSeriesPerTurn);
  limits.turn(1);
  limits.turn(2);
  assert.equal(known(), all.length);
});

test('series without requests cost no memory and stand in nobody’s way', () => {
  const registry = new MetricRegistry();
  const idle = Array.from({ length: 300 }, (_, index) => seriesOf(registry, `idle${index}`));
  const busy = seriesOf(registry, 'busy');
  observe(busy, slowRequestsMin, 1_000);
  new SlowLimits(() => registry.allSeries()).turn(0);
  assert.ok(Number.isFinite(busy.keep.slowUs));
  assert.ok(idle.every(({ keep }) => keep.window === undefined));
});
