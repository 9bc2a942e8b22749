/**
 * The receiver over real HTTP: what it takes, and what strangers may try on it.
 */

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { spansOf } from './query-api-cases.ts';
import { attributeList, exportBody, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const viewer = await startViewer();
const small = await startViewer({
  ingestBytesMax: 10_000,
  ingestDecodedBytesMax: 50_000,
  ingestValuesMax: 500,
  spansPerTraceMax: 3,
});
const narrow = await startViewer({ ingestHeldBytesMax: 100_000, headTimeoutMs: 300 });
after(() => Promise.all([viewer.close(), small.close(), narrow.close()]));

const start = '1795627913000000000';
const end = '1795627913002000000';
let lastId = 0;

function freshTraceId(): string {
  lastId++;
  return lastId.toString(16).padStart(32, '0');
}

/** One span in an export request, with whatever the test wants different. */
function requestOf(span: Record<string, unknown>, resource: unknown = {}) {
  const whole = {
    traceId: '00000000000000000000000000000bad',
    spanId: '00000000000000a1',
    name: 'GET',
    startTimeUnixNano: start,
    endTimeUnixNano: end,
    ...span,
  };
  return { resourceSpans: [{ resource, scopeSpans: [{ spans: [whole] }] }] };
}

async function stored(traceId: string) {
  const response = await fetch(`${viewer.query}/api/v3/traces/${traceId}`);
  return response.status === 200 ? spansOf(await response.json())[0] : undefined;
}

async function refusal(response: Response): Promise<{ status: number; message: string }> {
  assert.equal(response.headers.get('content-type'), 'application/json');
  const { code, message } = (await response.json()) as { code: number; message: string };
  assert.ok(code > 0);
  return { status: response.status, message };
}

function post(
  base: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
): Promise<Response> {
  return fetch(`${base}/v1/traces`, { method: 'POST', body, headers });
}

test('an empty request is accepted', async () => {
  const response = await sendSpans(viewer.otlp, {});
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { partialSuccess: {} });
});

test('gzip is taken, and a charset beside the type', async () => {
  const traceId = freshTraceId();
  const response = await post(viewer.otlp, gzipSync(JSON.stringify(requestOf({ traceId }))), {
    'content-type': 'Application/JSON; charset=utf-8',
    'content-encoding': 'GZIP',
  });
  assert.equal(response.status, 200);
  assert.equal((await stored(traceId))?.name, 'GET');
});

test('protobuf is taken, and answered in protobuf', async () => {
  const headers = { 'content-type': 'application/x-protobuf' };
  const empty = await post(viewer.otlp, new Uint8Array([10, 0]), headers);
  assert.equal(empty.status, 200);
  assert.equal(empty.headers.get('content-type'), 'application/x-protobuf');
  assert.equal((await empty.arrayBuffer()).byteLength, 0);
  const cut = await post(viewer.otlp, new Uint8Array([10, 5]), headers);
  assert.equal(cut.status, 400);
  assert.equal(cut.headers.get('content-type'), 'application/x-protobuf');
  const status = Buffer.from(await cut.arrayBuffer());
  // google.rpc.Status: code 3, then the message.
  assert.deepEqual([...status.subarray(0, 3)], [8, 3, 0x12]);
  const message = 'the body is not OTLP in protobuf: it ends in the middle of a field';
  assert.equal(status.toString('utf8', 4), message);
});

test('a type that a form of a web page can send is refused', async () => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', '']) {
    const response = await post(viewer.otlp, new Uint8Array([0x7b, 0x7d]), {
      'content-type': type,
    });
    assert.equal((await refusal(response)).status, 415);
  }
});

test('another method, path or coding is refused by its own status', async () => {
  const get = await fetch(`${viewer.otlp}/v1/traces`);
  assert.equal(get.headers.get('allow'), 'POST');
  assert.equal((await refusal(get)).status, 405);
  const logs = await fetch(`${viewer.otlp}/v1/logs`, { method: 'POST', body: '{}' });
  assert.deepEqual(await refusal(logs), {
    status: 404,
    message: 'this receiver takes POST /v1/traces and /v1/metrics only, not /v1/logs',
  });
  const headers = { 'content-type': 'application/json', 'content-encoding': 'br' };
  const brotli = await post(viewer.otlp, '{}', headers);
  assert.equal(brotli.headers.get('accept-encoding'), 'gzip');
  assert.equal((await refusal(brotli)).status, 415);
});

test('what is not OTLP in JSON is 400 with the reason', async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /not JSON/],
    ['{', /not JSON/],
    ['{"resourceSpans":[]} x', /not JSON/],
    ['[]', /"resourceSpans"/],
    ['null', /"resourceSpans"/],
    ['"text"', /"resourceSpans"/],
    ['{"resourceSpans":5}', /"resourceSpans"/],
    ['{"resourceSpans":[5]}', /entry of "resourceSpans"/],
    ['{"resourceSpans":[{"scopeSpans":{}}]}', /entry of "resourceSpans"/],
    ['{"resourceSpans":[{"scopeSpans":[null]}]}', /entry of "resourceSpans"/],
    ['{"resourceSpans":[{"scopeSpans":[{"spans":1}]}]}', /entry of "resourceSpans"/],
    [`{"a":${'['.repeat(100)}`, /deeper than 64/],
    ['['.repeat(5_000_000), /deeper than 64/],
  ];
  for (const [body, reason] of cases) {
    const { status, message } = await refusal(await sendSpans(viewer.otlp, body));
    assert.equal(status, 400, body.slice(0, 60));
    assert.match(message, reason);
  }
});

