/**
 * What the context headers of a request cost: reading and taking out what came, writing what goes.
 *
 * `node bench/micro/context.ts`. As in the proxy: one walk over the parsed head, ids and sampling, then
 * the lines put into the message. The head is parsed once; only its marks are set back.
 */

import { systemClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { WriteSlab } from '../../src/proxy/socket/write-slab.ts';
import { TraceHeaders } from '../../src/proxy/trace/trace-headers.ts';
import { putRequestIdLine, putTraceLines } from '../../src/proxy/trace/trace-lines.ts';
import { OpenRequests } from '../../src/telemetry/context/open-requests.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import { TokenBucket } from '../../src/telemetry/metrics/keep-state.ts';
import { ConnectionCounts } from '../../src/telemetry/metrics/metrics.ts';
import { ExchangeRecord, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { measureAll } from './measure.ts';

const parent = 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n';
const states = 'tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\r\n';
const hops = 'tracestate: tracecar=02beef03a9c\r\n';
const counts = new ConnectionCounts();
const self = {
  clock: systemClock,
  hopTagOf: () => 0xcafe,
  callbackPort: 15_004,
  tracing: {},
  learnedFormats: 0,
  countsOf: () => counts,
  openRequests: new OpenRequests(1, 2),
  forcedSamples: new TokenBucket(),
};

const caller = { isPeer: true, owner: { port: 9080 } };

function headOf(lines: string): MessageHead {
  const head = new MessageHead();
  const text =
    'GET /reviews/17 HTTP/1.1\r\nHost: reviews:9080\r\nUser-Agent: bench\r\nAccept: */*\r\n' +
    `Accept-Encoding: gzip, deflate\r\n${lines}\r\n`;
  const reader = new HeadReader(head, 'request', trafficLimits);
  if (reader.read(Buffer.from(text, 'latin1'), 0) !== HeadState.Done) throw new Error(text);
  return head;
}

const { settings } = readTelemetrySettings({ OTEL_TRACES_SAMPLER_ARG: '0.01' });
const ids = new TraceIds(settings.sampler, systemRandom, true);
const out = new WriteSlab(4_096);
const record = new ExchangeRecord();
record.kind = RecordKind.Client;
let bytes = 0;

function passing(lines: string): () => void {
  const head = headOf(lines);
  const marks = head.dropped.slice();
  const headers = new TraceHeaders(self, 'outbound');
  return () => {
    head.dropped.set(marks);
    headers.read(head, caller);
    ids.begin(record, headers.context);
    headers.begun(head, record);
    putTraceLines(headers, head, record, out);
    putRequestIdLine(headers, record, true, out);
    headers.end();
    bytes += out.length;
    out.length = 0;
  };
}

function reading(lines: string): () => void {
  const head = headOf(lines);
  const marks = head.dropped.slice();
  const headers = new TraceHeaders(self, 'outbound');
  return () => {
    head.dropped.set(marks);
    headers.read(head, caller);
    bytes += headers.hops;
  };
}

measureAll('context headers', [
  ['read: none', reading('')],
  ['read: traceparent', reading(parent)],
  ['read: traceparent, tracestate', reading(parent + states)],
  ['read, begin, put: a new trace', passing('')],
  ['read, begin, put: traceparent', passing(parent)],
  [
    'read, begin, put: traceparent, join, hops',
    passing(`${parent}x-tracecar-join: preload\r\n${hops}`),
  ],
  ['read, begin, put: traceparent, tracestate', passing(parent + states)],
]);
if (bytes === 0) throw new Error('nothing was measured');
