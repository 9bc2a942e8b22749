/**
 * T9 of reference/tracing.md in its long form: the collector is away for a minute of load; the accounts
 * are exact, every error arrives, and memory stays within the queue's bound. p99 of the three phases is
 * printed, not judged: B5 of the bench does that.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOutage } from '../e2e/acceptance/collector-outage.ts';

const timeout = 300_000;
/**
 * 2048 spans that wait are 4 MiB; the rest is what the heaps of a process from sources move by
 * themselves under such a load, with a collector as without.
 */
const memoryMiBMax = 64;

test('T9: a collector that is away for a minute under load', { timeout }, async (t) => {
  const report = await runOutage(t, {
    requests: [10_000, 20_000, 2_000],
    paceMs: 20,
    queueMax: 2_048,
  });
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.errors.arrived, report.errors.made);
  const [before, during] = report.memoryMiB;
  assert.ok(during! - before! <= memoryMiBMax, `${before} MiB, then ${during}`);
});
