/**
 * Context headers of one request: what is read, what goes on, by heads and without sockets.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { TraceHeaders, type TraceSelf } from '../../src/proxy/trace/trace-headers.ts';
import { OpenRequests } from '../../src/telemetry/context/open-requests.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import { ConnectionCounts } from '../../src/telemetry/metrics/metrics.ts';
import {
  ExchangeRecord,
  Join,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { hexWord, traceIdOf } from '../../src/telemetry/span/record-span.ts';
import { passedLines, readTrace, selfOf, testSelf } from '../support/trace-head.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const parent = (flags = '01') => `traceparent: 00-${TRACE}-b7ad6b7169203331-${flags}\r\n`;

function idsOf(env: Record<string, string>): TraceIds {
  return new TraceIds(readTelemetrySettings(env).settings.sampler, seededRandom(1), true);
}

const usual = idsOf({});
const byRatio = idsOf({ OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' });
const always = idsOf({ OTEL_TRACES_SAMPLER_ARG: '1' });

const spanIdOf = ({ spanId0, spanId1 }: ExchangeRecord) => hexWord(spanId0) + hexWord(spanId1);

interface Passed {
  readonly headers: TraceHeaders;
  readonly record: ExchangeRecord;
  readonly kept: readonly string[];
  /** Value of the tracestate that goes on, without our member and its comma. */
  readonly states: string;
  readonly put: readonly string[];
}

function pass(lines: string, ids = usual, direction: 'inbound' | 'outbound' = 'outbound'): Passed {
  const { headers, head } = readTrace(lines, new TraceHeaders(testSelf, direction));
  const record = new ExchangeRecord();
  record.kind = direction === 'inbound' ? RecordKind.Server : RecordKind.Client;
  ids.begin(record, headers.context);
  const { kept, put } = passedLines(headers, head, record);
  const state = put.find((line) => line.startsWith('tracestate: '))!;
  return {
    headers,
    record,
    kept,
    put,
    states: state.slice('tracestate: tracecar=0123456abcd,'.length),
  };
}

test('the port of the sender is read, and ours goes on towards the mesh only', () => {
  const line = 'tracestate: tracecar=02beef01f40\r\n';
  assert.equal(pass(parent() + line).headers.callbackPort, 0x1f40);
  assert.match(pass(parent() + line).put.join('\n'), /tracecar=03beef03a9c$/m);
  assert.match(pass(parent() + line, usual, 'inbound').put.join('\n'), /tracecar=03beef00000$/m);
});

test('only the first member says who spoke last', () => {
  const behind = pass(`${parent()}tracestate: rojo=1,tracecar=02beef01f40\r\n`);
  assert.equal(behind.headers.callbackPort, 0);
  const first = pass(`${parent()}tracestate: tracecar=02beef01f40,rojo=1\r\n`);
  assert.equal(first.headers.callbackPort, 0x1f40);
  const nominated = pass(
    `Connection: tracestate\r\n${parent()}tracestate: tracecar=02beef01f40\r\n`,
  );
  assert.equal(nominated.headers.callbackPort, 0);
});

test('a root that is chosen says with which probability, one that is not says nothing', () => {
  assert.equal(pass('', always).states, 'ot=th:0');
  assert.equal(pass('', always).record.flags & RecordFlag.OwnThreshold, RecordFlag.OwnThreshold);
  assert.equal(pass('', idsOf({ OTEL_TRACES_SAMPLER: 'always_off' })).states, '');
});

test('a received threshold goes on as it came, alone or among others', () => {
  const alone = pass(`${parent()}tracestate: tracecar=02beef01f40,ot=th:4\r\n`);
  assert.equal(alone.states, 'ot=th:4');
  assert.equal(alone.record.extra, 't4');
  const among = pass(`${parent()}tracestate: rojo=1,ot=th:8;rv:ffffffffffffff,congo=2\r\n`);
  assert.equal(among.states, 'rojo=1,ot=th:8;rv:ffffffffffffff,congo=2');
  assert.equal(among.record.extra, 't8');
});

test('a threshold like the own one needs no words', () => {
  const { record, states } = pass(
    `${parent()}tracestate: tracecar=02beef01f40,ot=th:0\r\n`,
    always,
  );
  assert.equal(record.extra, '');
  assert.equal(record.flags & RecordFlag.OwnThreshold, RecordFlag.OwnThreshold);
  assert.equal(states, 'ot=th:0');
});