test('bytes that are not UTF-8, and gzip that is none or cut, are 400', async () => {
  const json = { 'content-type': 'application/json' };
  const latin1 = Buffer.from('{"x":"\xff"}', 'latin1');
  const { message } = await refusal(await post(viewer.otlp, latin1, json));
  assert.equal(message, 'the body is not UTF-8');
  const whole = gzipSync('{"resourceSpans":[]}');
  for (const body of [Buffer.from('{}'), whole.subarray(0, whole.length - 9)]) {
    const response = await post(viewer.otlp, body, { ...json, 'content-encoding': 'gzip' });
    const refused = await refusal(response);
    assert.equal(refused.status, 400);
    assert.match(refused.message, /not whole gzip/);
  }
});

test('a bad span is refused alone, the others are stored', async () => {
  const traceId = freshTraceId();
  const good = exportBody([
    { traceId, spanId: '00000000000000a1', service: 's', name: 'n', startMs: 1e12, durationMs: 1 },
  ]);
  const spans = [
    { traceId: 'zz', spanId: '00000000000000a1' },
    { traceId: '0'.repeat(32), spanId: '00000000000000a1' },
    { traceId, spanId: 'aaaa' },
    { traceId, spanId: '0000000000000000' },
    { traceId, spanId: '00000000000000a2', parentSpanId: 'x' },
    { traceId, spanId: '00000000000000a2', startTimeUnixNano: '-1' },
    { traceId, spanId: '00000000000000a2', endTimeUnixNano: '99999999999999999999' },
    { traceId: 5, spanId: {} },
    'no object',
  ];
  const body = { resourceSpans: [...good.resourceSpans, { scopeSpans: [{ spans }] }] };
  const response = await sendSpans(viewer.otlp, body);
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), {
    partialSuccess: {
      rejectedSpans: '9',
      errorMessage: 'traceId is not 32 hex digits that are not all 0',
    },
  });
  assert.equal((await stored(traceId))?.name, 'n');
});

test('ids come out in lower case, names of enums as numbers, numbers as texts', async () => {
  const traceId = freshTraceId().replace(/^0000/, 'ABCD');
  const span = {
    traceId,
    spanId: '00000000000000AF',
    parentSpanId: '0000000000000000',
    kind: 'SPAN_KIND_CLIENT',
    status: { code: 'STATUS_CODE_ERROR' },
    startTimeUnixNano: 1_795_627_913_000_000_000,
    endTimeUnixNano: '01795627913002000000',
    attributes: [{ key: 'n', value: { intValue: 7 } }],
  };
  await sendSpans(viewer.otlp, requestOf(span));
  assert.deepEqual(await stored(traceId.toLowerCase()), {
    traceId: traceId.toLowerCase(),
    spanId: '00000000000000af',
    name: 'GET',
    kind: 3,
    startTimeUnixNano: start,
    endTimeUnixNano: end,
    attributes: [{ key: 'n', value: { intValue: '7' } }],
    status: { code: 2 },
  });
});

test('attributes of 1 MiB are cut, malformed and surplus ones dropped and counted', async () => {
  const traceId = freshTraceId();
  const attributes = [
    { key: 'long', value: { stringValue: 'é'.repeat(524_288) } },
    { key: 'bad', value: 5 },
    { key: '', value: { stringValue: 'no key' } },
    { key: 'number', value: { intValue: 'many' } },
    null,
    ...attributeList(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`a${n}`, n]))),
  ];
  const response = await sendSpans(viewer.otlp, requestOf({ traceId, attributes }));
  assert.equal(response.status, 200);
  const span = (await stored(traceId)) as unknown as {
    attributes: { key: string; value: { stringValue: string } }[];
    droppedAttributesCount: number;
  };
  assert.equal(
    span.attributes[0]!.value.stringValue,
    'é'.repeat(viewerLimits.attributeBytesMax / 2),
  );
  assert.equal(span.attributes.length, viewerLimits.attributesMax);
  assert.equal(span.attributes.length + span.droppedAttributesCount, attributes.length);
});

test('a span of many big attributes, events and links stays within its bytes', async () => {
  const traceId = freshTraceId();
  const big = 'x'.repeat(20_000);
  const attributes = Array.from({ length: 60 }, (_, n) => ({
    key: `a${n}`,
    value: { stringValue: big },
  }));
  const events = Array.from({ length: 200 }, () => ({ name: big, attributes }));
  const body = JSON.stringify(requestOf({ traceId, attributes, events: events.slice(0, 4) }));
  assert.equal((await sendSpans(viewer.otlp, body, true)).status, 200);
  const span = await stored(traceId);
  assert.ok(JSON.stringify(span).length < viewerLimits.spanBytesMax * 1.2);
});

