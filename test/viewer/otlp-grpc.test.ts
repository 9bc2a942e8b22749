/**
 * OTLP over gRPC, from a bare HTTP/2 client: what is refused how, and what a hostile peer gains.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { startViewer } from './viewer-fixture.ts';

const viewer = await startViewer({ grpcResetBurst: 20, grpcResetsPerSecond: 1 });
const small = await startViewer({ ingestBytesMax: 10_000 });
const impatient = await startViewer({ headTimeoutMs: 200 });
after(() => Promise.all([viewer.close(), small.close(), impatient.close()]));

const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

interface Reply {
  readonly headers: IncomingHttpHeaders;
  /** `grpc-status` of the trailers, or of the headers when there are only those. */
  readonly status: string;
  readonly message: string;
  readonly body: Buffer;
}

async function open(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  await once(session, 'connect');
  return session;
}

async function call(
  port: number,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  const session = await open(port);
  try {
    const stream = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    stream.on('error', () => {});
    let answered: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => {
      answered = received;
    });
    stream.on('trailers', (received) => {
      trailers = received;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.end(body);
    await once(stream, 'close');
    const last = { ...answered, ...trailers };
    return {
      headers: answered,
      status: String(last['grpc-status'] ?? ''),
      message: decodeURIComponent(String(last['grpc-message'] ?? '')),
      body: Buffer.concat(chunks),
    };
  } finally {
    session.destroy();
  }
}

function frame(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.from([flag, 0, 0, 0, 0]);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** One span in protobuf: its ids and nothing else, unless `rest` says so. */
function spanRequest(traceId: string, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  const span = Buffer.concat([
    lengthDelimited(1, Buffer.from(traceId, 'hex')),
    lengthDelimited(2, Buffer.from('00000000000000a1', 'hex')),
    rest,
  ]);
  return lengthDelimited(1, lengthDelimited(2, lengthDelimited(2, span)));
}

function lengthDelimited(field: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let left = bytes.length;
  for (; left > 127; left >>>= 7) length.push((left & 127) | 128);
  return Buffer.concat([Buffer.from([(field << 3) | 2, ...length, left]), bytes]);
}

async function isStored(traceId: string): Promise<boolean> {
  return (await fetch(`${viewer.query}/api/v3/traces/${traceId}`)).status === 200;
}

test('an empty request is a good one, and its answer an empty message', async () => {
  const { headers, status, body } = await call(viewer.grpcPort, frame(Buffer.alloc(0)));
  assert.equal(headers[':status'], 200);
  assert.equal(headers['content-type'], 'application/grpc');
  assert.equal(status, '0');
  assert.deepEqual(body, Buffer.alloc(5));
});

test('messages are taken plain and with gzip', async () => {
  const plain = spanRequest('000000000000000000000000000000d1');
  assert.equal((await call(viewer.grpcPort, frame(plain))).status, '0');
  const packed = gzipSync(spanRequest('000000000000000000000000000000d2'));
  const reply = await call(viewer.grpcPort, frame(packed, 1), { 'grpc-encoding': 'gzip' });
  assert.equal(reply.status, '0');
  assert.ok(await isStored('000000000000000000000000000000d1'));
  assert.ok(await isStored('000000000000000000000000000000d2'));
});

test('a span without ids is rejected alone, and the answer counts it', async () => {
  const reply = await call(viewer.grpcPort, frame(spanRequest('')));
  assert.equal(reply.status, '0');
  const text = 'traceId is not 32 hex digits that are not all 0';
  const inner = Buffer.concat([Buffer.from([8, 1]), lengthDelimited(2, Buffer.from(text))]);
  assert.deepEqual(reply.body, frame(lengthDelimited(1, inner)));
});

test('what is no call of ours has its own status', async () => {
  const body = frame(Buffer.alloc(0));
  const logs = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
  assert.equal((await call(viewer.grpcPort, body, { ':path': logs })).status, '12');
  const json = { 'content-type': 'application/grpc+json' };
  assert.equal((await call(viewer.grpcPort, body, json)).status, '12');
  const plain = await call(viewer.grpcPort, body, { 'content-type': 'application/json' });
  assert.equal(plain.headers[':status'], 415);
  const snappy = await call(viewer.grpcPort, frame(Buffer.alloc(3), 1), {
    'grpc-encoding': 'snappy',
  });
  assert.deepEqual([snappy.status, snappy.message.includes("'snappy'")], ['12', true]);
});

test('malformed messages are status 3 with the reason', async () => {
  const deep = (depth: number): Buffer =>
    depth === 0
      ? Buffer.from([10, 1, 0x61])
      : lengthDelimited(5, lengthDelimited(1, deep(depth - 1)));
  const attribute = lengthDelimited(9, lengthDelimited(2, deep(100)));
  const traceId = '000000000000000000000000000000d3';
  const cases: readonly (readonly [Buffer, RegExp])[] = [
    [Buffer.alloc(0), /not one whole message/],
    [Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]), /not one whole message/],
    [frame(Buffer.from([10, 5, 1])), /ends in the middle/],
    [frame(Buffer.from([0x0b])), /wire type 3/],
    [frame(Buffer.alloc(11, 0xff)), /longer than 10 bytes/],
    [frame(spanRequest(traceId, attribute)), /deeper than 64/],
  ];
  for (const [body, reason] of cases) {
    const { status, message } = await call(viewer.grpcPort, body);
    assert.equal(status, '3');
    assert.match(message, reason);
  }
  const cut = await call(viewer.grpcPort, frame(Buffer.from('no gzip'), 1), {
    'grpc-encoding': 'gzip',
  });
  assert.deepEqual([cut.status, /not whole gzip/.test(cut.message)], ['3', true]);
});

