/**
 * Collectors that are dead, slow, angry or silent (reference/reliability.md O1 to O8, O13, O17): the
 * accounts stay exact, nothing is thrown, and one warning says it.
 *
 * Most cases run the worker's pipeline in this thread, with the SDK's real exporter over real sockets.
 */

import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { WorkerCounters } from '../../src/telemetry/metrics/worker-counters.ts';
import { createRingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RecordPipeline } from '../../src/telemetry/record-pipeline.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { accept, type OtlpSink, refuse, type SinkAnswer, stall } from './otlp-sink.ts';
import { PipelineBench, quick, withSink } from './pipeline-bench.ts';
import { inbound } from './records.ts';
import { surroundings } from './surroundings.ts';

async function listen(
  onConnection: (socket: Socket) => void,
): Promise<{ server: Server; url: string }> {
  const server = createServer(onConnection);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return { server, url: `http://127.0.0.1:${address.port}` };
}

async function refusedUrl(): Promise<string> {
  const { server, url } = await listen((socket) => socket.destroy());
  await new Promise((resolve) => server.close(resolve));
  return url;
}

test('spans wait for a collector that is not there; a warning says so before any is lost', async () => {
  const bench = new PipelineBench(await refusedUrl());
  bench.write(10);
  await bench.until(() => bench.warnings.length > 0);
  assert.match(bench.queue.trouble, /ECONNREFUSED/);
  const expected = /10 spans wait, the test collector does not take them: .*ECONNREFUSED/;
  assert.match(bench.warnings[0]!, expected);
  assert.deepEqual(bench.check(), { sent: 0, dropped: 0, queued: 10 });
  await bench.pipeline.close();
  assert.deepEqual(bench.check(), { sent: 0, dropped: 10, queued: 0 });
});

test('a batch that no try delivers is dropped, with a warning', async () => {
  const bench = new PipelineBench(await refusedUrl(), {}, { exportAttemptsMax: 3 });
  bench.write(10);
  await bench.until(() => bench.queue.dropped === 10);
  await bench.until(() => bench.warnings.length > 0);
  assert.match(bench.warnings[0]!, /10 spans not delivered to the test collector: .*ECONNREFUSED/);
  await bench.pipeline.close();
});

test('a collector that accepts and never answers costs its timeout, and is tried again', async () => {
  await withSink(stall, async (bench, sink) => {
    bench.write(10);
    await bench.until(() => sink.requests.length === 2);
    assert.match(bench.queue.trouble, /timed out/);
    sink.answer = accept;
    await bench.until(() => bench.queue.sent === 10);
    assert.equal(bench.queue.dropped, 0);
  });
});

for (const status of [400, 401, 404, 413, 500]) {
  test(`a ${status} drops the batch at once, without a retry`, async () => {
    await withSink(
      refuse(status),
      async (bench, sink) => {
        bench.write(10);
        await bench.until(() => bench.queue.dropped === 10);
        assert.equal(sink.requests.length, 1);
        assert.match(bench.queue.trouble, new RegExp(String(status)));
      },
      { OTEL_EXPORTER_OTLP_TIMEOUT: '10000' },
    );
  });
}

test('a redirect is not followed', async () => {
  await withSink(refuse(307, { location: '/elsewhere' }), async (bench, sink) => {
    bench.write(10);
    await bench.until(() => bench.queue.dropped === 10);
    assert.deepEqual(
      sink.requests.map(({ url }) => url),
      ['/v1/traces'],
    );
  });
});

test('429, 502, 503 and 504 are retried, and the spans arrive once', async () => {
  const once =
    (status: number): SinkAnswer =>
    (response, spans, call) =>
      (call === 1 ? refuse(status) : accept)(response, spans, call);
  const run = async (bench: PipelineBench, sink: OtlpSink) => {
    bench.write(10);
    await bench.until(() => bench.queue.sent === 10);
    assert.equal(sink.requests.length, 2);
    assert.equal(sink.spans.length, 10);
    assert.equal(bench.queue.dropped, 0);
  };
  const env = { OTEL_EXPORTER_OTLP_TIMEOUT: '5000' };
  await Promise.all([429, 502, 503, 504].map((status) => withSink(once(status), run, env)));
});

