/**
 * T6: an application that passes on nothing but `x-request-id` has whole traces: every call is tied to
 * the request that caused it, and none to another. Two real sidecar processes, each with its application.
 *
 *   test ─► [web's sidecar] ─► web ─► [web's sidecar] ─► [shop's sidecar] ─► shop
 */

import assert from 'node:assert/strict';
import { Agent, type IncomingMessage, request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { OtlpSink, type SinkSpan } from '../../telemetry/otlp-sink.ts';
import {
  application,
  serviceEntryYaml,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from '../sidecar-process.ts';
import { attributeIn } from './traced-pair.ts';

const REQUESTS = 600;
const IN_FLIGHT = 8;

interface Shop {
  readonly sink: OtlpSink;
  /** Where web is asked. */
  readonly entry: number;
}

/** `copied`: the fields that web passes on. */
async function startShop(
  t: TestContext,
  copied: readonly string[],
  flags: readonly string[],
): Promise<Shop> {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const [webIn = 0, webOut = 0, shopIn = 0] = await freePorts(3);
  const agent = new Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const web = await application(t, (asked, response) => {
    const headers: Record<string, string> = {};
    for (const name of copied) {
      const value = asked.headers[name];
      if (typeof value === 'string') headers[name] = value;
    }
    // Requests overtake each other in the application: the order of calls tells nothing.
    const turns = Number(asked.url!.slice(-1));
    const call = (left: number): void => {
      if (left > 0) setImmediate(call, left - 1);
      else
        void ask(webOut, asked.url!, headers, agent).then((status) =>
          response.writeHead(status).end(),
        );
    };
    call(turns * 3);
  });
  const shop = await application(t, (_, response) => response.end('ok'));
  const start = async (name: string, yaml: string) => {
    const folder = temporaryFolder(t);
    writeConfig(folder, 'mesh.yaml', yaml);
    await startSidecar(t, folder, flags, {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_TRACES_SAMPLER: 'parentbased_always_on',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_SERVICE_NAME: name,
    });
  };
  const service = serviceEntryYaml('shop', [shopIn]);
  await start('web', `${sidecarYaml(webIn, web)}${egressYaml(webOut)}---\n${service}`);
  await start('shop', sidecarYaml(shopIn, shop));
  return { sink, entry: webIn };
}

function egressYaml(port: number): string {
  return `  egress:
    - port:
        number: ${port}
        name: http
        protocol: HTTP
      bind: 127.0.0.1
      captureMode: NONE
      hosts:
        - default/shop.default.svc.cluster.local
`;
}

function ask(
  port: number,
  path: string,
  headers: Record<string, string>,
  agent: Agent,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, agent, headers });
    sent.on('error', reject);
    sent.on('response', (response: IncomingMessage) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    sent.end();
  });
}

/** Asks for `/0`, `/1` and so on, IN_FLIGHT at a time. */
async function askAll(
  entry: number,
  count: number,
  headersOf: (index: number) => Record<string, string>,
) {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  let next = 0;
  const caller = async () => {
    while (next < count) {
      const index = next++;
      assert.equal(await ask(entry, `/${index}`, headersOf(index), agent), 200);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
  agent.destroy();
}

function pathOf(span: SinkSpan): string {
  const path = attributeIn(span, 'url.path');
  return String(path ?? new URL(String(attributeIn(span, 'url.full'))).pathname);
}

interface Joins {
  joined: number;
  wrong: number;
  unjoined: number;
  readonly words: ReadonlySet<unknown>;
}

/** Of the calls of web: tied to the request with their path, to another one, to none. */
function joinsOf(spans: readonly SinkSpan[]): Joins {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const calls = spans.filter(({ kind }) => kind === 3);
  const words = new Set(calls.map((span) => attributeIn(span, 'tracecar.join')));
  const joins = { joined: 0, wrong: 0, unjoined: 0, words };
  for (const span of calls) {
    const parent = byId.get(span.parentSpanId ?? '');
    if (parent === undefined) joins.unjoined++;
    else if (pathOf(parent) === pathOf(span) && parent.traceId === span.traceId) joins.joined++;
    else joins.wrong++;
  }
  return joins;
}

/** A SERVER of web, its CLIENT, a SERVER of the shop. */
const SPANS = 3;

for (const [whose, headersOf] of [
  ['created by the sidecar', () => ({})],
  ['of the caller', (index: number) => ({ 'x-request-id': `order ${index}` })],
] as const) {
  test(`T6: an application that passes on x-request-id alone joins 100 %: one ${whose}`, async (t) => {
    const { sink, entry } = await startShop(t, ['x-request-id'], []);
    await askAll(entry, REQUESTS, headersOf);
    await sink.until(() => sink.spans.length >= SPANS * REQUESTS);
    const { joined, wrong, unjoined, words } = joinsOf(sink.spans);
    assert.deepEqual({ joined, wrong, unjoined }, { joined: REQUESTS, wrong: 0, unjoined: 0 });
    assert.deepEqual([...words], ['correlation:x-request-id']);
    const traces = Map.groupBy(sink.spans, ({ traceId }) => traceId);
    assert.equal(traces.size, REQUESTS);
    for (const spans of traces.values()) assert.equal(spans.length, SPANS);
  });
}

test('T6: a field that is named by --correlation-headers ties calls too', async (t) => {
  const { sink, entry } = await startShop(t, ['x-order'], ['--correlation-headers=x-order']);
  await askAll(entry, 80, (index) => ({ 'x-order': String(index) }));
  await sink.until(() => sink.spans.length >= SPANS * 80);
  const { joined, wrong, words } = joinsOf(sink.spans);
  assert.deepEqual({ joined, wrong }, { joined: 80, wrong: 0 });
  assert.deepEqual([...words], ['correlation:x-order']);
});
