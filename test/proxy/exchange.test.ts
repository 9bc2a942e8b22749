/**
 * What a downstream and an upstream see of plain exchanges through a real proxy.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getOf, postOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith } from '../support/raw-origin.ts';
import { listenerOf, tableOf } from '../support/tables.ts';

test('a request is forwarded with trace context and its response comes back whole', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering(() => okWith('hello')),
  );
  const downstream = await connect();
  await downstream.send(getOf('/a/./b?q=1', 'X-One: 1\r\nx-one: 2\r\n'));
  const response = await downstream.response();
  assert.equal(response.status, 200);
  assert.equal(response.body, 'hello');
  assert.match(
    origin.received,
    /^GET \/a\/b\?q=1 HTTP\/1\.1\r\nHost: service\r\nX-One: 1\r\nx-one: 2\r\ntraceparent: 00-/,
  );
});

test('both connections are kept for the next request', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering((number) => okWith(`${number}`)),
  );
  const downstream = await connect();
  for (const wanted of ['1', '2', '3']) {
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).body, wanted);
  }
  assert.equal(origin.connections.length, 1);
});

test('pipelined requests are served in order, one at a time', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering((number) => okWith(`answer ${number}`)),
  );
  const downstream = await connect();
  await downstream.send(getOf('/1') + postOf('/2', 'body') + getOf('/3'));
  for (const wanted of [1, 2, 3]) {
    assert.equal((await downstream.response()).body, `answer ${wanted}`);
  }
  assert.deepEqual(origin.received.match(/(GET|POST) \/\d/g), ['GET /1', 'POST /2', 'GET /3']);
});

test('HTTP/1.0 gets a chunked response until the end of the connection', async (t) => {
  const { connect } = await startPair(
    t,
    answering(() => 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'),
  );
  const downstream = await connect();
  await downstream.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
  const response = await downstream.response();
  assert.equal(response.rawBody, 'abc');
  assert.match(response.head, /^Connection: close$/m);
  assert.doesNotMatch(response.head, /transfer-encoding/i);
});

test('HTTP/1.0 is kept alive when it asks and the length is known', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering((number) => okWith(`${number}`)),
  );
  const downstream = await connect();
  for (const wanted of ['1', '2']) {
    await downstream.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    const response = await downstream.response();
    assert.equal(response.body, wanted);
    assert.match(response.head, /^Connection: keep-alive$/m);
  }
  await downstream.send('GET / HTTP/1.0\r\n\r\n');
  assert.match((await downstream.response()).head, /^Connection: close$/m);
  assert.equal(await downstream.ended(), 'fin');
  // HTTP/1.1 knows no request without Host.
  assert.equal(origin.received.match(/^Host: 127\.0\.0\.1:\d+\r$/gm)?.length, 3);
});

test('a close-delimited response is chunked for HTTP/1.1, which stays connected', async (t) => {
  const { connect } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\n\r\nuntil the end');
    upstream.finish();
  });
  const downstream = await connect();
  for (let index = 0; index < 2; index++) {
    await downstream.send(getOf('/'));
    const response = await downstream.response();
    assert.equal(response.body, 'until the end');
    assert.match(response.head, /^Transfer-Encoding: chunked$/m);
  }
});

test('204 and 304 have no body and keep their connections', async (t) => {
  const answers = ['204 No Content\r\n', '304 Not Modified\r\nContent-Length: 9\r\n', '200 OK\r\n'];
  const { connect, origin } = await startPair(
    t,
    answering((number) => (number < 3 ? `HTTP/1.1 ${answers[number - 1]}\r\n` : okWith('last'))),
  );
  const downstream = await connect();
  for (const wanted of [204, 304, 200]) {
    await downstream.send(getOf('/'));
    assert.equal((await downstream.response()).status, wanted);
  }
  assert.equal(origin.connections.length, 1);
});

test('declared trailers pass both ways, others do not', async (t) => {
  const { connect, origin } = await startPair(t, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n' +
        '1\r\na\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n',
    );
  });
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '1\r\nb\r\n0\r\nX-Sum: 3\r\nX-Other: 4\r\n\r\n',
  );
  const response = await downstream.response();
  assert.match(response.rawBody, /0\r\nX-Sum: 1\r\n\r\n$/);
  assert.match(origin.received, /0\r\nX-Sum: 3\r\n\r\n$/);
});

test('x-forwarded fields and a body of a GET pass untouched', async (t) => {
  const { connect, origin } = await startPair(
    t,
    answering(() => okWith('x')),
  );
  const downstream = await connect();
  await downstream.send(
    'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\nContent-Length: 4\r\n\r\nbody',
  );
  assert.equal((await downstream.response()).status, 200);
  assert.match(origin.received, /X-Forwarded-For: 1\.2\.3\.4\r\nContent-Length: 4\r\n/);
  assert.match(origin.received, /\r\n\r\nbody$/);
});

test('a local reply to HEAD has the length of its body and no body', async (t) => {
  const table = tableOf([listenerOf([], { defaultHost: -1, virtualHosts: [] })], []);
  const { connect } = await startProxy(t, { table });
  const downstream = await connect();
  for (let index = 0; index < 2; index++) {
    await downstream.send('HEAD / HTTP/1.1\r\nHost: a\r\n\r\n');
    const response = await downstream.response(true);
    assert.equal(response.status, 404);
    assert.match(response.head, /^Content-Length: [1-9]\d+$/m);
  }
  assert.equal(downstream.rest, '');
});

test('a body that turns out bad after its head went upstream: the answer says how far it went', async (t) => {
  const { connect, origin } = await startPair(t, () => undefined);
  const downstream = await connect();
  await downstream.send(
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  );
  const upstream = await origin.connection(0);
  await upstream.untilReceived('abc');
  await downstream.send('zz\r\n');
  const { body, status } = await downstream.response();
  assert.equal(status, 400);
  assert.match(
    body,
    /^protocol-error: .* Nothing from there on was forwarded\. \(.*chunk size.*byte \d+/,
  );
  assert.equal(await upstream.closed(), 'reset');
  assert.doesNotMatch(origin.received, /zz|\r\n0\r\n/);
});