test('a threshold that the trace cannot have passed is not believed', () => {
  const states = 'tracestate: rojo=1,ot=th:ffffffffffffff\r\n';
  const { record, states: passed } = pass(parent() + states);
  assert.equal(record.flags & RecordFlag.Sampled, RecordFlag.Sampled);
  assert.equal(record.extra, '');
  assert.equal(passed, 'rojo=1');
});

test('a sampler that follows no parent decides by randomness, and says its own threshold', () => {
  const above = pass(`${parent('00')}tracestate: rojo=1,ot=th:c;rv:80000000000000\r\n`, byRatio);
  assert.equal(above.record.flags & RecordFlag.Sampled, RecordFlag.Sampled);
  assert.equal(above.states, 'ot=th:8;rv:80000000000000,rojo=1');
  const below = pass(`${parent()}tracestate: rojo=1,ot=th:c;rv:7fffffffffffff\r\n`, byRatio);
  assert.equal(below.record.flags & RecordFlag.Sampled, 0);
  assert.equal(below.states, 'ot=rv:7fffffffffffff,rojo=1');
  // The last 56 bits of the trace id: 48eb211c80319c is below one half.
  const byId = pass(`${parent()}tracestate: tracecar=02beef01f40,ot=th:1\r\n`, byRatio);
  assert.equal(byId.record.flags & RecordFlag.Sampled, 0);
  assert.equal(byId.states, '');
});

test('a trace that is kept for what it is goes on as sampled and without a probability', () => {
  const { headers, head } = readTrace(`${parent('00')}tracestate: rojo=1,ot=th:8\r\n`);
  const record = new ExchangeRecord();
  record.kind = RecordKind.Client;
  usual.begin(record, headers.context);
  record.flags |= RecordFlag.Kept;
  const { put } = passedLines(headers, head, record);
  assert.match(put[0]!, /-01$/);
  assert.match(put[1]!, /^tracestate: tracecar=.{11},rojo=1$/);
});

test('a threshold without a traceparent is nobody’s', () => {
  const { headers, states } = pass('tracestate: tracecar=02beef01f40,ot=th:8\r\n');
  assert.equal(headers.context.thresholdHigh, -1);
  assert.equal(states, '');
  assert.equal(headers.hops >>> 20, 3);
});

test('31 members of others make room for a threshold that comes new', () => {
  const members = Array.from({ length: 31 }, (_, index) => `k${index}=v`);
  const { put } = pass(
    `${parent()}tracestate: ${members.join(',')}\r\n`,
    idsOf({
      OTEL_TRACES_SAMPLER: 'always_on',
    }),
  );
  const value = put.find((line) => line.startsWith('tracestate: '))!.slice(12);
  assert.equal(value.split(',').length, 32);
  assert.match(value, /^tracecar=.{11},ot=th:0,k0=v,/);
});

const requestIdOf = (put: readonly string[]) =>
  put.find((line) => line.startsWith('x-request-id: '))?.slice('x-request-id: '.length);

test('a request id is made of the ids of the span, where there is none', () => {
  const { put, record } = pass('', usual, 'inbound');
  const id = requestIdOf(put)!;
  assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  const digits = id.replaceAll('-', '');
  assert.equal(digits, (traceIdOf(record) + spanIdOf(record)).replace(/^(.{16}).{16}/, '$1'));
  assert.equal(requestIdOf(pass('X-Request-ID: mine\r\n', usual, 'inbound').put), undefined);
  const nominated = pass('Connection: x-request-id\r\nX-Request-Id: mine\r\n', usual, 'inbound');
  assert.ok(requestIdOf(nominated.put) !== undefined);
});

test('an empty request id is as good as none, and is replaced', () => {
  for (const lines of ['X-Request-ID:\r\n', 'x-request-id: \t \r\n']) {
    const { put, kept } = pass(lines, usual, 'inbound');
    assert.match(requestIdOf(put) ?? '', /^[0-9a-f-]{36}$/);
    assert.deepEqual(kept, []);
    const self = selfOf({});
    const { record } = open(self, lines);
    const cause = causeOf(self, `x-request-id: ${madeIdOf(record)}\r\n`);
    assert.equal(cause, `0 ${spanIdOf(record)}`, 'calls are tied by it');
  }
});

