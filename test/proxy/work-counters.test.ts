/**
 * Work counters: what a plain proxied request makes the hot thread do, counted, not timed.
 *
 * A real sidecar with the defaults on (bench/README.md has the times). The counts hardly depend on how
 * busy the machine is, and the smallest of several batches is taken, since code that is not compiled
 * yet allocates more. Targets: issue 5; what each was before is in the history of this file.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MeasuredSidecar } from '../support/measured-sidecar.ts';

const CONNECTIONS = 8;
const BATCH = 2_000;
/** Batches after which code that is used is compiled, on the slowest machine. */
const BATCHES_MAX = 20;

async function warm(t: TestContext): Promise<MeasuredSidecar> {
  const sidecar = await MeasuredSidecar.start(t);
  await sidecar.load(3 * BATCH, CONNECTIONS);
  return sidecar;
}

/** The smallest value of one batch per request; stops at the first that is small enough. */
async function smallest(limit: number, measure: () => Promise<number>): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES_MAX && least > limit; batch++) {
    least = Math.min(least, await measure());
  }
  return least;
}

test('a plain request allocates at most 500 bytes and makes no promise', async (t) => {
  const sidecar = await warm(t);
  const limit = 500;
  const bytes = await smallest(limit, async () => {
    await sidecar.ask('begin');
    await sidecar.load(BATCH, CONNECTIONS);
    const { allocatedBytes } = await sidecar.ask('end');
    return allocatedBytes / BATCH;
  });
  t.diagnostic(`${bytes.toFixed(0)} bytes a request`);
  assert.ok(bytes <= limit, `${bytes.toFixed(0)} bytes allocated a request, more than ${limit}`);

  await sidecar.ask('count promises');
  await sidecar.load(BATCH, CONNECTIONS);
  const promises = await sidecar.ask('promises');
  // Reading the configuration again now and then makes some; a request makes none.
  assert.ok(promises < BATCH / 100, `${promises} promises in ${BATCH} requests`);
});

test('10 000 plain requests cause at most 3 scavenges', async (t) => {
  const sidecar = await warm(t);
  const scavenges = await smallest(3, async () => {
    await sidecar.ask('begin');
    await sidecar.load(10_000, CONNECTIONS);
    return (await sidecar.ask('end')).scavenges;
  });
  t.diagnostic(`${scavenges} scavenges in 10 000 requests`);
  assert.ok(scavenges <= 3, `${scavenges} scavenges`);
});

test('a plain request on one connection makes at most 6 system calls', async (t) => {
  const sidecar = await warm(t);
  const requests = 1_000;
  const calls = await sidecar.systemCalls(() => sidecar.load(requests, 1));
  if (typeof calls === 'string') {
    t.skip(`SYSTEM CALLS WERE NOT COUNTED: ${calls}`);
    return;
  }
  let total = 0;
  for (const count of calls.values()) total += count;
  const listed = [...calls].map(([name, count]) => `${name} ${count}`).join(', ');
  t.diagnostic(`${(total / requests).toFixed(2)} system calls a request: ${listed}`);
  // Two waits, two reads, two writes; collections and timers wake the thread now and then.
  assert.ok(total / requests <= 6.1, `${listed} for ${requests} requests`);
});
