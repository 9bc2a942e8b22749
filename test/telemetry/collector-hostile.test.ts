/**
 * Collectors that mean harm, or seem to (reference/reliability.md O3, O4, O8, O9): answers without end,
 * bombs, nonsense, certificates of nobody. The accounts stay exact, nothing is thrown, the next batch
 * goes its way.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CertificateAuthority } from '../support/certificates.ts';
import { accept, refuse, type SinkAnswer } from './otlp-sink.ts';
import { PipelineBench, withSink } from './pipeline-bench.ts';

/** Far more than these take; only a hang meets it. */
const timeout = 60_000;

test('O3: a collector that takes its time gets one batch at a time, and in the end all', {
  timeout,
}, async () => {
  const held: ServerResponse[] = [];
  const slow: SinkAnswer = (response) => {
    held.push(response);
    return true;
  };
  await withSink(
    slow,
    async (bench, sink) => {
      bench.write(40);
      for (let batch = 1; batch <= 4; batch++) {
        await bench.until(() => held.length === batch);
        assert.deepEqual(bench.check(), {
          sent: (batch - 1) * 10,
          dropped: 0,
          queued: 50 - batch * 10,
        });
        held[batch - 1]!.end('{}');
        await bench.until(() => bench.queue.sent === batch * 10);
      }
      assert.equal(new Set(sink.spans).size, 40);
    },
    { OTEL_EXPORTER_OTLP_TIMEOUT: '30000' },
  );
});

for (const retryAfter of [
  'soon',
  '-5',
  '',
  '99999999999999999999',
  'Thu, 01 Jan 1970 00:00:00 GMT',
]) {
  test(`O4: a Retry-After of ${JSON.stringify(retryAfter)} does no harm`, { timeout }, async () => {
    const first: SinkAnswer = (response, spans, call) =>
      (call === 1 ? refuse(503, { 'retry-after': retryAfter }) : accept)(response, spans, call);
    await withSink(
      first,
      async (bench) => {
        bench.write(10);
        await bench.until(() => bench.queue.sent === 10);
        assert.equal(bench.queue.dropped, 0);
      },
      {},
      { exportRetryAfterMsMax: 20 },
    );
  });
}

test('O8: an answer that trickles for ever is cut when its time is over', { timeout }, async () => {
  const trickling = new Set<ServerResponse>();
  const trickle: SinkAnswer = (response, spans, call) => {
    if (call > 2) return accept(response, spans, call);
    trickling.add(response);
    response.on('close', () => trickling.delete(response));
    const more = (): void => {
      if (!response.destroyed) response.write(' ', () => setImmediate(more));
    };
    more();
    return true;
  };
  await withSink(
    trickle,
    async (bench) => {
      bench.write(30);
      await bench.until(() => bench.queue.queued === 0);
      await bench.until(() => trickling.size === 0);
      // It took the spans and said 200: that the rest of the answer is missing changes nothing.
      assert.deepEqual(bench.check(), { sent: 30, dropped: 0, queued: 0 });
    },
    { OTEL_EXPORTER_OTLP_TIMEOUT: '100' },
  );
});

for (const [said, lost] of [
  ['"999999999"', 10],
  [`"${'9'.repeat(400)}"`, 10],
  ['1e300', 10],
  ['1e1', 10],
  ['3.9', 3],
  ['"-4"', 0],
  ['-4', 0],
  ['true', 0],
  ['"3 of them"', 0],
  ['null', 0],
  ['{"low":3}', 0],
] as const) {
  const shown = said.slice(0, 20);
  test(`a partial success that rejects ${shown} of 10 loses ${lost}`, { timeout }, async () => {
    const partial: SinkAnswer = (response) => {
      response.end(
        `{"partialSuccess":{"errorMessage":"'rejectedSpans':7","rejectedSpans":${said}}}`,
      );
      return true;
    };
    await withSink(partial, async (bench) => {
      bench.write(10);
      await bench.until(() => bench.queue.queued === 0);
      assert.deepEqual(bench.check(), { sent: 10 - lost, dropped: lost, queued: 0 });
    });
  });
}

test('a batch that may take less time than a request ends its request', { timeout }, async () => {
  let open = 0;
  let openMax = 0;
  const never: SinkAnswer = (response) => {
    openMax = Math.max(openMax, ++open);
    response.on('close', () => open--);
    return false;
  };
  await withSink(
    never,
    async (bench, sink) => {
      bench.write(30);
      await bench.until(() => sink.requests.length >= 5);
      assert.deepEqual(bench.check(), { sent: 0, dropped: 0, queued: 30 });
      // One is closed while the next is opened.
      assert.ok(openMax <= 2, `${openMax} at once`);
    },
    { OTEL_BSP_EXPORT_TIMEOUT: '50', OTEL_EXPORTER_OTLP_TIMEOUT: '60000' },
    { exportBackoffMs: 200, exportBackoffMsMax: 400 },
  );
});

test('O8: a bomb as an answer is not unpacked', { timeout }, async () => {
  const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024));
  assert.ok(bomb.length < 1024 * 1024);
  const answer: SinkAnswer = (response) => {
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-type': 'application/json' });
    response.end(bomb);
    return true;
  };
  await withSink(
    answer,
    async (bench) => {
      const before = process.memoryUsage().arrayBuffers;
      bench.write(10);
      await bench.until(() => bench.queue.sent === 10);
      assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
    },
    { OTEL_EXPORTER_OTLP_TIMEOUT: '30000' },
  );
});

for (const [name, answer] of [
  ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ['a head without end', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`],
  ['a status of nobody', 'HTTP/1.1 999 ?\r\ncontent-length: 0\r\n\r\n'],
  ['an informational answer for ever', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(1_000)],
] as const) {
  test(`O8: an answer that is ${name} costs its batch at most`, { timeout }, async (t) => {
    const url = await answering(t, answer);
    const bench = new PipelineBench(url, {}, { exportAttemptsMax: 2 });
    bench.write(10);
    await bench.until(() => bench.queue.dropped === 10);
    bench.write(10);
    await bench.until(() => bench.queue.dropped === 20);
    assert.notEqual(bench.queue.trouble, '');
    await bench.pipeline.close();
    bench.check();
  });
}

test('O9: a certificate that nobody vouches for costs the spans, with its reason', {
  timeout,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { cert, key } = new CertificateAuthority(folder).issue('localhost');
  const server = createTlsServer({ cert, key }, (_asked, response) => response.end());
  const url = await listening(t, server).then((port) => `https://localhost:${port}`);
  const bench = new PipelineBench(url);
  bench.write(10);
  await bench.until(() => bench.queue.dropped === 10);
  assert.match(bench.queue.trouble, /certificate/i);
  await bench.pipeline.close();
  bench.check();
});

test('O9: TLS to a collector that speaks none costs the spans, with its reason', {
  timeout,
}, async (t) => {
  const url = (await answering(t, 'HTTP/1.1 400 Bad Request\r\n\r\n')).replace('http:', 'https:');
  const bench = new PipelineBench(url);
  bench.write(10);
  await bench.until(() => bench.queue.dropped === 10);
  assert.notEqual(bench.queue.trouble, '');
  await bench.pipeline.close();
  bench.check();
});

/** The URL of a server that answers whatever comes with the same bytes, and goes on listening. */
async function answering(t: TestContext, text: string): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => void socket.write(text));
    socket.resume();
  });
  return `http://127.0.0.1:${await listening(t, server)}`;
}

async function listening(t: TestContext, server: ReturnType<typeof createServer>): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}