test('keys such as __proto__ are only keys', async () => {
  const traceId = freshTraceId();
  const pairs =
    '[{"key":"__proto__","value":{"stringValue":"p"}},{"key":"constructor","value":{}}]';
  const span =
    `{"traceId":"${traceId}","spanId":"00000000000000a1","name":"n","__proto__":{"x":1},` +
    `"constructor":1,"startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":${pairs}}`;
  const body = `{"__proto__":{"resourceSpans":5},"resourceSpans":[{"scopeSpans":[{"spans":[${span}]}]}]}`;
  assert.equal((await sendSpans(viewer.otlp, body)).status, 200);
  assert.deepEqual((await stored(traceId))?.attributes, JSON.parse(pairs));
  assert.equal(({} as Record<string, unknown>).x, undefined);
});

test('a body over the limit is 413, declared or not, and the sender reads the answer', async () => {
  const body = 'x'.repeat(3_000_000);
  const declared = await post(small.otlp, body, { 'content-type': 'application/json' });
  assert.equal((await refusal(declared)).status, 413);
  const stream = new Blob([body]).stream();
  const chunked = await fetch(`${small.otlp}/v1/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: stream,
    duplex: 'half',
  } as RequestInit);
  const { status, message } = await refusal(chunked);
  assert.equal(status, 413);
  assert.match(message, /over 10000 bytes/);
});

test('a body that never ends is answered and then cut', async () => {
  const socket = connect(small.otlpPort, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(
    'POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n' +
      'transfer-encoding: chunked\r\n\r\n',
  );
  let answered = '';
  socket.on('data', (chunk) => {
    answered += chunk.toString('latin1');
  });
  const chunk = `1000\r\n${'x'.repeat(4096)}\r\n`;
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const feed = (): void => {
    if (!socket.destroyed) socket.write(chunk, () => setImmediate(feed));
  };
  feed();
  await closed;
  assert.match(answered, /^HTTP\/1\.1 413 /);
});

test('a gzip bomb is 413 and costs no more than the limit', async () => {
  const bomb = gzipSync(Buffer.alloc(viewerLimits.ingestDecodedBytesMax, 0x20));
  assert.ok(bomb.length < 100_000);
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  const { status, message } = await refusal(await post(viewer.otlp, bomb, headers));
  assert.equal(status, 413);
  // As much as may be sent plain, or a hundred times as much as came: not all of it.
  assert.match(message, new RegExp(`unpacks to over ${viewerLimits.ingestBytesMax} bytes`));
});

test('JSON of very many tiny values is 413 before it is parsed', async () => {
  const body = `[${'{},'.repeat(600)}{}]`;
  const { status, message } = await refusal(await sendSpans(small.otlp, body));
  assert.equal(status, 413);
  assert.match(message, /over 500 values/);
});

test('spans beyond the limit of their trace are counted as rejected', async () => {
  const traceId = freshTraceId();
  const spans = [1, 2, 3, 4, 5].map((n) => ({
    traceId,
    spanId: `000000000000000${n}`,
    startTimeUnixNano: start,
    endTimeUnixNano: end,
  }));
  const response = await sendSpans(small.otlp, {
    resourceSpans: [{ scopeSpans: [{ spans }] }],
  });
  assert.deepEqual(await response.json(), {
    partialSuccess: { rejectedSpans: '2', errorMessage: 'a trace keeps at most 3 spans' },
  });
});

test('bodies held at the same time are bounded: the next sender is told to come back', async () => {
  // Ten senders that stop in the middle hold nearly all that may be held.
  const sockets = Array.from({ length: 10 }, () => connect(narrow.otlpPort, '127.0.0.1'));
  const head =
    'POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n' +
    'content-length: 20000\r\n\r\n';
  let answered = '';
  const refused = new Promise<void>((resolve) => {
    for (const socket of sockets) {
      socket.on('error', () => {});
      socket.once('data', (data) => {
        answered = data.toString('latin1');
        resolve();
      });
      socket.write(head + 'x'.repeat(12_000));
    }
  });
  await refused;
  assert.match(answered, /^HTTP\/1\.1 503 .*\r\nretry-after: 1\r\n/is);
  for (const socket of sockets) socket.destroy();
  await Promise.all(sockets.map((each) => new Promise((done) => each.once('close', done))));
  // What they held is given back; the server may see their end a moment later.
  for (let tries = 0; tries < 1_000; tries++) {
    const { status } = await sendSpans(narrow.otlp, { pad: 'x'.repeat(80_000) });
    if (status === 200) return;
  }
  assert.fail('the bytes of senders that went away are still counted');
});

test('a sender that does not finish its head is cut', async () => {
  const socket = connect(narrow.otlpPort, '127.0.0.1');
  socket.on('error', () => {});
  socket.write('POST /v1/traces HTTP/1.1\r\nhost: x\r\n');
  const answered = await new Promise<string>((resolve) => {
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    socket.once('close', () => resolve(text));
  });
  assert.match(answered, /^(HTTP\/1\.1 408 |$)/);
});
