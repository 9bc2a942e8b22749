/**
 * T9 of reference/tracing.md in its long form: the collector is away for a minute of load; the accounts
 * are exact, every error arrives, and memory stays within the queue's bound. p99 of the three phases is
 * printed, not judged: B5 of the bench does that.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOutage } from '../e2e/acceptance/collector-outage.ts';

const timeout = 300_000;
/** What 512 spans that wait may cost, and what a heap moves by itself. */
const memoryMiBMax = 16;

test('T9: a collector that is away for a minute under load', { timeout }, async (t) => {
  const report = await runOutage(t, { requests: [2_000, 20_000, 2_000], paceMs: 20 });
  t.diagnostic(JSON.stringify(report));
  assert.equal(report.errors.arrived, report.errors.made);
  const [before, during] = report.memoryMiB;
  assert.ok(during! - before! <= memoryMiBMax, `${before} MiB, then ${during}`);
});
