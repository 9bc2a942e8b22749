/**
 * The viewer's two numbers: spans a second on one core, and a search over 100 000 traces.
 *
 * `node bench/viewer.ts [--traces N] [--file]`: with --file the store is a SQLite file in /tmp. Requests
 * of 500 spans are made by the official serializers and then given to the receiver's ingest, whose CPU
 * time is counted, that of all threads, so that a busy machine changes it less; and they are sent over
 * HTTP to a viewer in a process of its own, whose CPU time is counted likewise, sockets and all. Spans are those of the demo's five hops, with all their attributes. Each search runs 20 times;
 * the slowest is shown beside the median.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { type SpanKind, TraceFlags } from '@opentelemetry/api';
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { systemClock } from '../src/base/clock.ts';
import { viewerLimits } from '../src/model/viewer-limits.ts';
import { findDependencies } from '../src/viewer/dependencies.ts';
import { MetricStore } from '../src/viewer/metric-store.ts';
import { type Encoding, OtlpIngest } from '../src/viewer/otlp-ingest.ts';
import { SqliteBodies } from '../src/viewer/sqlite-bodies.ts';
import { findTraces, type TraceQuery } from '../src/viewer/trace-search.ts';
import { TraceStore } from '../src/viewer/trace-store.ts';
import { summarizeTrace } from '../src/viewer/trace-summary.ts';
import { readCpuMicros } from './stage/procfs.ts';

const program = resolve(import.meta.dirname, '../src/cli/tracecar.ts');
const { values } = parseArgs({
  options: { traces: { type: 'string', default: '100000' }, file: { type: 'boolean' } },
});
const traces = Number(values.traces);
const tracesPerRequest = 100;
const limits = { ...viewerLimits, storeBytesMax: 4 * 1024 ** 3 };
const startSeconds = 1_795_627_913;

const hops = [
  { service: 'web', name: 'GET /productpage', kind: 1 },
  { service: 'web', name: 'GET', kind: 2 },
  { service: 'reviews', name: 'GET /reviews/{id}', kind: 1 },
  { service: 'reviews', name: 'GET', kind: 2 },
  { service: 'ratings', name: 'GET /ratings', kind: 1 },
];
const resources = new Map(
  ['web', 'reviews', 'ratings'].map((name) => [
    name,
    resourceFromAttributes({
      'service.name': name,
      'service.namespace': 'default',
      'k8s.pod.name': `${name}-5d4f8c7b9-x2x7q`,
      'telemetry.distro.name': 'tracecar',
    }),
  ]),
);

function spanOf(trace: number, hop: number): ReadableSpan {
  const { service, name, kind } = hops[hop]!;
  const traceId = `4bf92f3577b34da6a3ce929d${trace.toString(16).padStart(8, '0')}`;
  const contextOf = (index: number) => ({
    traceId,
    spanId: `00f067aa${(trace * 8 + index + 1).toString(16).padStart(8, '0')}`,
    traceFlags: TraceFlags.SAMPLED,
  });
  const isError = trace % 100 === 0 && hop === 4;
  const nanoseconds = (trace % 1000) * 1_000_000 + hop * 100_000;
  return {
    name,
    kind: kind as SpanKind,
    spanContext: () => contextOf(hop),
    ...(hop === 0 ? {} : { parentSpanContext: contextOf(hop - 1) }),
    startTime: [startSeconds + Math.floor(trace / 1000), nanoseconds],
    endTime: [startSeconds + Math.floor(trace / 1000), nanoseconds + 2_000_000 - hop * 300_000],
    status: { code: isError ? 2 : 0 },
    attributes: {
      'http.request.method': 'GET',
      'http.response.status_code': isError ? 500 : 200,
      'network.protocol.version': '1.1',
      'network.peer.address': '10.0.12.7',
      'network.peer.port': 41_000 + (trace % 1000),
      'server.address': `${service}.default.svc.cluster.local`,
      'server.port': 9080,
      'url.full': `http://${service}.default.svc.cluster.local:9080/reviews/${trace}?page=1`,
      'user_agent.original': 'undici',
      'tracecar.direction': hop % 2 === 0 ? 'inbound' : 'outbound',
      'tracecar.cluster': `outbound|9080|v1|${service}.default.svc.cluster.local`,
      'tracecar.route': 'default/reviews-route',
      'tracecar.rule': 0,
      'tracecar.subset': trace % 10 < 6 ? 'v1' : 'v2',
      'tracecar.weight': trace % 10 < 6 ? 60 : 40,
      'tracecar.generation': 3,
      'tracecar.time.ttfb_us': 1700,
      'tracecar.time.response_us': 20,
      'tracecar.time.proxy_us': 14,
      'tracecar.conn.reused': true,
      'tracecar.conn.id': trace % 64,
      'tracecar.conn.requests': trace,
      'tracecar.sampled_by': 'ratio',
    },
    links: [],
    events: [],
    duration: [0, 2_000_000],
    ended: true,
    resource: resources.get(service)!,
    instrumentationScope: { name: 'tracecar', version: '0.1.0' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

interface Format {
  readonly name: string;
  readonly encoding: Encoding;
  readonly isGzip: boolean;
}

function requestOf(first: number, { encoding, isGzip }: Format): Buffer {
  const spans: ReadableSpan[] = [];
  for (let trace = first; trace < first + tracesPerRequest; trace++) {
    for (let hop = 0; hop < hops.length; hop++) spans.push(spanOf(trace, hop));
  }
  const serializer = encoding === 'json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  const bytes = Buffer.from(serializer.serializeRequest(spans)!);
  return isGzip ? gzipSync(bytes) : bytes;
}

const folder = mkdtempSync(join(tmpdir(), 'tracecar-bench-'));
let files = 0;

/** A store as the program has it, in memory or in a file of its own. */
function makeStore(): TraceStore {
  if (values.file !== true) return new TraceStore(limits);
  files++;
  const bodies = new SqliteBodies(join(folder, `${files}.db`), limits.storeBytesMax);
  return new TraceStore(limits, bodies);
}

