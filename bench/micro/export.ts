/**
 * What a span costs the telemetry worker, the sending included: CPU of its thread in the kernel too.
 *
 * `node bench/micro/export.ts [SPANS_A_SECOND [SECONDS [PROTOCOL [COMPRESSION [WORKER_FILE]]]]]`. A real worker, fed through the
 * ring at an even rate by this thread, sends to the bench's collector in a process of its own. What the
 * kernel does for loopback TCP on the sender's behalf is in the figure, what the collector does is not.
 * Spans that are dropped while the worker starts are before the measured time.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { noTracingRules } from '../../src/model/routing-table.ts';
import { TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { ExchangeRecord, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { Children } from '../stage/children.ts';
import { CollectorControl } from '../stage/collector-control.ts';
import { freePorts } from '../stage/free-ports.ts';
import { parseScheduledMicros } from '../stage/procfs.ts';

const [rate = 25_000, seconds = 4] = process.argv.slice(2, 4).map(Number);
const [protocol = 'http/json', compression = 'none', workerUrl] = process.argv.slice(4);
const TICK_MS = 2;
const WARM_SECONDS = 2;

const children = new Children();
const [port = 0] = await freePorts(1);
const collector = await CollectorControl.start(children, 1, tmpdir(), port);
const telemetry = Telemetry.start({
  settings: readTelemetrySettings({
    OTEL_TRACES_SAMPLER_ARG: '1',
    OTEL_SERVICE_NAME: 'bench',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    OTEL_EXPORTER_OTLP_COMPRESSION: compression,
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
  }).settings,
  clock: systemClock,
  wakeUps: systemWakeUps,
  random: systemRandom,
  log: (level, text) => process.stderr.write(`${level}: ${text}\n`),
  version: '0.0.0',
  accessLog: 'off',
  ...(workerUrl === undefined ? {} : { workerUrl }),
});
telemetry.describe({
  generation: 1,
  listeners: [],
  tracing: noTracingRules,
  clusters: [1, 2].map((version) => ({
    name: `outbound|80|v${version}|backend.bench.svc.cluster.local`,
    service: 'backend.bench.svc.cluster.local',
    balancing: 'least-request',
    endpoints: [1],
  })),
} as never);

const absent = new TraceContext();
const record = new ExchangeRecord();
let made = 0;

/** One exchange of the bench's configuration: 60 to 40 between two subsets, a kept connection. */
function finishOne(): void {
  const version = made % 5 < 3 ? 1 : 2;
  const { names } = telemetry;
  record.reset();
  record.kind = RecordKind.Client;
  telemetry.beginSpan(record, absent);
  record.startMs = systemClock.now();
  record.firstByteUs = 300 + (made & 255);
  record.responseUs = made & 31;
  record.requestUs = made & 15;
  record.proxyUs = 10 + (made & 15);
  record.totalUs = 400 + (made & 511);
  record.method = 1;
  record.status = 200;
  record.routeId = names.idOf('bench/backend');
  record.clusterId = names.idOf(`outbound|80|v${version}|backend.bench.svc.cluster.local`);
  record.subsetId = names.idOf(`v${version}`);
  record.endpointId = names.idOf(`127.0.0.1:808${version}`);
  record.weight = version === 1 ? 60 : 40;
  record.generation = 1;
  record.connectionId = 1 + (made & 15);
  record.connectionRequests = made;
  record.peerPort = 8080 + version;
  record.target = made % 4 === 0 ? `/items/${made}?full=1` : '/';
  record.authority = 'backend.bench.svc.cluster.local';
  record.userAgent = 'bench';
  record.peerAddress = '127.0.0.1';
  if (made > 0) record.flags |= 4;
  telemetry.finish(record);
  made++;
}

async function feed(forSeconds: number): Promise<void> {
  const start = systemClock.now();
  const first = made;
  for (;;) {
    const elapsed = systemClock.now() - start;
    const due = first + Math.floor((Math.min(elapsed, forSeconds * 1000) * rate) / 1000);
    while (made < due) finishOne();
    if (elapsed >= forSeconds * 1000) return;
    await sleep(TICK_MS);
  }
}

function workerThread(): string {
  const folder = `/proc/${process.pid}/task`;
  for (const thread of readdirSync(folder)) {
    const name = readFileSync(`${folder}/${thread}/comm`, 'latin1');
    if (/telemetry|WorkerThread|node-worker/i.test(name)) return `${folder}/${thread}`;
  }
  throw new Error(
    `no worker among ${readdirSync(folder).map((each) => readFileSync(`${folder}/${each}/comm`, 'latin1').trim())}`,
  );
}

await feed(WARM_SECONDS);
const thread = workerThread();
const read = () => ({
  us: parseScheduledMicros(readFileSync(`${thread}/schedstat`, 'latin1')),
  stat: readFileSync(`${thread}/stat`, 'latin1').split(') ')[1]!.split(' '),
  switches: Number(
    /^voluntary_ctxt_switches:\s*(\d+)/m.exec(readFileSync(`${thread}/status`, 'latin1'))?.[1],
  ),
  counts: telemetry.counts(),
});
const before = read();
await feed(seconds);
const after = read();
const spans = after.counts.sent - before.counts.sent;
const taken = after.counts.started - before.counts.started;
const ticks = (index: number) => (Number(after.stat[index]) - Number(before.stat[index])) * 10_000;
const us = after.us - before.us;
process.stdout.write(
  `${rate}/s: ${(us / spans).toFixed(2)} us a span sent (${(us / taken).toFixed(2)} a span made); ` +
    `user ${(ticks(11) / spans).toFixed(2)}, kernel ${(ticks(12) / spans).toFixed(2)} by ticks; ` +
    `${spans} sent, ${after.counts.dropped - before.counts.dropped} dropped; ` +
    `${after.switches - before.switches} waits\n`,
);
await telemetry.flushAndClose();
const end = telemetry.counts();
process.stdout.write(`collector has ${await collector.spans()}; ${JSON.stringify(end)}\n`);
await children.stopAll();
process.exit(0);
