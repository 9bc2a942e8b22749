/**
 * Back-off after failed exports, and the two places inside the SDK's exporters that are replaced.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtobufTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { seededRandom } from '../../src/base/random.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { serializerOf } from '../../src/telemetry/export/span-exporters.ts';
import { nextDelay, RetryableError } from '../../src/telemetry/transport/export-retry.ts';
import { OwnTransport, type TransportAnswer } from '../../src/telemetry/transport/own-transport.ts';
import { RequestWatch } from '../../src/telemetry/transport/request-watch.ts';

const limits = telemetryLimits;

test('back-off doubles from a second to half a minute, and half of it is drawn', () => {
  const random = seededRandom(3);
  for (const [failures, whole] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
    const drawn = Array.from({ length: 200 }, () => nextDelay(failures + 1, 0, random, limits));
    assert.ok(Math.min(...drawn) >= whole / 2);
    assert.ok(Math.max(...drawn) <= whole);
    assert.ok(new Set(drawn).size > 100);
  }
  assert.ok(nextDelay(5_000, 0, random, limits) <= 30_000);
});

test('a Retry-After is the least to wait, up to a minute', () => {
  const random = seededRandom(3);
  assert.equal(nextDelay(1, 45_000, random, limits), 45_000);
  assert.equal(nextDelay(1, 3_600_000, random, limits), 60_000);
  assert.ok(nextDelay(6, 100, random, limits) >= 15_000);
});

function transportThat(answer: TransportAnswer, isGzip = false) {
  const sent: Uint8Array[] = [];
  const http = {
    send: async (data: Uint8Array) => {
      sent.push(data);
      return answer;
    },
    shutdown: () => undefined,
  };
  const wakeUps = { after: () => () => undefined };
  return {
    sent,
    transport: new OwnTransport(http, { isGzip, requests: new RequestWatch(), wakeUps }),
  };
}

test('a failure that may pass is tried once and told as such, with its time; others as they are', async () => {
  const error = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
  const { sent, transport } = transportThat({ status: 'retryable', error, retryInMillis: 7_000 });
  const answer = await transport.send(Buffer.from('x'), 10);
  assert.equal(sent.length, 1);
  assert.equal(answer.status, 'failure');
  assert.ok(answer.error instanceof RetryableError);
  assert.deepEqual(
    [answer.error.message, answer.error.retryAfterMs],
    ['ECONNREFUSED connect', 7_000],
  );
  for (const answered of [{ status: 'success' }, { status: 'failure', error }] as const) {
    assert.equal(await transportThat(answered).transport.send(Buffer.from('x'), 10), answered);
  }
});

test('a connection that is cut is worth another at once, and only one', async () => {
  const error = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
  const { sent, transport } = transportThat({ status: 'retryable', error });
  const answer = await transport.send(Buffer.from('x'), 10);
  assert.equal(sent.length, 2);
  assert.ok(answer.error instanceof RetryableError);
});

test('what is compressed is what was given', async () => {
  const { sent, transport } = transportThat({ status: 'success' }, true);
  await transport.send(Buffer.from('spans '.repeat(1_000)), 10);
  assert.ok(sent[0]!.length < 200);
  assert.equal(gunzipSync(sent[0]!).toString(), 'spans '.repeat(1_000));
});

for (const [name, Exporter] of [
  ['JSON', OTLPTraceExporter],
  ['protobuf', ProtobufTraceExporter],
] as const) {
  test(`${name}: this version of the SDK has its serializer and its HTTP where ours go`, () => {
    const exporter = new Exporter();
    assert.equal(typeof serializerOf(exporter)?.serializeRequest, 'function');
    const { _delegate: delegate } = exporter as unknown as {
      _delegate: { _transport: { _transport: { send: unknown } } };
    };
    assert.equal(typeof delegate._transport._transport.send, 'function');
  });
}
