/**
 * The collector: spans are counted in every encoding, and it behaves as it is told.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { getPriority, tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { countSpans } from '../../bench/load/span-count.ts';
import { Children } from '../../bench/stage/children.ts';
import { CollectorControl } from '../../bench/stage/collector-control.ts';
import { freePorts } from '../../bench/stage/free-ports.ts';

const children = new Children();
let collector: CollectorControl;

before(async () => {
  const [port] = (await freePorts(1)) as [number];
  collector = await CollectorControl.start(children, undefined, tmpdir(), port);
});
after(() => children.stopAll());

const span = { traceId: 'a', spanId: 'b', parentSpanId: 'c', name: 'GET' };
const json = Buffer.from(
  JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span, span] }, { spans: [span] }] }] }),
);

/** A protobuf field that holds bytes. */
function field(number: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  for (; rest > 127; rest >>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), body]);
}

/** A resource and a scope stand before the spans; a span of 300 bytes needs a length of two bytes. */
function protobuf(): Buffer {
  const long = field(2, Buffer.alloc(300));
  const scopes = [field(2, field(1, Buffer.from('scope')), long, long), field(2, long)];
  return field(1, field(1, Buffer.from('resource')), ...scopes);
}

function send(body: Buffer, headers: Record<string, string>): Promise<Response> {
  const url = `http://127.0.0.1:${collector.port}/v1/traces`;
  return fetch(url, { method: 'POST', body: new Uint8Array(body), headers });
}

test('spans are counted in JSON and in protobuf, zipped or in pieces', () => {
  const pieces = [json.subarray(0, 40), json.subarray(40)];
  assert.equal(countSpans({ type: 'json', zipped: false, parts: pieces }), 3);
  assert.equal(countSpans({ type: 'json', zipped: true, parts: [gzipSync(json)] }), 3);
  assert.equal(countSpans({ type: 'protobuf', zipped: false, parts: [protobuf()] }), 3);
  assert.equal(countSpans({ type: 'protobuf', zipped: true, parts: [gzipSync(protobuf())] }), 3);
});

test('a protobuf body that is cut or none is refused', () => {
  const parts = [protobuf().subarray(0, 100)];
  assert.throws(() => countSpans({ type: 'protobuf', zipped: false, parts }), /cut/);
  const text = [Buffer.from('hello')];
  assert.throws(() => countSpans({ type: 'protobuf', zipped: false, parts: text }));
});

test('the collector counts what it accepted', async () => {
  const earlier = await collector.spans();
  const plain = await send(json, { 'content-type': 'application/json' });
  assert.deepEqual([plain.status, await plain.text()], [200, '{}']);
  const zipped = { 'content-type': 'application/x-protobuf', 'content-encoding': 'gzip' };
  assert.equal((await send(gzipSync(protobuf()), zipped)).status, 200);
  assert.equal((await collector.spans()) - earlier, 6);
});

test('a busy collector answers 429 and counts nothing, a dead one has no port', async () => {
  const earlier = await collector.spans();
  await collector.mode('busy');
  assert.equal((await send(json, { 'content-type': 'application/json' })).status, 429);
  await collector.mode('dead');
  await assert.rejects(send(json, {}), /fetch failed/);
  await collector.mode('up');
  assert.equal((await send(json, { 'content-type': 'application/json' })).status, 200);
  assert.equal((await collector.spans()) - earlier, 3);
});

test('the collector stands back behind all others on its core', () => {
  // By parent: bench and test keep its id to themselves.
  const pids = readdirSync('/proc').filter((entry) => {
    try {
      return (
        readFileSync(`/proc/${entry}/cmdline`, 'latin1').includes('load/collector.ts') &&
        readFileSync(`/proc/${entry}/stat`, 'latin1').split(') ')[1]?.split(' ')[1] ===
          String(process.pid)
      );
    } catch {
      return false;
    }
  });
  assert.deepEqual(
    pids.map((pid) => getPriority(Number(pid))),
    [10],
  );
});
