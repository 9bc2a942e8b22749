/**
 * T7 of reference/tracing.md: errors are kept whole at sampling ratio 0, without a collector's help.
 *
 * Verdicts travel back in server-timing, along the path of the error; what was finished before is called
 * back by keep messages. What is kept is read from a collector that all sidecars send to.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributeOf, describe, KeptMesh } from './kept-mesh.ts';

const requests = 10_000;
const planted = 6_180;
/** Far more than any of these takes; only a hang meets it. */
const timeout = 120_000;

/** Slow ones depend on the machine: only errors are kept here. */
const flags = () => ['--keep-slow', '0'];

test('T7: one deep 500 in 10 000 requests is kept whole at ratio 0, and hardly anything else', {
  timeout,
}, async (t) => {
  const mesh = await KeptMesh.start(t, {
    fault: (service, path) => (service === 'ratings' && path === `/${planted}` ? 500 : undefined),
    isCalled: (service, path) => service !== 'details' || path.endsWith('0'),
    flags,
  });
  await mesh.askAll(requests, (index) => `/${index}`);
  const trace = await mesh.traceOf(`/${planted}`, 7);
  assert.deepEqual(trace.map(describe).toSorted(), [
    'CLIENT reviews',
    'CLIENT web',
    'CLIENT web',
    'SERVER details',
    'SERVER ratings',
    'SERVER reviews',
    'SERVER web',
  ]);
  const ids = new Set(trace.map(({ spanId }) => spanId));
  const roots = trace.filter(({ parentSpanId = '' }) => !ids.has(parentSpanId));
  assert.deepEqual(roots.map(describe), ['SERVER web']);
  const reasons = Object.fromEntries(
    trace.map((span) => [describe(span), attributeOf(span, 'tracecar.sampled_by')]),
  );
  assert.equal(reasons['SERVER ratings'], 'error');
  assert.equal(reasons['SERVER details'], 'retro');
  const others = mesh.traces().size - 1;
  assert.ok(others <= requests / 1_000, `${others} other traces`);
});
