/**
 * Batches and when they are exported (OTEL_BSP_*), by a queue whose timers and exporter are the test's;
 * and the memory of a batch while a collector that has answered still reads it.
 */

import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { emptyResource } from '@opentelemetry/resources';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';
import { ClusterBook } from '../../src/telemetry/cluster-facts.ts';
import { RecordText } from '../../src/telemetry/record-text.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings.ts';
import { ObjectBatch, type SpanBatch } from '../../src/telemetry/span-batches.ts';
import { createOutput, type SpanOutput } from '../../src/telemetry/span-exporters.ts';
import { SpanQueue } from '../../src/telemetry/span-queue.ts';
import { inbound, outbound } from './records.ts';

const sent: ExportResult = { code: ExportResultCode.SUCCESS };
const failed: ExportResult = { code: ExportResultCode.FAILED, error: new Error('no') };
const around = {
  resource: emptyResource(),
  scope: { name: 'tracecar' },
  names: ['', 'x'.repeat(10_000)],
  clusters: new ClusterBook(),
  epochMs: 1.7e12,
  knownMethods: undefined,
  attributesMax: 128,
  attributeLengthMax: Number.POSITIVE_INFINITY,
};
const noText = new RecordText(Buffer.alloc(0));

/** Timers that run when the test says so. */
class Timers implements WakeUps {
  readonly #armed = new Map<object, { delayMs: number; call: () => void }>();

  after(delayMs: number, call: () => void): () => void {
    const key = {};
    this.#armed.set(key, { delayMs, call });
    return () => void this.#armed.delete(key);
  }

  /** Delays of the timers that wait. */
  get delays(): readonly number[] {
    return [...this.#armed.values()].map(({ delayMs }) => delayMs);
  }

  async fire(delayMs: number): Promise<void> {
    for (const [key, timer] of this.#armed) {
      if (timer.delayMs !== delayMs) continue;
      this.#armed.delete(key);
      timer.call();
    }
    await turn();
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Keeps what was exported, and the answers to it for the test to give. */
class Exports implements SpanOutput {
  readonly sizes: number[] = [];
  readonly answers: ((result: ExportResult) => void)[] = [];

  newBatch(): SpanBatch {
    const { sizes, answers } = this;
    return {
      length: 0,
      add() {
        (this as { length: number }).length++;
      },
      export(done) {
        sizes.push(this.length);
        answers.push(done);
      },
    };
  }

  async answer(result: ExportResult): Promise<void> {
    this.answers.shift()!(result);
    await turn();
  }

  async shutdown(): Promise<void> {}
}

const delayMs = 5_000;
const timeoutMs = 30_000;

function start(): { exports: Exports; timers: Timers; queue: SpanQueue } {
  const exports = new Exports();
  const timers = new Timers();
  const settings = { delayMs, timeoutMs, queueMax: 20, batchMax: 10 };
  return { exports, timers, queue: new SpanQueue(exports, settings, timers) };
}

function push(queue: SpanQueue, count: number): void {
  for (let index = 0; index < count; index++) queue.push(outbound(), noText);
}

test('a full batch is exported at once, the rest when its time has come', async () => {
  const { exports, timers, queue } = start();
  push(queue, 9);
  assert.deepEqual([exports.sizes, timers.delays], [[], [delayMs]]);
  push(queue, 4);
  assert.deepEqual([exports.sizes, timers.delays], [[10], [timeoutMs]]);
  await exports.answer(sent);
  assert.deepEqual([exports.sizes, timers.delays], [[10], [delayMs]]);
  await timers.fire(delayMs);
  assert.deepEqual([exports.sizes, timers.delays], [[10, 3], [timeoutMs]]);
  push(queue, 1);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.queued, queue.dropped], [13, 1, 0]);
  assert.deepEqual([exports.sizes, timers.delays], [[10, 3], [delayMs]]);
  await timers.fire(delayMs);
  await exports.answer(sent);
  assert.deepEqual([exports.sizes, queue.sent, queue.queued], [[10, 3, 1], 14, 0]);
});

test('one batch is exported at a time, a full one as soon as the one before has its answer', async () => {
  const { exports, queue } = start();
  push(queue, 30);
  assert.deepEqual(exports.sizes, [10]);
  await exports.answer(failed);
  assert.deepEqual(exports.sizes, [10, 10]);
  await exports.answer(sent);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.dropped, queue.queued], [20, 10, 0]);
});

