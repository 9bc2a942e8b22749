/**
 * A real sidecar's spans are the same in a real Jaeger and in our viewer, in every encoding that it
 * exports: what our own JSON and protobuf say is what other people's decoders read.
 *
 *   sidecar ─► tee ─┬─► Jaeger            Needs `npm run peers jaeger`; skipped with that command
 *                   └─► viewer            where it is missing.
 */

import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, suite, type TestContext, test } from 'node:test';
import type { SearchAnswer } from '../../../src/viewer/view-answers.ts';
import { startPair, startServer } from '../../e2e/acceptance/traced-pair.ts';
import { get } from '../../e2e/sidecar-process.ts';
import { spansOf } from '../../viewer/query-api-cases.ts';
import { type RunningViewer, startViewer } from '../../viewer/viewer-fixture.ts';
import { findGoProgram } from '../go-peers.ts';
import { type Jaeger, startJaeger } from '../jaeger.ts';

const skip =
  findGoProgram('jaeger') === undefined ? 'Jaeger is not built; run: npm run peers jaeger' : false;
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

/** What is asked: good, failed, and texts that an encoder may get wrong. */
const targets = ['/good?a=1', '/fail?status=503', `/${'%C3%A9'.repeat(100)}`, '/q?"\\=<>&x=%00'];

suite('spans of a sidecar', { skip }, () => {
  let jaeger: Jaeger;
  let viewer: RunningViewer;

  before(async () => {
    jaeger = await startJaeger();
    viewer = await startViewer();
  });
  after(async () => {
    await Promise.all([jaeger?.close(), viewer?.close()]);
  });

  for (const protocol of ['http/json', 'http/protobuf']) {
    for (const compression of ['none', 'gzip']) {
      test(`are the same in Jaeger and here: ${protocol}, ${compression}`, async (t) => {
        const service = `app-${protocol.slice(5)}-${compression}`;
        const endpoint = await startTee(t, [jaeger.otlpUrl, viewer.otlp]);
        const origin = await startServer(t, (asked, response) => {
          const status = new URL(asked.url!, 'http://x').searchParams.get('status');
          response.writeHead(Number(status ?? 200)).end('x');
        });
        const pair = await startPair(t, {
          services: { origin: [origin] },
          environment: {
            OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
            OTEL_EXPORTER_OTLP_COMPRESSION: compression,
            OTEL_SERVICE_NAME: service,
            OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=Z%C3%BCrich',
          },
        });
        for (const target of targets) await get(`127.0.0.1:${pair.inbound}`, target);
        const ids = await untilSpans(viewer, service, 2 * targets.length);
        for (const id of ids) {
          const ours = await traceOf(viewer.query, id);
          await jaeger.waitForTrace(id, ({ spans }) => spans.length === ours.length);
          assert.deepEqual(ours, await traceOf(jaeger.queryUrl, id));
        }
      });
    }
  }
});

/** Waits until the viewer has as many spans of the service; gives the ids of their traces. */
async function untilSpans(
  { query }: RunningViewer,
  service: string,
  count: number,
): Promise<string[]> {
  for (;;) {
    const response = await fetch(`${query}/api/view/search?service=${service}`);
    const { traces } = (await response.json()) as SearchAnswer;
    if (traces.reduce((sum, { spans }) => sum + spans, 0) >= count) {
      return traces.map(({ id }) => id);
    }
  }
}

/** Spans by id, their attributes by key, without what Jaeger adds itself. */
async function traceOf(queryUrl: string, id: string) {
  const body = await (await fetch(`${queryUrl}/api/v3/traces/${id}`)).json();
  return spansOf(body)
    .map((span) => ({
      ...span,
      attributes: (span.attributes ?? [])
        .filter(({ key }) => key !== '@jaeger@warnings')
        .sort((one, other) => (one.key < other.key ? -1 : 1)),
    }))
    .sort((one, other) => (one.spanId < other.spanId ? -1 : 1));
}

/** Gives every request to all of `urls`; answers what the last one answers. */
async function startTee(t: TestContext, urls: readonly string[]): Promise<string> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', async () => {
      const body = new Uint8Array(Buffer.concat(chunks));
      let status = 0;
      let answer = new Uint8Array();
      for (const url of urls) {
        const headers = headersOf(request.headers);
        const got = await fetch(url + request.url, { method: 'POST', headers, body });
        status = Math.max(status, got.status);
        answer = new Uint8Array(await got.arrayBuffer());
      }
      const type = request.headers['content-type'] ?? '';
      response.writeHead(status, { 'content-type': type }).end(answer);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function headersOf(headers: IncomingHttpHeaders): Record<string, string> {
  const names = ['content-type', 'content-encoding'];
  return Object.fromEntries(
    names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]])),
  );
}