function ingestOf(store: TraceStore): OtlpIngest {
  return new OtlpIngest(store, new MetricStore(limits, systemClock), limits);
}

/** Feeds `count` traces; gives microseconds a span and the bytes a span over the wire. */
function feed(ingest: OtlpIngest, count: number, format: Format) {
  let elapsedUs = 0;
  let bytes = 0;
  for (let first = 0; first < count; first += tracesPerRequest) {
    const body = requestOf(first, format);
    bytes += body.length;
    const started = process.cpuUsage();
    const outcome = ingest.take(body, 'traces', format.encoding, format.isGzip);
    const used = process.cpuUsage(started);
    elapsedUs += used.user + used.system;
    if (outcome.kind !== 'taken' || outcome.rejected > 0) throw new Error(JSON.stringify(outcome));
  }
  const spans = count * hops.length;
  return { perSecond: (spans / elapsedUs) * 1e6, bytesPerSpan: bytes / spans };
}

/** The same over HTTP to the program: spans a second of its CPU time. */
async function feedProgram(count: number, { encoding, isGzip }: Format): Promise<number> {
  const at = ['--otlp', '127.0.0.1:0', '--query', '127.0.0.1:0', '--store-bytes', '1g'];
  const store = values.file === true ? ['--store', join(folder, `program-${++files}.db`)] : [];
  const child = spawn(process.execPath, [program, 'view', ...at, ...store], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let said = '';
    while (!said.includes('/v1/traces')) said += (await once(child.stdout, 'data'))[0];
    const url = /http:[^ ]+\/v1\/traces/.exec(said)![0];
    const headers = {
      'content-type': encoding === 'json' ? 'application/json' : 'application/x-protobuf',
      ...(isGzip ? { 'content-encoding': 'gzip' } : {}),
    };
    const send = async (from: number, to: number): Promise<void> => {
      for (let first = from; first < to; first += tracesPerRequest) {
        const body = new Uint8Array(requestOf(first, { name: '', encoding, isGzip }));
        const response = await fetch(url, { method: 'POST', headers, body });
        if (response.status !== 200) throw new Error(`status ${response.status}`);
        await response.arrayBuffer();
      }
    };
    await send(0, 2_000);
    const before = readCpuMicros(child.pid!);
    await send(2_000, 2_000 + count);
    return ((count * hops.length) / (readCpuMicros(child.pid!) - before)) * 1e6;
  } finally {
    child.kill('SIGKILL');
  }
}

