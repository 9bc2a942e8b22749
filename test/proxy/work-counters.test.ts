/**
 * Work counters: what a plain proxied request makes the hot thread do, counted, not timed.
 *
 * A real sidecar with the defaults on (bench/README.md has the times), and proof that they were: what
 * the counted requests carried, where they went, and what the metrics say. The counts hardly depend on
 * how busy the machine is, and the smallest of several batches is taken, since code that is not compiled
 * yet allocates more. Targets: issue 5; what each was before is in the history of this file.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { callsPerRequest } from '../../bench/rounds/system-calls.ts';
import { MeasuredSidecar, type Tally } from '../support/measured-sidecar.ts';

const CONNECTIONS = 8;
/**
 * V8 counts bytes in steps of some 100 KiB: they must be few beside those of a batch. What a busy machine
 * adds is timers in a longer batch, some bytes a request: limits leave room for that.
 */
const BATCH = 10_000;
/** Batches after which code that is used is compiled, on the slowest machine. */
const BATCHES_MAX = 30;
const timeout = 120_000;

async function warm(t: TestContext): Promise<MeasuredSidecar> {
  const sidecar = await MeasuredSidecar.start(t);
  await sidecar.load(BATCH, CONNECTIONS);
  return sidecar;
}

/** The smallest value of one batch; stops at the first that is small enough. */
async function smallest(limit: number, measure: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES_MAX && least > limit; batch++) {
    least = Math.min(least, await measure());
  }
  return least;
}

/** Each request since `before` carried a span of its own, was counted, and they went 60 to 40. */
async function assertAllWasOn(
  sidecar: MeasuredSidecar,
  before: Tally,
  requests: number,
): Promise<void> {
  const { subsets, spans, counted } = await sidecar.tally();
  assert.equal(spans - before.spans, requests, 'traceparents, each different, at the backends');
  const arrived = subsets.map((count, subset) => count - before.subsets[subset]!);
  assert.equal(arrived[0]! + arrived[1]!, requests, 'at the backends');
  assert.deepEqual(
    counted.map((count, subset) => count - before.counted[subset]!),
    arrived,
    'by the metrics, for each subset',
  );
  // Exact over every five: the choice by weight is smooth.
  const off = Math.abs(arrived[0]! - 0.6 * requests);
  assert.ok(off <= 2, `${arrived[0]} of ${requests} went to the subset of 60 %`);
}

test('a plain request, all on, makes no promise, and the sampled spans arrive', {
  timeout,
}, async (t) => {
  const sidecar = await warm(t);
  const before = await sidecar.tally();
  await sidecar.ask('count promises');
  await sidecar.load(BATCH, CONNECTIONS);
  const promises = await sidecar.ask('promises');
  await assertAllWasOn(sidecar, before, BATCH);
  // Reading the configuration again now and then makes some; a request makes none.
  assert.ok(promises < BATCH / 100, `${promises} promises in ${BATCH} requests`);

  const { sampled } = sidecar.backends;
  // 1 % of 20 000 that are drawn one by one: seven standard deviations from 0.
  assert.ok(sampled.size > 100, `${sampled.size} spans sampled`);
  await sidecar.collector.has(sampled);
  assert.equal(sidecar.collector.spans.size, sampled.size, 'the sampled ones and no others');
});

test('a plain request, all on, allocates at most 480 bytes', { timeout }, async (t) => {
  const sidecar = await warm(t);
  const limit = 480;
  const bytes = await smallest(limit, async () => {
    const before = await sidecar.tally();
    await sidecar.ask('begin');
    await sidecar.load(BATCH, CONNECTIONS);
    const { allocatedBytes } = await sidecar.ask('end');
    await assertAllWasOn(sidecar, before, BATCH);
    return allocatedBytes / BATCH;
  });
  t.diagnostic(`${bytes.toFixed(0)} bytes a request`);
  assert.ok(bytes <= limit, `${bytes.toFixed(0)} bytes allocated a request, more than ${limit}`);
});

test('10 000 plain requests cause at most 3 scavenges', { timeout }, async (t) => {
  const sidecar = await warm(t);
  const scavenges = await smallest(3, async () => {
    const before = await sidecar.tally();
    await sidecar.ask('begin');
    await sidecar.load(10_000, CONNECTIONS);
    const counted = (await sidecar.ask('end')).scavenges;
    await assertAllWasOn(sidecar, before, 10_000);
    return counted;
  });
  t.diagnostic(`${scavenges} scavenges in 10 000 requests`);
  assert.ok(scavenges <= 3, `${scavenges} scavenges`);
});

test('10 000 requests, plain or with a body, make no buffers outside the heap', {
  timeout,
}, async (t) => {
  const sidecar = await warm(t);
  for (const kind of ['plain', 'post'] as const) {
    const limit = 1;
    const bytes = await smallest(limit, async () => {
      const before = await sidecar.tally();
      await sidecar.ask('begin');
      await sidecar.load(BATCH, CONNECTIONS, kind);
      const { externalBytes } = await sidecar.ask('end');
      await assertAllWasOn(sidecar, before, BATCH);
      return externalBytes / BATCH;
    });
    t.diagnostic(`${bytes.toFixed(2)} external bytes a request, ${kind}`);
    assert.ok(bytes <= limit, `${bytes.toFixed(1)} bytes a request, ${kind}`);
  }
});

for (const { kind, name, limit } of [
  // Two waits, two reads, two writes; a batch of random words and a compiler's job now and then.
  { kind: 'plain', name: 'a plain request', limit: 6.02 },
  // The body comes with the head and goes on with it.
  { kind: 'post', name: 'a request with a body of 1000 bytes', limit: 6.02 },
] as const) {
  test(`${name} on one connection makes 6 system calls`, { timeout }, async (t) => {
    const sidecar = await warm(t);
    const requests = 2_000;
    let problem: string | undefined;
    let listed = '';
    const each = await smallest(limit, async () => {
      const before = await sidecar.tally();
      const { bodyBytes } = sidecar.backends;
      const calls = await sidecar.systemCalls(requests, kind);
      if (typeof calls === 'string') {
        problem = calls;
        return 0;
      }
      // One more while nothing else was asked.
      await assertAllWasOn(sidecar, before, requests + 1);
      const bodies = kind === 'post' ? 1000 * (requests + 1) : 0;
      assert.equal(sidecar.backends.bodyBytes - bodyBytes, bodies, 'at the backends');
      listed = [...calls.busy].map(([call, count]) => `${call} ${count}`).join(', ');
      return callsPerRequest(calls);
    });
    if (problem !== undefined) {
      // Where strace was installed for this, a count that is left out is a failure (.ci/run sets it).
      assert.notEqual(process.env.TRACECAR_REQUIRE_STRACE, '1', problem);
      t.skip(`SYSTEM CALLS WERE NOT COUNTED: ${problem}`);
      return;
    }
    t.diagnostic(`${each.toFixed(3)} system calls a request: ${listed}`);
    assert.ok(each <= limit, `${each} calls for each of ${requests} requests: ${listed}`);
  });
}
