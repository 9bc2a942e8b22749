/**
 * T9 of reference/tracing.md: a collector that is killed under load costs no request, and what became of
 * every span is known. The form of a minute, with its figures: test/soak/collector-killed.test.ts.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runOutage } from './collector-outage.ts';

/** Far more than it takes; only a hang meets it. */
const timeout = 120_000;

test('T9: a collector killed under load: sums exact, errors kept, no request touched', {
  timeout,
}, async (t) => {
  const { errors } = await runOutage(t, {
    requests: [200, 1_500, 200],
    paceMs: 20,
    queueMax: 512,
  });
  assert.equal(errors.arrived, errors.made, 'what is dropped is dropped by priority');
});
