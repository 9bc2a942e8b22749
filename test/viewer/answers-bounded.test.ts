/**
 * What readers may cost: an answer has an end, and so has what waits for those who do not read.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ViewerLimits } from '../../src/model/viewer-limits.ts';
import { exportBody, sendSpans } from './span-fixtures.ts';
import { type RunningViewer, startViewer } from './viewer-fixture.ts';

const startMs = 1_795_627_913_000;

async function viewerWith(t: TestContext, limits: Partial<ViewerLimits>): Promise<RunningViewer> {
  const viewer = await startViewer(limits);
  t.after(() => viewer.close());
  return viewer;
}

/** Stores a trace of about `kilobytes`, with span ids from `firstId` on. */
async function store(
  viewer: RunningViewer,
  traceId: string,
  kilobytes: number,
  firstId = 0,
): Promise<void> {
  const spans = Array.from({ length: kilobytes / 10 }, (_, n) => ({
    traceId,
    spanId: (firstId + n + 1).toString(16).padStart(16, '0'),
    service: 'web',
    name: 'GET',
    startMs,
    durationMs: 1,
    attributes: { text: 'x'.repeat(10_000) },
  }));
  assert.equal((await sendSpans(viewer.otlp, exportBody(spans))).status, 200);
}

const smallId = '1'.repeat(32);
const bigId = '2'.repeat(32);
const search = '/api/v3/traces?query.start_time_min=2000-01-01T00:00:00Z&query.start_time_max=';
const searchV3 = `${search}2100-01-01T00:00:00Z`;

test('a trace that is bigger than an answer is 413, and searches go on without it', async (t) => {
  const viewer = await viewerWith(t, { answerBytesMax: 100_000 });
  await store(viewer, bigId, 200);
  const message = `trace ${bigId} of 20 spans is too big: an answer holds at most 100000 bytes`;
  const v3 = await fetch(`${viewer.query}/api/v3/traces/${bigId}`);
  assert.equal(v3.status, 413);
  const expected = { error: { httpCode: 413, message: `${message} (answerBytesMax)` } };
  assert.deepEqual(await v3.json(), expected);
  const legacy = await fetch(`${viewer.query}/api/traces/${bigId}`);
  assert.equal(legacy.status, 413);
  assert.match(await legacy.text(), /"data":null.*is too big/);
  assert.equal((await fetch(viewer.query + searchV3)).status, 413);
  await store(viewer, smallId, 10);
  await store(viewer, bigId.replace('2', '3'), 200);
  for (const path of [searchV3, '/api/traces?service=web']) {
    const found = await fetch(viewer.query + path);
    assert.equal(found.status, 200);
    const text = await found.text();
    assert.deepEqual([text.includes(smallId), text.includes(bigId)], [true, false]);
    assert.ok(text.length < 100_000);
  }
});

/** A trace of 19 MB, more than the kernel's buffers take; gives its address. */
async function storeHuge(viewer: RunningViewer): Promise<string> {
  for (let n = 0; n < 4; n++) await store(viewer, bigId, 4_800, n * 1_000);
  return `${viewer.query}/api/v3/traces/${bigId}`;
}

/** Asks for a trace and stops reading when the answer has begun. */
async function askSilently(t: TestContext, url: string): Promise<Socket> {
  const { port, pathname } = new URL(url);
  const socket = connect(Number(port), '127.0.0.1');
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(`GET ${pathname} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  await once(socket, 'readable');
  return socket;
}

/** Asks until the answer has that status: who went away may be noticed a moment later. */
async function waitForStatus(url: string, status: number): Promise<Response> {
  for (;;) {
    const response = await fetch(url);
    if (response.status === status) return response;
    await response.arrayBuffer();
  }
}

test('answers that wait for their readers are bounded together', { timeout: 60_000 }, async (t) => {
  const viewer = await viewerWith(t, { answersHeldBytesMax: 30_000_000 });
  const url = await storeHuge(viewer);
  const socket = await askSilently(t, url);
  const refused = await fetch(url);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '1');
  assert.match(await refused.text(), /answersHeldBytesMax/);
  // Small answers are given all the same.
  assert.equal((await fetch(`${viewer.query}/healthz`)).status, 200);
  socket.destroy();
  const again = await waitForStatus(url, 200);
  assert.ok((await again.text()).length > 19_000_000);
  // What was read is given back, on a connection that goes on.
  assert.equal((await waitForStatus(url, 200)).status, 200);
});

test('a reader that takes too long is cut', { timeout: 60_000 }, async (t) => {
  const viewer = await viewerWith(t, { answersHeldBytesMax: 30_000_000, answerTimeoutMs: 300 });
  const url = await storeHuge(viewer);
  const socket = await askSilently(t, url);
  // Nothing but the cut makes room.
  assert.equal((await waitForStatus(url, 200)).status, 200);
  let bytes = 0;
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(socket, 'close');
  assert.ok(bytes < 19_000_000);
});

test('before connections run out those between two requests make room', async (t) => {
  const viewer = await viewerWith(t, { connectionsMax: 8 });
  const closed: Promise<unknown>[] = [];
  for (let n = 0; n < 6; n++) {
    const socket = await askSilently(t, `${viewer.query}/healthz`);
    socket.resume();
    closed.push(once(socket, 'close'));
  }
  // Nobody is refused, and who is idle is told to come again.
  await askSilently(t, `${viewer.query}/healthz`);
  await Promise.all(closed);
});
