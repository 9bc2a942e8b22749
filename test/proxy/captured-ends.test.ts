/**
 * A captured connection may end in any state: what either side then sees, and what is recorded.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Cause, failure } from '../../src/model/failure.ts';
import { Detected } from '../../src/telemetry/record/detection.ts';
import { type CaptureFixture, startCapture } from '../support/capture-fixture.ts';
import type { RawConnection } from '../support/raw-connection.ts';
import { RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, destinationOf, listenerOf, ruleOf } from '../support/tables.ts';

interface Ends {
  readonly proxy: CaptureFixture;
  readonly original: RawOrigin;
  readonly downstream: RawConnection;
}

/** A connection on which nothing has been said yet. */
async function begin(t: TestContext, isDeclared = false): Promise<Ends> {
  const original = await RawOrigin.start();
  t.after(() => original.close());
  const { port } = original;
  const listener = listenerOf([ruleOf()], { name: 'reviews', address: '', port, defaultHost: -1 });
  const web = destinationOf({ address: '127.0.0.1', port, protocol: 'http', listener: 'reviews' });
  const declared = { outbound: [listener], inbound: [], destinations: [web] };
  const capture = isDeclared ? declared : {};
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([1])] });
  return { proxy, original, downstream: await proxy.outbound(port) };
}

/** The same, relayed: both sides have heard the other. */
async function relay(t: TestContext): Promise<Ends & { readonly upstream: RawConnection }> {
  const ends = await begin(t);
  await ends.downstream.send('\x00');
  const upstream = await ends.original.connection(0);
  await upstream.untilReceived('\x00');
  await upstream.send('\x01');
  await ends.downstream.untilReceived('\x01');
  return { ...ends, upstream };
}

async function assertRecorded(proxy: CaptureFixture, verdict: number, cause?: Cause) {
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.method, verdict);
  assert.equal(record!.causeCode, cause === undefined ? 0 : failure[cause].code);
}

test('an RST before anything was said or dialled ends it, and nobody is dialled', async (t) => {
  const { proxy, original, downstream } = await begin(t, true);
  downstream.reset();
  await assertRecorded(proxy, Detected.Silent, 'client-gone');
  assert.equal(original.connections.length, 0);
});

test('an RST before anything was said is one for the connection that was dialled', async (t) => {
  const { proxy, original, downstream } = await begin(t);
  const upstream = await original.connection(0);
  downstream.reset();
  assert.equal(await upstream.closed(), 'reset');
  await assertRecorded(proxy, Detected.Silent, 'client-gone');
});

test('an RST of a server that has not spoken is one for who has not either', async (t) => {
  const { proxy, original, downstream } = await begin(t);
  const upstream = await original.connection(0);
  // When a later one is relayed, the proxy knows that the first is connected.
  await (await proxy.outbound(original.port)).send('\x00');
  await (await original.connection(1)).untilReceived('\x00');
  upstream.reset();
  assert.equal(await downstream.closed(), 'reset');
  await assertRecorded(proxy, Detected.Silent, 'upstream-reset');
});

test('a FIN of a server that has not spoken is passed on', async (t) => {
  const { proxy, original, downstream } = await begin(t);
  const upstream = await original.connection(0);
  upstream.finish();
  assert.equal(await downstream.ended(), 'fin');
  downstream.finish();
  await upstream.ended();
  await downstream.closed();
  await assertRecorded(proxy, Detected.Silent);
});

test('a FIN before anything was said where HTTP is declared is passed on, and answered', async (t) => {
  const { proxy, original, downstream } = await begin(t, true);
  downstream.finish();
  const upstream = await original.connection(0);
  assert.equal(await upstream.ended(), 'fin');
  await upstream.send('221 bye');
  upstream.finish();
  assert.equal(await downstream.closed(), 'fin');
  assert.equal(downstream.received, '221 bye');
  await assertRecorded(proxy, Detected.Silent);
});

test('a FIN before anything was said to nobody is an RST, with its cause', async (t) => {
  const { proxy, original, downstream } = await begin(t, true);
  await original.close();
  downstream.finish();
  assert.equal(await downstream.closed(), 'reset');
  await assertRecorded(proxy, Detected.Silent, 'connect-refused');
});

test('an RST in the middle of what may become a request line is passed on', async (t) => {
  const { proxy, original, downstream } = await begin(t);
  const upstream = await original.connection(0);
  await downstream.send('GET /ha');
  downstream.reset();
  assert.equal(await upstream.closed(), 'reset');
  await assertRecorded(proxy, Detected.Other, 'client-gone');
  assert.equal(upstream.received, '');
});

test('an RST after the FIN of the other side is passed on', async (t) => {
  const first = await relay(t);
  first.downstream.finish();
  assert.equal(await first.upstream.ended(), 'fin');
  first.upstream.reset();
  assert.equal(await first.downstream.closed(), 'reset');
  await assertRecorded(first.proxy, Detected.Other, 'upstream-reset');
  const second = await relay(t);
  second.upstream.finish();
  assert.equal(await second.downstream.ended(), 'fin');
  second.downstream.reset();
  assert.equal(await second.upstream.closed(), 'reset');
  await assertRecorded(second.proxy, Detected.Other, 'client-gone');
});
