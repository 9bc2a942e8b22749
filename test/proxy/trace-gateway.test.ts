/**
 * Ids at a Gateway, where two spans are begun for one request: what goes on names the inner one, or the
 * one that there is, with the caller's decision about sampling.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { TraceHeaders } from '../../src/proxy/trace/trace-headers.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import {
  ExchangeRecord,
  Join,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import type { SpansMode } from '../../src/telemetry/settings/tracing-choices.ts';
import { headOf, passedLines, selfOf } from '../support/trace-head.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const outsider = { isPeer: false, owner: { port: 80, isEntrance: true } };

interface Sent {
  readonly lines?: string;
  readonly spans?: SpansMode;
  readonly isExporting?: boolean;
  readonly sampler?: Readonly<Record<string, string>>;
}

/** What a gateway makes of `lines`: its two records, and the fields of trace context that go on. */
function pass({ lines = '', spans = 'both', isExporting = true, sampler = {} }: Sent) {
  const settings = readTelemetrySettings({
    OTEL_TRACES_SAMPLER: 'parentbased_always_on',
    ...sampler,
  });
  const ids = new TraceIds(settings.settings.sampler, seededRandom(3), isExporting, spans);
  const headers = new TraceHeaders(selfOf({}), 'outbound');
  const head = headOf(lines);
  headers.read(head, outsider);
  const begin = (kind: number) => {
    const record = new ExchangeRecord();
    record.kind = kind;
    record.flags = headers.recordFlags;
    ids.begin(record, headers.context);
    return record;
  };
  const arrival = begin(RecordKind.Server);
  headers.continueFrom(arrival);
  const attempt = begin(RecordKind.Client);
  attempt.join = headers.join;
  const { put } = passedLines(headers, head, attempt);
  return { arrival, attempt, put, parent: put.find((line) => line.startsWith('traceparent')) };
}

function hex(...words: readonly number[]): string {
  return words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

const spanOf = ({ spanId0, spanId1 }: ExchangeRecord) => hex(spanId0, spanId1);
const parentOf = ({ parentId0, parentId1 }: ExchangeRecord) => hex(parentId0, parentId1);

for (const flags of ['00', '01', '02', '03']) {
  test(`a caller’s flags ${flags} are those of both spans, and go on`, () => {
    const lines = `traceparent: 00-${TRACE}-${PARENT}-${flags}\r\n`;
    const { arrival, attempt, parent } = pass({ lines });
    assert.equal(parentOf(arrival), PARENT);
    assert.equal(parentOf(attempt), spanOf(arrival));
    assert.equal(parent, `traceparent: 00-${TRACE}-${spanOf(attempt)}-${flags}`);
    const isSampled = flags === '01' || flags === '03';
    for (const { flags: bits } of [arrival, attempt]) {
      assert.equal((bits & RecordFlag.Sampled) !== 0, isSampled);
    }
    assert.equal(attempt.join, Join.Gateway);
  });
}

test('a trace that is drawn by a ratio is drawn once, and its threshold goes on', () => {
  const ratio = {
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
  };
  const seen = new Set<boolean>();
  for (let seed = 0; seed < 40; seed++) {
    const settings = readTelemetrySettings(ratio).settings;
    const ids = new TraceIds(settings.sampler, seededRandom(seed), true);
    const headers = new TraceHeaders(selfOf({}), 'outbound');
    const head = headOf('');
    headers.read(head, outsider);
    const [arrival, attempt] = [new ExchangeRecord(), new ExchangeRecord()];
    arrival.kind = RecordKind.Server;
    ids.begin(arrival, headers.context);
    headers.continueFrom(arrival);
    attempt.kind = RecordKind.Client;
    ids.begin(attempt, headers.context);
    const { put } = passedLines(headers, head, attempt);
    const isDrawn = (arrival.flags & RecordFlag.Sampled) !== 0;
    seen.add(isDrawn);
    assert.equal((attempt.flags & RecordFlag.Sampled) !== 0, isDrawn);
    assert.equal(arrival.sampledBy, isDrawn ? SampledBy.Ratio : SampledBy.None);
    assert.equal(attempt.sampledBy, isDrawn ? SampledBy.Parent : SampledBy.None);
    const own = RecordFlag.OwnThreshold;
    assert.equal(attempt.flags & own, arrival.flags & own, 'both stand for as many');
    assert.equal(put.join('\n').includes('ot=th:c'), isDrawn);
  }
  assert.equal(seen.size, 2);
});

const traceparent = `traceparent: 00-${TRACE}-${PARENT}-01\r\n`;

test('--spans server: what is called is a child of the arrival', () => {
  const { arrival, parent } = pass({ lines: traceparent, spans: 'server' });
  assert.notEqual(spanOf(arrival), PARENT);
  assert.equal(parent, `traceparent: 00-${TRACE}-${spanOf(arrival)}-01`);
});

test('--spans client: the attempt is a child of the caller’s, or begins the trace', () => {
  const { attempt, parent } = pass({ lines: traceparent, spans: 'client' });
  assert.equal(parentOf(attempt), PARENT);
  assert.equal(parent, `traceparent: 00-${TRACE}-${spanOf(attempt)}-01`);
  const root = pass({ spans: 'client' });
  assert.equal(root.attempt.flags & RecordFlag.HasParent, 0);
  assert.ok(root.parent!.includes(spanOf(root.attempt)));
});

test('a gateway that exports nothing passes the caller’s context as it came', () => {
  const { parent } = pass({ lines: traceparent, isExporting: false });
  assert.equal(parent, traceparent.trim());
  assert.equal(pass({ isExporting: false }).parent, undefined);
});

test('members of others and another format of context go on', () => {
  const lines = `${traceparent}tracestate: rojo=1\r\nb3: ${TRACE}-${PARENT}-1\r\n`;
  const { attempt, put } = pass({ lines });
  assert.match(put.join('\n'), /^tracestate: tracecar=[0-9a-f]+,rojo=1$/m);
  assert.ok(put.includes(`b3: ${TRACE}-${spanOf(attempt)}-1`), put.join('\n'));
});
