/**
 * What a span costs the hot thread, and the worker.
 *
 * `node bench/micro/telemetry.ts`. The ring is emptied by skipping, so that it is never
 * full and the worker's work is not in the figure. Goal: read + begin + print + finish at most 2 us on
 * the project's 2-core machine, and 1 us as the ambition. In the worker: 3 us a span with the sending
 * (bench/micro/export.ts).
 */

import { seededRandom, systemRandom } from '../../src/base/random.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import {
  putTraceparent,
  readTraceparent,
  TraceContext,
} from '../../src/telemetry/context/trace-context.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { ExchangeRecord, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { createRingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RingReader } from '../../src/telemetry/record/ring-reader.ts';
import { RingWriter } from '../../src/telemetry/record/ring-writer.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { JsonBytes } from '../../src/telemetry/span/json-bytes.ts';
import { createSurroundings } from '../../src/telemetry/span/span-surroundings.ts';
import { TraceJson } from '../../src/telemetry/span/trace-json.ts';
import { type Case, measureAll } from './measure.ts';

const head =
  'GET /reviews/7?full=1 HTTP/1.1\r\nHost: reviews.default.svc.cluster.local:9080\r\n' +
  'User-Agent: node\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n';
const parentAt = head.indexOf('00-0af');
const parentEnd = parentAt + 55;

const { settings } = readTelemetrySettings({ OTEL_TRACES_SAMPLER_ARG: '0.01' });
const ids = new TraceIds(settings.sampler, systemRandom, true);
const memory = createRingMemory(telemetryLimits.recordRingBytes, telemetryLimits.textRingBytes);
const writer = new RingWriter(memory, telemetryLimits.recordTextBytesMax);
const reader = new RingReader(memory);
const record = new ExchangeRecord();
record.kind = RecordKind.Client;
const received = new TraceContext();
readTraceparent(head, parentAt, parentEnd, received);
const absent = new TraceContext();
const output = Buffer.alloc(256);
const series = new MetricRegistry().requestSeries({
  direction: 'outbound',
  listener: '',
  route: 'reviews',
  rule: 'default/reviews/http[0]',
  cluster: 'outbound|9080|v1|reviews',
  subset: 'v1',
});
const random = seededRandom(1);
let checksum = 0;
let operations = 0;

function fill(): void {
  record.target = head.slice(4, 21);
  record.authority = 'reviews.default.svc.cluster.local:9080';
  record.userAgent = 'node';
  record.peerAddress = '10.0.0.17';
  record.startMs = operations * 0.05;
  record.totalUs = 800 + (operations & 1023);
  record.status = 200;
}

function finish(): void {
  if (!writer.write(record)) throw new Error('the ring is full');
  if ((++operations & 1023) !== 0) return;
  for (let left = reader.available(); left > 0; left--) reader.skip();
  reader.release();
}

function print(): void {
  checksum += putTraceparent(record, output, 0);
}

const cases: readonly Case[] = [
  [
    'read traceparent',
    () => {
      checksum += readTraceparent(head, parentAt, parentEnd, received) ? 1 : 0;
    },
  ],
  ['begin span of a received trace', () => ids.begin(record, received)],
  ['begin span of a new trace', () => ids.begin(record, absent)],
  ['print traceparent (and write it)', print],
  [
    'finish: record into the ring',
    () => {
      fill();
      finish();
    },
  ],
  [
    'observe: counters and histogram',
    () => series.observe(record, 200, 500 + (random.u32() & 0xffff)),
  ],
  [
    'observe: 200 and 404 by turns',
    () => {
      operations++;
      series.observe(record, (operations & 1) === 0 ? 200 : 404, 500 + (random.u32() & 0xffff));
    },
  ],
  [
    'whole span: read, begin, print, finish',
    () => {
      readTraceparent(head, parentAt, parentEnd, received);
      ids.begin(record, received);
      print();
      fill();
      finish();
    },
  ],
  [
    'whole span of a new trace',
    () => {
      ids.begin(record, absent);
      print();
      fill();
      finish();
    },
  ],
];

const around = createSurroundings(readTelemetrySettings({}).settings, '1.2.3', 1.7e12, ['']);
const out = new JsonBytes();
const json = new TraceJson(around, out);
const BATCH = 512;
let spans = 0;
const copy = new ExchangeRecord();
json.begin(out);

/** What the worker does with one record, and with a batch once in BATCH times. */
function work(): void {
  fill();
  writer.write(record);
  reader.readNumbers(copy);
  json.add(out, copy, reader.text);
  reader.release();
  if (++spans % BATCH !== 0) return;
  checksum += json.finish(out).length;
  json.begin(out);
}

const workerCases: readonly Case[] = [['write, read, encode; a document of every 512', work]];

measureAll('telemetry, hot thread', cases);
measureAll('telemetry, worker', workerCases);
if (checksum === 0) throw new Error('nothing was measured');
