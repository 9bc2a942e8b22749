/**
 * Batches and when they are exported (OTEL_BSP_*), by a queue whose timers and exporter are the test's;
 * and the memory of a batch while a collector that has answered still reads it.
 */

import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import { systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { type TelemetryLimits, telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { ObjectBatch, type SpanBatch } from '../../src/telemetry/export/span-batches.ts';
import { createOutput, type SpanOutput } from '../../src/telemetry/export/span-exporters.ts';
import { Lane } from '../../src/telemetry/export/span-lanes.ts';
import { SpanQueue } from '../../src/telemetry/export/span-queue.ts';
import { RecordText } from '../../src/telemetry/record/record-text.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { RetryableError } from '../../src/telemetry/transport/export-retry.ts';
import { inbound, outbound } from './records.ts';
import { surroundings } from './surroundings.ts';

const sent: ExportResult = { code: ExportResultCode.SUCCESS };
const failed: ExportResult = { code: ExportResultCode.FAILED, error: new Error('no') };
const around = surroundings({ names: ['', 'x'.repeat(10_000)] });
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
  /** The batches of `sizes`, and those that were given up, by number from 1. */
  readonly sent: string[] = [];
  readonly dropped: string[] = [];
  readonly answers: ((result: ExportResult) => void)[] = [];
  spanBytes = 0;
  #made = 0;

  newBatch(): SpanBatch {
    const { sizes, sent: begun, dropped, answers, spanBytes } = this;
    const name = String(++this.#made);
    let length = 0;
    return {
      get length() {
        return length;
      },
      get bytes() {
        return length * spanBytes;
      },
      drop: () => void dropped.push(name),
      add: () => void length++,
      export(done) {
        sizes.push(length);
        begun.push(name);
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

function start(limits: Partial<TelemetryLimits> = {}): {
  exports: Exports;
  timers: Timers;
  queue: SpanQueue;
} {
  const exports = new Exports();
  const timers = new Timers();
  const settings = { delayMs, timeoutMs, queueMax: 20, batchMax: 10 };
  const options = { random: seededRandom(7), limits: { ...telemetryLimits, ...limits } };
  return { exports, timers, queue: new SpanQueue(exports, settings, timers, options) };
}

function push(queue: SpanQueue, count: number, lane: number = Lane.Sampled): void {
  for (let index = 0; index < count; index++) queue.push(outbound(), noText, lane);
}

test('a full batch is exported at once, the rest when its time has come', async () => {
  const { exports, timers, queue } = start();
  push(queue, 9);
  assert.deepEqual([exports.sizes, timers.delays], [[], [delayMs]]);
  push(queue, 4);
  assert.deepEqual([exports.sizes, timers.delays], [[10], [timeoutMs, delayMs]]);
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

test('a span that finds the queue full drives out the oldest batch that waits', async () => {
  const { exports, queue } = start();
  push(queue, 30);
  assert.deepEqual(exports.sizes, [10]);
  assert.deepEqual([queue.queued, queue.dropped, queue.room], [30, 0, 0]);
  push(queue, 5);
  assert.deepEqual([queue.queued, queue.dropped, queue.queueFull], [25, 10, 10]);
  assert.deepEqual(exports.dropped, ['2']);
  await exports.answer(sent);
  assert.deepEqual(exports.sent, ['1', '3']);
});

test('lanes: the lowest loses first, the highest never for one below it, and leaves first', async () => {
  const { exports, queue } = start();
  push(queue, 10);
  push(queue, 10, Lane.Error);
  push(queue, 10, Lane.Sampled);
  assert.deepEqual([exports.sent, queue.queued], [['1'], 30]);
  push(queue, 10, Lane.Kept);
  assert.deepEqual([exports.dropped, queue.dropped], [['3'], 10]);
  push(queue, 10, Lane.Sampled);
  assert.deepEqual([exports.dropped, queue.dropped, queue.queued], [['3'], 20, 30]);
  push(queue, 10, Lane.Error);
  assert.deepEqual([exports.dropped, queue.dropped, queue.queueFull], [['3', '4'], 30, 30]);
  push(queue, 1, Lane.Kept);
  assert.deepEqual([queue.dropped, queue.queued], [31, 30]);
  for (let answers = 0; answers < 3; answers++) await exports.answer(sent);
  assert.deepEqual([exports.sent, queue.sent, queue.queued], [['1', '2', '5'], 30, 0]);
});

test('a span that was kept for what it is leaves after half a second', async () => {
  const { exports, timers, queue } = start();
  push(queue, 3);
  push(queue, 1, Lane.Error);
  assert.deepEqual(timers.delays, [delayMs, 500]);
  await timers.fire(500);
  assert.deepEqual(exports.sizes, [1]);
  await timers.fire(delayMs);
  assert.deepEqual(exports.sizes, [1]);
  await exports.answer(sent);
  assert.deepEqual(exports.sizes, [1, 3]);
});

test('the bytes of what waits have a limit of their own', () => {
  const { exports, queue } = start({ spanQueueBytesMax: 1_500 });
  exports.spanBytes = 100;
  push(queue, 25);
  assert.deepEqual([exports.sizes, queue.queued, queue.dropped], [[10], 25, 0]);
  push(queue, 1);
  assert.deepEqual([queue.queued, queue.dropped, queue.queueFull], [16, 10, 10]);
});

const away = (retryAfterMs = 0): ExportResult => ({
  code: ExportResultCode.FAILED,
  error: new RetryableError('503', retryAfterMs),
});

test('a failure that may pass: the batch waits, then the newest goes first, until one is taken', async () => {
  const { exports, timers, queue } = start();
  push(queue, 20);
  await exports.answer(away());
  assert.deepEqual([exports.sent, queue.queued, queue.dropped], [['1'], 20, 0]);
  assert.equal(queue.room, 0);
  const pause = () => timers.delays.find((each) => each !== delayMs);
  const first = pause();
  assert.ok(first! >= 500 && first! <= 1_000, `${first} ms`);
  await timers.fire(first!);
  assert.deepEqual(exports.sent, ['1', '2']);
  await exports.answer(away());
  assert.equal(queue.room, Number.POSITIVE_INFINITY);
  const second = pause();
  assert.ok(second! >= 1_000 && second! <= 2_000, `${second} ms`);
  await timers.fire(second!);
  await exports.answer(sent);
  assert.deepEqual(exports.sent, ['1', '2', '2', '1']);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.queued, timers.delays], [20, 0, []]);
});

test('a collector that says when to come again is left alone until then, for a minute at most', async () => {
  const { exports, timers, queue } = start();
  push(queue, 10);
  await exports.answer(away(7_000));
  assert.deepEqual(timers.delays, [7_000]);
  push(queue, 10);
  assert.deepEqual(exports.sizes, [10]);
  await timers.fire(7_000);
  await exports.answer(away(3_600_000));
  assert.deepEqual(timers.delays, [60_000]);
});

test('a batch that no try delivers is given up, and the next one has its own tries', async () => {
  const { exports, timers, queue } = start({ exportAttemptsMax: 3 });
  push(queue, 10);
  for (let attempt = 1; attempt <= 3; attempt++) {
    assert.equal(queue.queued, 10);
    await exports.answer(away());
    await timers.fire(timers.delays[0] ?? 0);
  }
  assert.deepEqual([queue.dropped, queue.queued, exports.dropped], [10, 0, ['1']]);
  push(queue, 10);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.dropped], [10, 10]);
});

test('a flush goes on trying what may still be taken, until it is closed', async () => {
  const { exports, timers, queue } = start();
  push(queue, 5);
  const flushed = queue.flush();
  await exports.answer(away());
  await timers.fire(timers.delays[0]!);
  await exports.answer(sent);
  await flushed;
  assert.deepEqual([exports.sent, queue.sent, queue.queued], [['1', '1'], 5, 0]);
});

test('a flush that comes after the end sends nothing and counts nothing', async () => {
  const { exports, queue } = start();
  push(queue, 5);
  queue.close();
  await queue.flush();
  assert.deepEqual([exports.sizes, queue.dropped, queue.queued], [[], 5, 0]);
});

test('a flush calls the pause after a failure off', async () => {
  const { exports, timers, queue } = start();
  push(queue, 10);
  await exports.answer(away());
  void queue.flush();
  assert.deepEqual([exports.sent, timers.delays], [['1', '1'], [timeoutMs]]);
  queue.close();
  await exports.answer(away());
  assert.deepEqual([queue.sent, queue.dropped, queue.queued], [0, 10, 0]);
});

test('a batch without an answer in its time is a failure: the next waits for the back-off', async () => {
  const { exports, timers, queue } = start();
  push(queue, 20);
  await timers.fire(timeoutMs);
  assert.deepEqual([exports.sizes, queue.queued], [[10], 20]);
  assert.match(queue.trouble, /no answer in 30000 ms/);
  const pause = timers.delays.find((each) => each !== delayMs)!;
  assert.ok(pause >= 500 && pause <= 1_000, `${pause} ms`);
  await timers.fire(pause);
  assert.deepEqual(exports.sent, ['1', '2']);
  await timers.fire(timeoutMs);
  const second = timers.delays.find((each) => each !== delayMs)!;
  assert.ok(second >= 1_000 && second <= 2_000, `${second} ms`);
  assert.deepEqual([queue.dropped, queue.queued], [0, 20]);
});

test('an answer that is late counts, and ends the back-off when the batch was taken', async () => {
  const { exports, timers, queue } = start();
  push(queue, 20);
  await timers.fire(timeoutMs);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.queued, exports.sent], [10, 10, ['1', '2']]);
  assert.deepEqual(timers.delays, [timeoutMs]);
});

test('a batch that fails later than its time is one failure, and is tried again after it', async () => {
  const { exports, timers, queue } = start();
  push(queue, 10);
  await timers.fire(timeoutMs);
  await exports.answer(away());
  assert.deepEqual([exports.sent, queue.queued, queue.dropped], [['1'], 10, 0]);
  const [pause, ...more] = timers.delays;
  assert.ok(pause! >= 500 && pause! <= 1_000 && more.length === 0, `${pause} ms`);
  await timers.fire(pause!);
  assert.deepEqual(exports.sent, ['1', '1']);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.queued], [10, 0]);
});

test('a collector cannot refuse more spans than it was sent, nor those of another batch', async () => {
  const { exports, queue } = start();
  push(queue, 10);
  queue.reject(999_999_999);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.dropped, queue.queued], [0, 10, 0]);
  assert.match(queue.trouble, /rejected 10 spans/);
  push(queue, 10);
  await exports.answer(sent);
  assert.deepEqual([queue.sent, queue.dropped, queue.queued], [10, 10, 0]);
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
    bytes: 0,
    drop: () => undefined,
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
  text.authority = text.userAgent = text.peerAddress = text.extra = text.end = 2;
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
  const batchMax = 1_000;
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
