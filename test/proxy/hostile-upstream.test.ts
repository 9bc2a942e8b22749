/**
 * Upstreams that break the rules of HTTP/1.1 or of a kept connection (reliability.md 2.9). What a
 * parser alone can decide is in the corpus; here is what needs sockets, order and time.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getOf, postOf, startPair } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';

test('row 174: HEAD gets the head only and the connection with more is destroyed', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream, index) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(
      index === 0 ? okWith('a body') : 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n',
    );
  });
  const downstream = await connect();
  for (const wanted of ['6', '9']) {
    await downstream.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    const response = await downstream.response(true);
    assert.match(response.head, new RegExp(`^Content-Length: ${wanted}$`, 'm'));
  }
  assert.equal(downstream.rest, '');
  await (await origin.connection(0)).ended();
  assert.equal(origin.connections.length, 2);
});

test('row 175: 100 that nobody asked for is not relayed', async (t) => {
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(`HTTP/1.1 100 Continue\r\n\r\n${okWith('x')}`);
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 200);
});

test('row 139: Expect is forwarded and 100 is relayed, then the body follows', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 100 Continue\r\n\r\n');
    await upstream.untilReceived('body');
    await upstream.send(okWith('thanks'));
  });
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n',
  );
  assert.equal((await downstream.response()).status, 100);
  assert.match(origin.received, /^Expect: 100-continue\r$/m);
  await downstream.send('body');
  const response = await downstream.response();
  assert.equal(response.body, 'thanks');
  assert.doesNotMatch(response.head, /close/i);
});

test('row 139: a final answer in place of 100 closes the connection', async (t) => {
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n');
  });
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n',
  );
  const response = await downstream.response();
  assert.equal(response.status, 401);
  assert.match(response.head, /^Connection: close$/m);
  assert.equal(await downstream.ended(), 'fin');
});

test('rows 176 and 206: the ninth interim response is one too many', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(1_000));
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  for (let index = 0; index < 8; index++) assert.equal((await downstream.response()).status, 103);
  const response = await downstream.response();
  assert.equal(response.status, 502);
  assert.match(response.body, /^upstream-protocol-error: .*interim/);
  await (await origin.connection(0)).ended();
});

test('row 177: 103 is relayed to HTTP/1.1 and kept from HTTP/1.0', async (t) => {
  const { connect } = await startPair(
    t,
    answering(() => `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${okWith('x')}`),
  );
  const newer = await connect();
  await newer.send(getOf('/'));
  const hint = await newer.response();
  assert.equal(hint.status, 103);
  assert.match(hint.head, /^Link: <\/a>$/m);
  assert.equal((await newer.response()).status, 200);
  newer.socket.destroy();
  const older = await connect();
  await older.send('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
  assert.equal((await older.response()).status, 200);
});

test('row 178: 101 that nobody asked for is 502', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n',
    );
  });
  const downstream = await connect();
  // Upgrade alone is no request for one (row 142): it is stripped.
  await downstream.send(getOf('/', 'Upgrade: foo\r\n'));
  const response = await downstream.response();
  assert.equal(response.status, 502);
  assert.match(response.head, /^x-tracecar-cause: upstream-protocol-error$/m);
  assert.doesNotMatch(origin.received, /upgrade/i);
  await (await origin.connection(0)).ended();
});

test('row 180: of two responses in one write the second is never seen', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream, index) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(index === 0 ? okWith('first') + okWith('stray') : okWith('second'));
  });
  const downstream = await connect();
  for (const wanted of ['first', 'second']) {
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).body, wanted);
  }
  assert.equal(downstream.rest, '');
  await (await origin.connection(0)).ended();
});

test('row 181: bytes on an idle connection destroy it, no request sees them', async (t) => {
  const { connect, origin } = await startPair(
    t,
    async (upstream, index) => {
      await upstream.untilReceived('\r\n\r\n');
      await upstream.send(okWith(`from ${index}`));
    },
    { limits: { poolIdleMs: 70_000 } },
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'from 0');
  const first = await origin.connection(0);
  await first.send(okWith('stray'));
  await first.ended();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'from 1');
});

test('row 182: an upstream that speaks first is never used', async (t) => {
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.send('220 ready\r\n');
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 502);
});

test('row 200: closed before the head, a GET is sent twice and a POST once', async (t) => {
  const { connect, origin, telemetry } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    upstream.finish();
  });
  const downstream = await connect();
  await downstream.send(getOf('/get'));
  const first = await downstream.response();
  assert.equal(first.status, 502);
  assert.match(first.body, /^upstream-reset: /);
  for (const request of [postOf('/post', 'x'), 'POST /post HTTP/1.1\r\nHost: a\r\n\r\n']) {
    await downstream.send(request);
    assert.equal((await downstream.response()).status, 502);
  }
  assert.equal(origin.received.match(/GET \/get/g)?.length, 2);
  assert.equal(origin.received.match(/POST \/post/g)?.length, 2);
  assert.deepEqual(
    telemetry.records.map(({ attempt }) => attempt),
    [0, 1, 0, 0],
  );
});

test('a begun response head that is cut is 502, and never tried again', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\nContent-');
    upstream.finish();
  });
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.match(response.body, /^upstream-reset: /);
  assert.equal(origin.connections.length, 1);
});

test('an upstream that closes after each answer is dialled again', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream, index) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(okWith(`${index}`, 'Connection: close\r\n'));
    upstream.finish();
  });
  const downstream = await connect();
  for (const wanted of ['0', '1', '2']) {
    await downstream.send(getOf('/'));
    const response = await downstream.response();
    assert.equal(response.body, wanted);
    assert.doesNotMatch(response.head, /close/i);
  }
  assert.equal(origin.connections.length, 3);
});

test("a further sidecar's cause survives, and ours does not replace it", async (t) => {
  const { connect } = await startPair(
    t,
    answering(
      () => 'HTTP/1.1 503 No\r\nx-tracecar-cause: subset-empty\r\nContent-Length: 0\r\n\r\n',
    ),
  );
  const downstream = await connect();
  await downstream.send(getOf('/'));
  const response = await downstream.response();
  assert.deepEqual(response.head.match(/^x-tracecar-cause: .*$/gm), [
    'x-tracecar-cause: subset-empty',
  ]);
});
