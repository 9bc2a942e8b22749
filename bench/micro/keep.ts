/**
 * What it costs that every exchange can have its trace kept after the fact.
 *
 * `node bench/micro/keep.ts`. On the hot thread: the verdict at the head and at the end of a usual
 * exchange, without marks and with some, and the line of the answer, written and read. In the worker:
 * a record that nobody has chosen into the history, and the oldest out of it.
 */

import { systemRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { keepLimits, telemetryLimits } from '../../src/model/telemetry-limits.ts';
import {
  lastServerTiming,
  printServerTiming,
  putServerTiming,
  readServerTiming,
  SERVER_TIMING_BYTES,
} from '../../src/proxy/trace/server-timing.ts';
import { KeepVerdicts } from '../../src/telemetry/keep/keep-verdicts.ts';
import { RecordHistory } from '../../src/telemetry/keep/record-history.ts';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { ExchangeRecord, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { createRingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RingReader } from '../../src/telemetry/record/ring-reader.ts';
import { RingWriter } from '../../src/telemetry/record/ring-writer.ts';
import { usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';
import { HeadReader } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { type Case, measureAll } from './measure.ts';

const record = new ExchangeRecord();
record.kind = RecordKind.Server;
record.status = 200;
record.target = '/reviews/7?full=1';
record.authority = 'reviews.default.svc.cluster.local:9080';
record.userAgent = 'node';
record.peerAddress = '10.0.0.17';
record.totalUs = 800;

const series = new MetricRegistry().requestSeries({
  direction: 'inbound',
  listener: '',
  route: 'reviews',
  rule: '',
  cluster: 'c',
  subset: '',
});
series.keep.slowUs = 1_000_000;

let checksum = 0;
let now = 1_000;

function newTrace(): void {
  now += 0.01;
  record.flags = 0;
  record.startMs = now;
  record.traceId2 = systemRandom.u32() | 0;
  record.traceId3 = systemRandom.u32() | 0;
}

function verdictsWith(marks: number): KeepVerdicts {
  const verdicts = new KeepVerdicts(usualChoices.keep, systemRandom.u32(), () => true);
  const ids = Int32Array.from({ length: 4 * marks }, () => systemRandom.u32() | 0);
  for (let at = 0; at < marks; at++) verdicts.keep(ids.subarray(4 * at), 1, '', at);
  return verdicts;
}

function judgeWith(verdicts: KeepVerdicts): () => void {
  return () => {
    newTrace();
    checksum += verdicts.decide(record, series, now, false) ? 1 : 0;
    checksum += verdicts.decide(record, series, now, true) ? 1 : 0;
  };
}

const out = Buffer.alloc(SERVER_TIMING_BYTES);
const answer = new MessageHead();
const reader = new HeadReader(answer, 'response', trafficLimits);
record.traceId0 = 0x0af76519;
const text = `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n${printServerTiming(record, true, 'trace')}\r\n`;
reader.read(Buffer.from(text, 'latin1'), 0);
const asked = Object.assign(new ExchangeRecord(), record);

const cases: readonly Case[] = [
  ['a new trace id (part of the next two)', newTrace],
  ['verdict at head and end, no marks', judgeWith(verdictsWith(0))],
  ['verdict at head and end, 1000 marks', judgeWith(verdictsWith(1_000))],
  [
    'write the line of an answer',
    () => {
      checksum += putServerTiming(record, false, out, 0);
    },
  ],
  [
    'find and read it',
    () => {
      checksum += readServerTiming(answer, lastServerTiming(answer), asked);
    },
  ],
];

const memory = createRingMemory(telemetryLimits.recordRingBytes, telemetryLimits.textRingBytes);
const writer = new RingWriter(memory, telemetryLimits.recordTextBytesMax);
const ring = new RingReader(memory);
const history = new RecordHistory(keepLimits.historyBytes);

const write = () => {
  newTrace();
  if (!writer.write(record)) throw new Error('the ring is full');
};

const workerCases: readonly Case[] = [
  [
    'write and skip (part of the next)',
    () => {
      write();
      ring.skip();
      ring.release();
    },
  ],
  [
    'write and remember',
    () => {
      write();
      history.add(ring, now);
      ring.release();
    },
  ],
];

measureAll('keep, hot thread', cases);
measureAll('keep, worker', workerCases);
if (checksum === 0) throw new Error('nothing was measured');