test('a gzip bomb and a body of very many values are status 8', async () => {
  const bomb = gzipSync(Buffer.alloc(viewerLimits.ingestDecodedBytesMax + 1));
  const gzip = { 'grpc-encoding': 'gzip' };
  const unpacked = await call(viewer.grpcPort, frame(bomb, 1), gzip);
  assert.deepEqual([unpacked.status, /unpacks to over/.test(unpacked.message)], ['8', true]);
  // Two bytes each: an empty entry of resourceSpans.
  const many = Buffer.alloc(2 * viewerLimits.ingestValuesMax, Buffer.from([10, 0]));
  const counted = await call(viewer.grpcPort, frame(gzipSync(many), 1), gzip);
  assert.deepEqual([counted.status, /over 2000000 values/.test(counted.message)], ['8', true]);
});

test('attributes of 1 MiB are cut', async () => {
  const traceId = '000000000000000000000000000000d4';
  const value = lengthDelimited(2, lengthDelimited(1, Buffer.alloc(1024 * 1024, 'x')));
  const attribute = lengthDelimited(
    9,
    Buffer.concat([lengthDelimited(1, Buffer.from('k')), value]),
  );
  assert.equal((await call(viewer.grpcPort, frame(spanRequest(traceId, attribute)))).status, '0');
  const text = await (await fetch(`${viewer.query}/api/v3/traces/${traceId}`)).text();
  assert.ok(text.includes(`"${'x'.repeat(viewerLimits.attributeBytesMax)}"`));
});

test('a body that never ends is refused and its stream closed', async () => {
  const session = await open(small.grpcPort);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
  });
  stream.on('error', () => {});
  const [headers] = (await Promise.all([once(stream, 'response'), feed()]))[0];
  assert.equal(headers['grpc-status'], '8');
  session.destroy();

  async function feed(): Promise<void> {
    const closed = once(stream, 'close');
    const write = (): void => {
      if (!stream.destroyed) stream.write(Buffer.alloc(4096), () => setImmediate(write));
    };
    write();
    await closed;
  }
});

test('a call that stops in the middle is reset', async () => {
  const session = await open(impatient.grpcPort);
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
  });
  stream.on('error', () => {});
  stream.write(Buffer.alloc(5));
  await once(stream, 'close');
  assert.equal(stream.rstCode, constants.NGHTTP2_CANCEL);
  session.destroy();
});

test('a peer that resets its streams at once loses its session', async () => {
  const session = await open(viewer.grpcPort);
  const closed = new Promise<void>((done) => session.once('close', () => done()));
  let code = -1;
  session.on('goaway', (received) => {
    code = received;
  });
  const reset = (): void => {
    if (session.destroyed || session.closed) return;
    const stream = session.request({ ':method': 'POST', ':path': path });
    stream.on('error', () => {});
    stream.close(constants.NGHTTP2_CANCEL, () => setImmediate(reset));
  };
  reset();
  await closed;
  assert.notEqual(code, constants.NGHTTP2_NO_ERROR);
  // Others are served.
  assert.equal((await call(viewer.grpcPort, frame(Buffer.alloc(0)))).status, '0');
});

test('a peer is told how many calls it may have under way', async () => {
  const session = connect(`http://127.0.0.1:${viewer.grpcPort}`);
  session.on('error', () => {});
  const [settings] = await once(session, 'remoteSettings');
  assert.equal(settings.maxConcurrentStreams, viewerLimits.grpcStreamsMax);
  assert.equal(settings.maxHeaderListSize, viewerLimits.headBytesMax);
  session.destroy();
});

test('what is no HTTP/2 is cut', async () => {
  const socket = connectTcp(viewer.grpcPort, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
});

test('a connection on which nothing comes is cut like a head that does not end', async () => {
  const socket = connectTcp(impatient.grpcPort, '127.0.0.1');
  socket.on('error', () => {});
  socket.resume();
  await once(socket, 'close');
});

test('before connections run out one without a call makes room', async (t) => {
  const narrow = await startViewer({ connectionsMax: 8 });
  t.after(() => narrow.close());
  const closed: Promise<unknown>[] = [];
  for (let n = 0; n < 20; n++) {
    const session = await open(narrow.grpcPort);
    await once(session, 'remoteSettings');
    if (n < 10) closed.push(session.destroyed ? Promise.resolve() : once(session, 'close'));
    t.after(() => session.destroy());
  }
  await Promise.all(closed);
  assert.equal((await call(narrow.grpcPort, frame(Buffer.alloc(0)))).status, '0');
});