test('a collector that asks for time gets it, and everything arrives when it is over', async () => {
  const first: SinkAnswer = (response, spans, call) =>
    (call === 1 ? refuse(429, { 'retry-after': '1' }) : accept)(response, spans, call);
  await withSink(first, async (bench, sink) => {
    bench.write(10);
    await bench.until(() => bench.queue.sent === 10);
    assert.equal(sink.requests.length, 2);
  });
});

test('spans that a partial success rejects are dropped, not sent', async () => {
  const partial: SinkAnswer = (response) => {
    response.end('{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}');
    return true;
  };
  await withSink(partial, async (bench) => {
    bench.write(10);
    await bench.until(() => bench.queue.sent === 7);
    assert.deepEqual(bench.check(), { sent: 7, dropped: 3, queued: 0 });
    assert.match(bench.queue.trouble, /rejected 3 spans/);
  });
});

const protobuf = { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' };
const gzip = { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' };

for (const [name, env] of [
  ['JSON, gzip', gzip],
  ['protobuf', protobuf],
  ['protobuf, gzip', { ...protobuf, ...gzip }],
] as const) {
  test(`${name}: what was refused once arrives once, under its type and encoding`, async () => {
    const first: SinkAnswer = (response, spans, call) =>
      (call === 1 ? refuse(503) : accept)(response, spans, call);
    await withSink(
      first,
      async (bench, sink) => {
        bench.write(10, { target: '/reviews/7?full=1' });
        await bench.until(() => bench.queue.sent === 10);
        assert.equal(sink.spans.length, 10);
        const [, { headers }] = sink.requests as [unknown, (typeof sink.requests)[number]];
        const isProtobuf = name.startsWith('protobuf');
        const type = isProtobuf ? 'application/x-protobuf' : 'application/json';
        assert.equal(headers['content-type'], type);
        assert.equal(headers['content-encoding'], name.endsWith('gzip') ? 'gzip' : undefined);
        assert.match(headers['user-agent']!, /^tracecar\/1\.2\.3 OTel-OTLP-Exporter-JavaScript\//);
        for (const { name: spanName, attributes } of sink.spans) {
          assert.equal(spanName, 'GET');
          const url = attributes.find(({ key }) => key === 'url.full')?.value.stringValue;
          assert.equal(url, 'http://reviews:9080/reviews/7?full=1');
        }
      },
      env,
    );
  });
}

test('spans that a partial success in protobuf rejects are dropped, not sent', async () => {
  const partial: SinkAnswer = (response) => {
    response.setHeader('content-type', 'application/x-protobuf');
    response.end(Buffer.of(0x0a, 2, 0x08, 3));
    return true;
  };
  await withSink(
    partial,
    async (bench) => {
      bench.write(10);
      await bench.until(() => bench.queue.sent === 7);
      assert.deepEqual(bench.check(), { sent: 7, dropped: 3, queued: 0 });
    },
    protobuf,
  );
});

test('an answer of more than 4 MiB ends the connection and drops the batch', async () => {
  const endless: SinkAnswer = (response) => {
    const block = Buffer.alloc(1024 * 1024, 32);
    const more = (error?: Error | null) => {
      if (!error) response.write(block, more);
    };
    more();
    return false;
  };
  await withSink(
    endless,
    async (bench) => {
      bench.write(10);
      await bench.until(() => bench.queue.dropped === 10);
      assert.match(bench.queue.trouble, /size limit/);
    },
    { OTEL_EXPORTER_OTLP_TIMEOUT: '10000' },
  );
});

test('an answer that is not JSON still counts as sent', async () => {
  const strange: SinkAnswer = (response) => {
    response.end('<html>');
    return true;
  };
  await withSink(strange, async (bench, sink) => {
    bench.write(10);
    await bench.until(() => bench.queue.sent === 10);
    assert.equal(sink.spans.length, 10);
  });
});

test('with a stuck collector queue and half the ring fill, the rest is dropped, the sum is exact', async () => {
  await withSink(
    stall,
    async (bench) => {
      bench.write(10_000);
      const first = bench.check();
      // One batch is on its way, ten wait (the oldest went), and half of the ring's 16384 less two.
      assert.deepEqual(first, { sent: 0, dropped: 1_700, queued: 110 });
      assert.equal(bench.held, 8_190);
      assert.equal(bench.queue.queueFull, 1_700);
      bench.write(5);
      assert.equal(bench.check().dropped, 1_710);
      await bench.pipeline.close();
      assert.deepEqual(bench.check(), { sent: 0, dropped: 10_005, queued: 0 });
      assert.equal(bench.held, 0);
    },
    { OTEL_EXPORTER_OTLP_TIMEOUT: '2000' },
  );
});

test('O13: far more than the queue holds, while nobody takes it: what went wrong is kept', async () => {
  await withSink(refuse(503), async (bench, sink) => {
    bench.write(10);
    await bench.until(() => sink.requests.length > 0 && bench.queue.room > 1_000);
    for (let round = 0; round < 40; round++) {
      bench.write(249);
      bench.write(1, { status: 500 });
    }
    const { sent, dropped } = bench.check();
    assert.ok(sent === 0 && dropped > 9_800, `${sent} sent, ${dropped} dropped`);
    assert.equal(bench.queue.queueFull, dropped);
    sink.answer = accept;
    await bench.until(() => bench.queue.queued === 0);
    const errors = sink.spans.filter(({ attributes }) =>
      attributes.some(({ key, value }) => key === 'error.type' && value.stringValue === '500'),
    );
    assert.equal(errors.length, 40);
  });
});

test('spans that come faster than they are sent wait in the ring, and none is lost', async () => {
  await withSink(accept, async (bench, sink) => {
    bench.write(4_000);
    assert.ok(bench.held > 3_000);
    await bench.until(() => bench.queue.sent === 4_000);
    assert.equal(bench.queue.dropped, 0);
    assert.equal(sink.spans.length, 4_000);
  });
});

test('the end waits for those in the ring, as long as it may', async () => {
  const env = { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '500', OTEL_BSP_MAX_QUEUE_SIZE: '500' };
  await withSink(
    accept,
    async (bench, sink) => {
      bench.write(2_000);
      assert.ok(bench.held > 0);
      await bench.pipeline.close();
      assert.deepEqual(bench.check(), { sent: 2_000, dropped: 0, queued: 0 });
      assert.equal(sink.spans.length, 2_000);
    },
    { ...env, OTEL_EXPORTER_OTLP_TIMEOUT: '20000' },
    { flushMs: 20_000 },
  );
});

test('a collector that comes back is sent what waits', async () => {
  await withSink(refuse(500), async (bench, sink) => {
    bench.write(10);
    await bench.until(() => bench.queue.dropped === 10);
    sink.answer = accept;
    bench.write(50);
    await bench.until(() => bench.queue.sent === 50);
    assert.deepEqual(bench.check(), { sent: 50, dropped: 10, queued: 0 });
  });
});

test('there is one warning a minute, with the loss since the last', async () => {
  await withSink(refuse(500), async (bench) => {
    for (let batch = 1; batch <= 5; batch++) {
      bench.write(10);
      await bench.until(() => bench.queue.dropped === batch * 10);
      bench.clock.advance(1_000);
    }
    assert.equal(bench.warnings.length, 1);
    bench.clock.advance(60_000);
    bench.check();
    assert.equal(bench.warnings.length, 2);
    assert.match(bench.warnings[1]!, /40 spans not delivered/);
    bench.clock.advance(120_000);
    bench.check();
    assert.equal(bench.warnings.length, 2, 'nothing was lost since');
  });
});

test('close gives up after its time and counts what was left', async () => {
  await withSink(
    stall,
    async (bench) => {
      bench.write(60);
      const begin = systemClock.now();
      await bench.pipeline.close();
      // Far more than half a second, far less than an export may take here.
      assert.ok(systemClock.now() - begin < 20_000);
      assert.deepEqual(bench.check(), { sent: 0, dropped: 60, queued: 0 });
    },
    { OTEL_EXPORTER_OTLP_TIMEOUT: '60000' },
  );
});

test('a worker that follows a dead one counts its queue as dropped', () => {
  const limits = telemetryLimits;
  const memory = createRingMemory(limits.recordRingBytes, limits.textRingBytes);
  const counters = new WorkerCounters(memory);
  counters.publish({
    taken: 30,
    sent: 10,
    dropped: 5,
    queued: 15,
    queueFull: 5,
    linesDropped: 1,
    linesWritten: 2,
    recalled: 3,
    marks: 4,
    historyBytes: 4096,
    keepSent: 5,
    keepFailed: 6,
    metricsFailed: 7,
  });
  new Int32Array(memory.buffer)[52]!++;
  const next = new RecordPipeline({
    memory,
    limits,
    clock: systemClock,
    wakeUps: systemWakeUps,
    surroundings: surroundings(),
    readNames: () => undefined,
    spans: undefined,
    lines: undefined,
    destination: '',
    warn: () => undefined,
  });
  next.poll();
  assert.deepEqual(counters.read(), {
    taken: 30,
    sent: 10,
    dropped: 20,
    queued: 0,
    queueFull: 5,
    linesDropped: 1,
    linesWritten: 2,
    recalled: 3,
    marks: 4,
    historyBytes: 0,
    keepSent: 5,
    keepFailed: 6,
    metricsFailed: 7,
  });
});

/** The real thing: hot thread, worker thread, and a collector that takes and never answers. */
test('a black-holed collector: finish never waits, shutdown takes under 2 s', async (t) => {
  const sockets: Socket[] = [];
  const { server, url } = await listen((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.resume();
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const logged: string[] = [];
  const { settings } = readTelemetrySettings({
    ...quick,
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_TIMEOUT: '60000',
  });
  const telemetry = Telemetry.start({
    settings,
    clock: systemClock,
    wakeUps: systemWakeUps,
    random: systemRandom,
    log: (level, text) => logged.push(`${level} ${text}`),
    version: '1.2.3',
    accessLog: 'off',
  });
  const record = inbound();
  const absent = new TraceContext();
  const finishMany = (count: number) => {
    for (let index = 0; index < count; index++) {
      telemetry.beginSpan(record, absent);
      telemetry.finish(record);
    }
  };
  finishMany(1_000);
  while (sockets.length === 0) {
    await new Promise((resolve) => server.once('connection', resolve));
  }
  finishMany(10_000);
  const closeAt = systemClock.now();
  await telemetry.flushAndClose();
  // Two seconds, on a machine that does not stand still; an export may take a minute here.
  assert.ok(systemClock.now() - closeAt < 20_000);
  const counts = telemetry.counts();
  assert.equal(counts.started, 11_000);
  assert.equal(counts.dropped, 11_000);
  assert.equal(counts.sent + counts.queued, 0);
  assert.equal(logged.length, 1);
  assert.match(logged[0]!, /^warn telemetry: \d+ spans not delivered .*no answer from it yet/);
});

test('a worker that cannot start costs a warning and the spans, nothing else', async () => {
  const logged: string[] = [];
  const { settings } = readTelemetrySettings(quick);
  const telemetry = Telemetry.start({
    settings,
    clock: systemClock,
    wakeUps: systemWakeUps,
    random: systemRandom,
    log: (level, text) => logged.push(`${level} ${text}`),
    version: '1.2.3',
    accessLog: 'off',
    limits: { ...telemetryLimits, workerRestartMs: 20 },
    workerUrl: new URL('./absent.ts', import.meta.url),
  });
  const record = inbound();
  telemetry.beginSpan(record, new TraceContext());
  telemetry.finish(record);
  while (logged.length === 0) {
    await new Promise((resolve) => systemWakeUps.after(5, () => resolve(undefined)));
  }
  assert.match(logged[0]!, /^warn telemetry: the worker ended/);
  await telemetry.flushAndClose();
  const { started, dropped } = telemetry.counts();
  assert.deepEqual({ started, dropped }, { started: 1, dropped: 1 });
});