const everything: TraceQuery = {
  service: '',
  operation: '',
  startMinUs: 0,
  startMaxUs: Number.POSITIVE_INFINITY,
  durationMinNs: 0,
  durationMaxNs: Number.POSITIVE_INFINITY,
  attributes: new Map(),
  tracesMax: 50,
};

const searches: readonly (readonly [string, Partial<TraceQuery>])[] = [
  ['the newest of a service', { service: 'reviews' }],
  ['errors of a service and subset', tagged({ error: 'true', 'tracecar.subset': 'v1' })],
  ['one attribute that one span has', tagged({ 'tracecar.conn.requests': '7' })],
  ['one attribute that no span has', tagged({ 'http.response.status_code': '418' })],
  [
    'two attributes, of which none has both',
    tagged({ 'tracecar.weight': '40', 'tracecar.subset': 'v1' }),
  ],
  ['longer than any', { service: 'web', durationMinNs: 1e10 }],
];

function tagged(attributes: Readonly<Record<string, string>>): Partial<TraceQuery> {
  return { attributes: new Map(Object.entries(attributes)) };
}

const formats: readonly Format[] = [
  { name: 'HTTP/JSON', encoding: 'json', isGzip: false },
  { name: 'HTTP/JSON gzip', encoding: 'json', isGzip: true },
  { name: 'protobuf (HTTP, gRPC)', encoding: 'protobuf', isGzip: false },
  { name: 'protobuf gzip', encoding: 'protobuf', isGzip: true },
];
for (const format of formats) {
  const store = makeStore();
  const ingest = ingestOf(store);
  feed(ingest, 2_000, format);
  const { perSecond, bytesPerSpan } = feed(ingestOf(makeStore()), 10_000, format);
  console.log(
    `${format.name.padEnd(24)} ${Math.round(perSecond).toString().padStart(8)} spans/s ` +
      `${(1e6 / perSecond).toFixed(1).padStart(6)} us/span ${bytesPerSpan.toFixed(0).padStart(6)} bytes/span, ` +
      `program ${Math.round(await feedProgram(10_000, format))} spans/s`,
  );
}
const store = makeStore();
const heapBefore = process.memoryUsage();
feed(ingestOf(store), traces, formats[2]!);
globalThis.gc?.();
const heap = process.memoryUsage();
const counts = store.counts();
console.log(
  `${counts.traces} traces, ${counts.spans} spans: counted ${mib(counts.bytes)} MiB (index ${mib(store.index.bytes)}), ` +
    `heap +${mib(heap.heapUsed - heapBefore.heapUsed)}, buffers +${mib(heap.arrayBuffers - heapBefore.arrayBuffers)}`,
);
for (const [name, query] of searches) {
  const times: number[] = [];
  let found = 0;
  for (let round = 0; round < 20; round++) {
    const started = performance.now();
    const entries = findTraces(store, { ...everything, ...query }, limits);
    entries.map((entry) => summarizeTrace(store, entry));
    times.push(performance.now() - started);
    found = entries.length;
  }
  times.sort((one, other) => one - other);
  console.log(
    `search: ${name.padEnd(40)} ${times[10]!.toFixed(1).padStart(6)} ms, slowest ${times[19]!.toFixed(1)} (${found} found)`,
  );
}

const pairsStarted = performance.now();
const pairs = findDependencies(store, 0, Number.POSITIVE_INFINITY);
console.log(
  `dependencies: ${(performance.now() - pairsStarted).toFixed(0)} ms (${pairs.length} pairs)`,
);
if (values.file === true) {
  store.close();
  const started = performance.now();
  const bodies = new SqliteBodies(join(folder, `${files}.db`), limits.storeBytesMax);
  const again = new TraceStore(limits, bodies);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`start: ${again.counts().traces} traces read back in ${seconds} s`);
  again.close();
}
rmSync(folder, { recursive: true, force: true });

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}
