/**
 * How the proxy ends: nothing that is under way is lost, nothing waits for ever (fault 16).
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getOf, startPair } from '../support/proxy-fixture.ts';
import { connectRaw } from '../support/raw-connection.ts';
import { answering, okWith } from '../support/raw-origin.ts';

test('fault 16: a drain under load loses no request', async (t) => {
  const { connect, proxy, port } = await startPair(
    t,
    answering((number) => okWith(`${number}`)),
    { limits: { drainIdleMs: 50 } },
  );
  const downstreams = await Promise.all(Array.from({ length: 8 }, () => connect()));
  let answered = 0;
  let drained: Promise<{ finished: number; cut: number }> | undefined;
  const drive = async (index: number) => {
    for (let sent = 0; ; sent++) {
      const downstream = downstreams[index]!;
      await downstream.send(getOf('/'));
      const response = await downstream.response();
      assert.equal(response.status, 200);
      answered++;
      if (index === 0 && sent === 20) drained = proxy.drain(5_000);
      if (/^connection: close$/im.test(response.head)) {
        assert.equal(await downstream.ended(), 'fin');
        downstream.finish();
        return;
      }
    }
  };
  await Promise.all(downstreams.map((_, index) => drive(index)));
  assert.deepEqual(await drained, { finished: 8, cut: 0 });
  assert.ok(answered > 20);
  await assert.rejects(connectRaw(port), /ECONNREFUSED/);
});

test('idle and silent connections are closed, and the drain ends early', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { drainIdleMs: 20 } },
  );
  const [used, silent] = [await connect(), await connect()];
  await used.send(getOf('/'));
  await used.response();
  const drained = proxy.drain(60_000);
  for (const downstream of [used, silent]) {
    assert.equal(await downstream.ended(), 'fin');
    downstream.finish();
  }
  assert.deepEqual(await drained, { finished: 2, cut: 0 });
});

test('a request that comes on a kept connection while draining is answered', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('still here')),
    { limits: { drainIdleMs: 5_000 } },
  );
  const downstream = await connect();
  const drained = proxy.drain(60_000);
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.equal(response.body, 'still here');
  assert.match(response.head, /^Connection: close$/m);
  downstream.finish();
  assert.deepEqual(await drained, { finished: 1, cut: 0 });
});

test('what does not end in time is cut by RST, on both sides', async (t) => {
  const { connect, proxy, origin } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  assert.deepEqual(await proxy.drain(30), { finished: 0, cut: 1 });
  assert.equal(await downstream.closed(), 'reset');
  assert.equal(await upstream.closed(), 'reset');
});

test('a drain closes the idle upstream connections', async (t) => {
  const { connect, proxy, origin } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  await downstream.response();
  downstream.socket.destroy();
  await proxy.drain(1_000);
  assert.equal(await (await origin.connection(0)).ended(), 'fin');
});
