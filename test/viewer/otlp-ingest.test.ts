/**
 * From bytes to the store: when a body has its turn, and what is refused to be sent again.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { MemoryBodies } from '../../src/viewer/memory-bodies.ts';
import { MetricStore } from '../../src/viewer/metric-store.ts';
import { OtlpIngest, type Outcome } from '../../src/viewer/otlp-ingest.ts';
import type { SpanBodies } from '../../src/viewer/span-bodies.ts';
import { TraceStore } from '../../src/viewer/trace-store.ts';
import { demoTrace, exportBody } from './span-fixtures.ts';

function ingestWith(bodies?: SpanBodies): { store: TraceStore; ingest: OtlpIngest } {
  const store = new TraceStore(viewerLimits, bodies);
  const metrics = new MetricStore(viewerLimits, new ManualClock());
  return { store, ingest: new OtlpIngest(store, metrics, viewerLimits) };
}

function bodyOf(n: number): Buffer {
  const id = n.toString(16).padStart(32, '0');
  return Buffer.from(JSON.stringify(exportBody(demoTrace(id, 1_795_627_913_000))));
}

/** After what was set for this round of the event loop. */
function nextRound(): Promise<void> {
  return new Promise((done) => setImmediate(done));
}

const json = { signal: 'traces', encoding: 'json', isGzip: false } as const;

test('each round of the event loop takes one body, in order', async () => {
  const { store, ingest } = ingestWith();
  const outcomes: Outcome[] = [];
  for (let n = 1; n <= 3; n++) ingest.takeInTurn(bodyOf(n), json, (each) => outcomes.push(each));
  assert.equal(store.counts().traces, 0);
  for (let round = 1; round <= 3; round++) {
    await nextRound();
    assert.deepEqual([outcomes.length, store.counts().traces], [round, round]);
  }
  // The queue begins again when it was empty.
  ingest.takeInTurn(bodyOf(4), json, (each) => outcomes.push(each));
  await nextRound();
  assert.deepEqual(outcomes, Array(4).fill({ kind: 'taken', rejected: 0, reason: '' }));
});

/** A disk that is full for a while. */
class FullDisk extends MemoryBodies {
  isFull = true;

  override commit(): string {
    return this.isFull ? 'the disk is full' : '';
  }
}

test('a full disk asks the sender to come again, with everything', () => {
  const disk = new FullDisk(4096);
  const { store, ingest } = ingestWith(disk);
  const send = (): Outcome => ingest.take(bodyOf(1), 'traces', 'json', false);
  const refusal = { kind: 'busy', message: 'the disk is full' };
  assert.deepEqual(send(), { kind: 'refused', refusal });
  assert.deepEqual([store.counts().spans, ingest.counts().rejectedSpans], [0, 0]);
  disk.isFull = false;
  assert.deepEqual(send(), { kind: 'taken', rejected: 0, reason: '' });
  assert.deepEqual([store.counts().spans, ingest.counts().acceptedSpans], [5, 5]);
});