test('more than the queue takes is dropped, whatever is in flight', () => {
  const { exports, queue } = start();
  push(queue, 35);
  assert.deepEqual(exports.sizes, [10]);
  assert.deepEqual([queue.queued, queue.dropped, queue.queueFull], [30, 5, 5]);
});

test('a batch without an answer holds the next up for the time of an export, and counts later', async () => {
  const { exports, timers, queue } = start();
  push(queue, 20);
  await timers.fire(timeoutMs);
  assert.deepEqual(exports.sizes, [10, 10]);
  assert.equal(queue.queued, 20);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.queued], [10, 10]);
});

test('an answer counts once', async () => {
  const { exports, queue } = start();
  push(queue, 10);
  const [answer] = exports.answers;
  answer!(sent);
  answer!(failed);
  assert.deepEqual([queue.sent, queue.dropped, queue.queued], [10, 0, 0]);
});

test('an exporter that throws has dropped the batch', async () => {
  const { exports, queue } = start();
  exports.newBatch = () => ({
    length: 10,
    add: () => undefined,
    export: () => {
      throw new Error('broken');
    },
  });
  push(queue, 10);
  assert.deepEqual([queue.dropped, queue.queued, queue.trouble], [10, 0, 'broken']);
});

test('a flush exports everything at once and waits for the answers; close gives the rest up', async () => {
  const { exports, timers, queue } = start();
  push(queue, 25);
  let isFlushed = false;
  const flushed = queue.flush().then(() => {
    isFlushed = true;
  });
  assert.deepEqual(exports.sizes, [10, 10, 5]);
  push(queue, 1);
  for (const result of [sent, sent]) await exports.answer(result);
  assert.equal(isFlushed, false);
  await exports.answer(sent);
  await flushed;
  queue.close();
  assert.deepEqual([queue.sent, queue.dropped, queue.queued], [25, 1, 0]);
  assert.deepEqual([exports.sizes, timers.delays], [[10, 10, 5], []]);
});

test('a batch of objects keeps copies of its records, with the strings of the text', () => {
  const exported: ReadableSpan[] = [];
  const exporter: SpanExporter = {
    export: (spans, done) => {
      exported.push(...spans);
      done(sent);
    },
    shutdown: async () => undefined,
  };
  const batch = new ObjectBatch(exporter, around);
  const text = new RecordText(Buffer.from('/a'));
  text.authority = text.userAgent = text.peerAddress = text.end = 2;
  const record = inbound({ status: 201, target: 'not this' });
  batch.add(record, text);
  record.reset();
  batch.export(() => undefined);
  assert.equal(batch.length, 1);
  const { attributes } = exported[0]!;
  assert.equal(attributes['http.response.status_code'], 201);
  assert.equal(attributes['url.path'], '/a');
});

test('a batch stays as it is while a collector that has answered still reads it', async (t) => {
  const batchMax = 4_000;
  const sockets: Socket[] = [];
  const parts: Buffer[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    // The head is here, most of the body is not; the answer goes, and nothing more is read.
    socket.once('data', (part: Buffer) => {
      parts.push(part);
      socket.pause();
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}');
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { settings } = readTelemetrySettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: String(batchMax),
    OTEL_BSP_MAX_QUEUE_SIZE: String(batchMax * 2),
  });
  const queue = new SpanQueue(
    createOutput(settings, '1.2.3', around)!,
    settings.batch,
    systemWakeUps,
  );
  for (let index = 0; index < batchMax; index++) {
    queue.push(outbound({ routeId: 1, spanId1: 0xaaaa }), noText);
  }
  while (queue.sent === 0) await turn();
  for (let index = 0; index < batchMax - 1; index++) {
    queue.push(outbound({ routeId: 1, spanId1: 0xbbbb }), noText);
  }
  const [socket] = sockets;
  let last = '';
  socket!.on('data', (part: Buffer) => {
    parts.push(part);
    last = (last + part.toString('latin1')).slice(-5);
  });
  socket!.resume();
  while (last !== '0\r\n\r\n') await turn();
  queue.close();
  const text = Buffer.concat(parts).toString('latin1');
  assert.equal(text.split('0000aaaa').length - 1, batchMax);
  assert.equal(text.split('0000bbbb').length - 1, 0);
});