test('the request id of a trace whose id has 64 bits has those', () => {
  const { put, record } = pass('b3: 463ac35c9f6413ad-a2fb4a1d1a96d312-1\r\n', usual, 'inbound');
  const id = requestIdOf(put)!.replaceAll('-', '');
  assert.equal(id, `463ac35c9f6413ad${spanIdOf(record)}`);
});

/** The request id that is made of a span's ids. */
function madeIdOf(record: ExchangeRecord): string {
  const id = `${traceIdOf(record).slice(0, 16)}${spanIdOf(record)}`;
  return id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

/** A request to the own application that is open, and the headers that have read it. */
function open(self: TraceSelf, lines: string): { headers: TraceHeaders; record: ExchangeRecord } {
  const { headers, head } = readTrace(lines, new TraceHeaders(self, 'inbound'));
  const record = new ExchangeRecord();
  record.kind = RecordKind.Server;
  always.begin(record, headers.context);
  headers.begun(head, record);
  return { headers, record };
}

/** The span id that a call is the child of, and which field said so; '' when it is a root. */
function causeOf(self: TraceSelf, lines: string): string {
  const { headers } = readTrace(lines, new TraceHeaders(self, 'outbound'));
  if (!headers.context.present) return '';
  const { parentId0, parentId1 } = headers.context;
  return `${headers.joinField} ${hexWord(parentId0)}${hexWord(parentId1)}`;
}

test('a call is tied by the first field whose value one open request has, until that is over', () => {
  const self = selfOf({ correlationHeaders: ['x-order'] });
  const first = open(self, 'x-request-id: a\r\nx-correlation-id: c\r\nX-Order: 7\r\n');
  const second = open(self, 'x-request-id: b\r\nx-correlation-id: c\r\n');
  const [one, two] = [spanIdOf(first.record), spanIdOf(second.record)];
  assert.equal(causeOf(self, 'x-request-id: a\r\n'), `0 ${one}`);
  assert.equal(causeOf(self, 'x-request-id: b\r\n'), `0 ${two}`);
  assert.equal(causeOf(self, 'x-order: 7\r\n'), `5 ${one}`);
  assert.equal(causeOf(self, 'x-correlation-id: c\r\n'), '', 'two have it');
  assert.equal(causeOf(self, 'x-correlation-id: c\r\nx-order: 7\r\n'), `5 ${one}`);
  assert.equal(causeOf(self, 'x-request-id: a\r\nx-request-id: a\r\n'), '', 'it comes twice');
  assert.equal(causeOf(self, 'x-order: a\r\n'), '', 'the value of another field');
  second.headers.end();
  assert.equal(causeOf(self, 'x-correlation-id: c\r\n'), `1 ${one}`);
  first.headers.end();
  assert.equal(causeOf(self, 'x-request-id: a\r\nx-order: 7\r\n'), '');
});

test('trace context of the application comes before any correlation', () => {
  const self = selfOf({});
  open(self, 'x-request-id: a\r\n');
  const { headers } = readTrace(
    `${parent()}x-request-id: a\r\n`,
    new TraceHeaders(self, 'outbound'),
  );
  assert.equal(headers.join, Join.App);
  assert.equal(headers.context.parentId1, 0x69203331);
});

test('a request id of our making ties calls too, with the probability of its trace', () => {
  const self = selfOf({});
  const { record } = open(self, '');
  const value = madeIdOf(record);
  const { headers } = readTrace(`x-request-id: ${value}\r\n`, new TraceHeaders(self, 'outbound'));
  assert.equal(headers.join, Join.Correlation);
  assert.equal(headers.context.thresholdHigh, 0);
});

test('values without end are not remembered', () => {
  const self = selfOf({});
  open(self, `x-request-id: ${'v'.repeat(257)}\r\n`);
  assert.equal(causeOf(self, `x-request-id: ${'v'.repeat(257)}\r\n`), '');
});

test('a request that finds no room among the open ones is counted, and ties nothing', () => {
  const counts = new ConnectionCounts();
  const self = { ...selfOf({}), countsOf: () => counts, openRequests: new OpenRequests(1, 2, 2) };
  const opened = ['a', 'b', 'c'].map((id) => open(self, `x-request-id: ${id}\r\n`));
  assert.equal(counts.openOverflow, 1);
  assert.equal(causeOf(self, 'x-request-id: c\r\n'), '');
  for (const { headers } of opened) headers.end();
  open(self, 'x-request-id: c\r\n');
  assert.notEqual(causeOf(self, 'x-request-id: c\r\n'), '');
});
