/**
 * Who decides about traces: callers at the edge by policy, holders of the token, and what makes no spans.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import {
  type TraceChoices,
  TraceHeaders,
  type TraceSelf,
} from '../../src/proxy/trace/trace-headers.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import { ConnectionCounts } from '../../src/telemetry/metrics/metrics.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { usualPeers } from '../../src/telemetry/settings/tracing-choices.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { passedLines, selfOf, someCaller } from '../support/trace-head.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const sampled = `traceparent: 00-${TRACE}-${PARENT}-01\r\n`;
const meshed = 'tracestate: tracecar=02beef01f40\r\n';
const named = ['10.0.0.0/8'];
const peer = { isPeer: true, owner: { port: 80 } };

const ids = new TraceIds(
  readTelemetrySettings({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }).settings.sampler,
  seededRandom(5),
  true,
);

interface Sent {
  readonly lines?: string;
  readonly start?: string;
  readonly direction?: 'inbound' | 'outbound';
  readonly caller?: typeof someCaller;
}

function send(
  self: TraceSelf,
  { lines = '', start = 'GET /', direction = 'inbound', caller = someCaller }: Sent,
) {
  const head = new MessageHead();
  const text = `${start} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`;
  const reader = new HeadReader(head, 'request', trafficLimits);
  assert.equal(reader.read(Buffer.from(text, 'latin1'), 0), HeadState.Done);
  const headers = new TraceHeaders(self, direction);
  headers.read(head, caller);
  const record = new ExchangeRecord();
  record.kind = direction === 'inbound' ? RecordKind.Server : RecordKind.Client;
  record.flags = headers.recordFlags;
  ids.begin(record, headers.context);
  const { kept, put } = passedLines(headers, head, record);
  const isSampled = (record.flags & RecordFlag.Sampled) !== 0;
  const isMuted = (record.flags & RecordFlag.Muted) !== 0;
  return {
    headers,
    record,
    kept,
    put,
    isSampled,
    isMuted,
    isEdge: (record.flags & RecordFlag.Edge) !== 0,
  };
}

const sendAt = (tracing: TraceChoices, sent: Sent) => send(selfOf(tracing), sent);
const idOf = (put: readonly string[]) => put[0]!.slice('traceparent: 00-'.length).slice(0, 32);

test('without --edge everybody’s trace is continued', () => {
  const { put, isEdge, isSampled } = sendAt({}, { lines: sampled });
  assert.equal(idOf(put), TRACE);
  assert.deepEqual([isEdge, isSampled], [false, true]);
});

test('--edge ignore begins a trace of its own, and nothing of the caller’s goes on', () => {
  const lines = `${sampled}tracestate: rojo=1,ot=th:0\r\nb3: ${TRACE}-${PARENT}-d\r\nx-request-id: theirs\r\n`;
  const { put, kept, record, isEdge, isSampled, headers } = sendAt({ edge: 'ignore' }, { lines });
  assert.notEqual(idOf(put), TRACE);
  assert.match(put[1]!, /^tracestate: tracecar=[0-9a-f]{11}$/);
  assert.deepEqual(kept, []);
  assert.match(put[2]!, /^x-request-id: [0-9a-f-]{36}$/);
  assert.equal(put.length, 3);
  assert.deepEqual([isEdge, isSampled, record.extra, headers.callbackPort], [true, false, '', 0]);
});

test('--edge link names the caller’s span, and begins a trace all the same', () => {
  const { put, record } = sendAt({ edge: 'link' }, { lines: sampled });
  assert.notEqual(idOf(put), TRACE);
  assert.equal(record.extra, `l${TRACE}-${PARENT}`);
  assert.equal(sendAt({ edge: 'link' }, {}).record.extra, '');
});

test('hops that outsiders tell of end no request at an edge; those of named sidecars are counted', () => {
  const endless = 'tracestate: tracecar=ff000000000\r\nx-tracecar-hops: 99\r\n';
  for (const edge of ['ignore', 'link'] as const) {
    for (const lines of [sampled + endless, endless]) {
      const outside = sendAt({ edge, peers: usualPeers }, { lines, caller: peer });
      assert.deepEqual([outside.headers.hops >>> 20, outside.headers.isLoop], [1, false], lines);
      const inside = sendAt({ edge, peers: named }, { lines, caller: peer });
      assert.equal(inside.headers.isLoop, true, lines);
    }
    const stranger = sendAt({ edge, peers: named }, { lines: sampled + meshed });
    assert.equal(stranger.headers.hops >>> 20, 1);
    const inside = sendAt({ edge, peers: named }, { lines: sampled + meshed, caller: peer });
    assert.equal(inside.headers.hops >>> 20, 3);
  }
  const honoured = sendAt({ edge: 'honour' }, { lines: sampled + meshed });
  assert.equal(honoured.headers.hops >>> 20, 3);
});

test('baggage of outsiders goes no further than an edge that begins traces', () => {
  const lines = 'baggage: user=ann\r\nUberctx-user: ann\r\nuberctx: mine\r\nx-lane: blue\r\n';
  for (const edge of ['ignore', 'link'] as const) {
    assert.deepEqual(sendAt({ edge }, { lines }).kept, ['uberctx: mine', 'x-lane: blue']);
  }
  for (const tracing of [{}, { edge: 'honour' }] as const) {
    assert.equal(sendAt(tracing, { lines }).kept.length, 4);
  }
});

test('an edge is one for what comes in, not for calls of the own application', () => {
  const out = sendAt({ edge: 'ignore' }, { lines: sampled, direction: 'outbound' });
  assert.equal(idOf(out.put), TRACE);
  assert.equal(out.isEdge, false);
});

test('--edge honour continues a trace, and samples so many callers’ requests a second as it must', () => {
  const counts = new ConnectionCounts();
  const self = { ...selfOf({ edge: 'honour' }), countsOf: () => counts };
  const { forcedSamplesPerSecond: most } = telemetryLimits;
  let chosen = 0;
  for (let index = 0; index < most + 50; index++) {
    const { put, record, isSampled } = send(self, { lines: sampled });
    assert.equal(idOf(put), TRACE);
    if (isSampled) chosen++;
    else assert.equal(record.sampledBy, SampledBy.Cap);
  }
  assert.equal(chosen, most);
  assert.equal(counts.forcedCapped, 50);
  assert.equal(
    send({ ...self, clock: { now: () => 20, epochMs: 0 } }, { lines: sampled }).isSampled,
    true,
    'time brings more',
  );
  const unsampled = send(self, { lines: `traceparent: 00-${TRACE}-${PARENT}-00\r\n` });
  assert.equal(unsampled.record.sampledBy, SampledBy.None);
});

test('all forms of asking for a sample are capped alike', () => {
  const forms = [
    sampled,
    'b3: 1\r\n',
    'b3: d\r\n',
    `b3: ${TRACE}-${PARENT}-d\r\n`,
    'x-b3-flags: 1\r\n',
  ];
  for (const lines of forms) {
    const self = selfOf({ edge: 'honour' });
    while (self.forcedSamples.take(telemetryLimits.forcedSamplesPerSecond, 0));
    const { record, isSampled } = send(self, { lines });
    assert.deepEqual([isSampled, record.sampledBy], [false, SampledBy.Cap], lines);
  }
});

test('a sidecar where the user has said that they are is no outsider at an edge that honours', () => {
  const self = selfOf({ edge: 'honour', peers: named });
  while (self.forcedSamples.take(telemetryLimits.forcedSamplesPerSecond, 0));
  const inside = send(self, { lines: sampled + meshed, caller: peer });
  assert.deepEqual([inside.isEdge, inside.isSampled], [false, true]);
  const stranger = send(self, { lines: sampled + meshed });
  assert.deepEqual([stranger.isEdge, stranger.isSampled], [true, false]);
  const application = send(self, { lines: sampled, caller: peer });
  assert.deepEqual([application.isEdge, application.isSampled], [true, false]);
});

test('where nobody has said who is a sidecar, the word of none lifts the cap of an edge', () => {
  for (const peers of [undefined, usualPeers, []]) {
    const self = selfOf({ edge: 'honour', ...(peers && { peers }) });
    while (self.forcedSamples.take(telemetryLimits.forcedSamplesPerSecond, 0));
    const sent = send(self, { lines: sampled + meshed, caller: peer });
    assert.deepEqual(
      [sent.isEdge, sent.isSampled, sent.record.sampledBy],
      [true, false, SampledBy.Cap],
    );
    assert.equal(sent.headers.callbackPort, 0, 'nobody is to be told of the trace');
    assert.equal(idOf(sent.put), TRACE);
  }
});

test('who knows the token has its trace exported, from outside too, and the token goes no further', () => {
  const tracing = { debugToken: 'open sesame', edge: 'ignore' } as const;
  const right = sendAt(tracing, { lines: `${sampled}x-tracecar-debug: open sesame\r\n` });
  assert.deepEqual([right.isSampled, right.record.sampledBy], [true, SampledBy.Debug]);
  assert.deepEqual(right.kept, []);
  for (const guess of ['open sesamf', 'open', 'open sesame!', '']) {
    const wrong = sendAt(tracing, { lines: `${sampled}x-tracecar-debug: ${guess}\r\n` });
    assert.deepEqual([wrong.isSampled, wrong.kept], [false, []], guess);
  }
  const unset = sendAt({}, { lines: 'x-tracecar-debug: open sesame\r\n' });
  assert.equal(unset.isSampled, false);
  assert.deepEqual(unset.kept, ['x-tracecar-debug: open sesame']);
});

const probe = 'User-Agent: kube-probe/1.34\r\n';
const cases: readonly (readonly [
  what: string,
  isMuted: boolean,
  sent: Sent,
  tracing?: TraceChoices,
])[] = [
  ['a kubelet’s probe', true, { lines: probe }],
  ['an application that calls itself a probe', false, { lines: probe, direction: 'outbound' }],
  ['a browser', false, { lines: 'User-Agent: Mozilla kube-probe/\r\n' }],
  ['spans by OTLP', true, { start: 'POST /v1/traces', direction: 'outbound' }],
  ['metrics by OTLP', true, { start: 'POST /v1/metrics', direction: 'outbound' }],
  ['logs by OTLP', true, { start: 'POST /v1/logs', direction: 'outbound' }],
  ['a path that is read', false, { start: 'GET /v1/logs', direction: 'outbound' }],
  ['a path that is longer', false, { start: 'POST /v1/logs/7', direction: 'outbound' }],
  ['a path with a query', false, { start: 'POST /v1/traces?x', direction: 'outbound' }],
  ['spans that come in', false, { start: 'POST /v1/traces' }],
  [
    'spans by gRPC',
    true,
    {
      start: 'POST /opentelemetry.proto.collector.trace.v1.TraceService/Export',
      direction: 'outbound',
    },
  ],
  [
    'a port of Zipkin',
    true,
    { direction: 'outbound', caller: { isPeer: false, owner: { port: 9411 } } },
  ],
  ['that port as the own one', false, { caller: { isPeer: false, owner: { port: 9411 } } }],
  [
    'a configured path',
    true,
    { start: 'GET /healthz?full' },
    { untracedPaths: ['/ready', '/healthz'] },
  ],
  ['another path', false, { start: 'GET /a/healthz' }, { untracedPaths: ['/healthz'] }],
  [
    'a configured path of a call',
    true,
    { start: 'GET /ping', direction: 'outbound' },
    { untracedPaths: ['/ping'] },
  ],
];

for (const [what, isMuted, sent, tracing = {}] of cases) {
  test(`${what} ${isMuted ? 'makes no span' : 'makes a span'}`, () => {
    const { record, put } = sendAt(tracing, { ...sent, lines: sampled + (sent.lines ?? '') });
    assert.equal((record.flags & RecordFlag.Muted) !== 0, isMuted);
    // The context of what makes no span passes as it came: nobody gets a parent that is not there.
    assert.equal(put[0] === `traceparent: 00-${TRACE}-${PARENT}-01`, isMuted);
  });
}
