/** Where no span is made the context goes on as it came, whatever is known of its trace by then. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { TraceHeaders } from '../../src/proxy/trace/trace-headers.ts';
import { TraceIds } from '../../src/telemetry/context/trace-ids.ts';
import { KeepVerdicts } from '../../src/telemetry/keep/keep-verdicts.ts';
import { ExchangeRecord, RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { type SpansMode, usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';
import { headOf, passedLines, selfOf, someCaller } from '../support/trace-head.ts';

const trace = '0af7651916cd43dd8448eb211c80319c';
const words = Int32Array.of(0x0af76519, 0x16cd43dd, 0x8448eb21, 0x1c80319c);
const parent = 'b7ad6b7169203331';

interface Way {
  readonly direction: 'inbound' | 'outbound';
  readonly spans?: SpansMode;
  readonly isExporting?: boolean;
  readonly edge?: 'honour';
}

/** The lines that go on with a request which came with `lines`, before its trace is kept and after. */
function passing(lines: string, { direction, spans = 'both', isExporting = true, edge }: Way) {
  const { sampler } = readTelemetrySettings({}).settings;
  const ids = new TraceIds(sampler, seededRandom(5), isExporting, spans);
  const verdicts = new KeepVerdicts(usualChoices.keep, 7, () => true);
  const self = selfOf({ edge });
  const pass = () => {
    const head = headOf(lines);
    const headers = new TraceHeaders(self, direction);
    headers.read(head, someCaller);
    const record = new ExchangeRecord();
    record.kind = direction === 'inbound' ? RecordKind.Server : RecordKind.Client;
    record.flags = headers.recordFlags;
    ids.begin(record, headers.context);
    if (isExporting) verdicts.begin(record);
    return passedLines(headers, head, record).put;
  };
  const before = pass();
  verdicts.keep(words, 1, '10.0.0.9', 0);
  return { before, after: pass(), pass };
}

const traceparentOf = (lines: readonly string[]) =>
  lines.filter((line) => line.toLowerCase().startsWith('traceparent:'));

const muted: readonly (readonly [string, Way])[] = [
  ['--spans server, outbound', { direction: 'outbound', spans: 'server' }],
  ['--spans client, inbound', { direction: 'inbound', spans: 'client' }],
  ['no exporter, outbound', { direction: 'outbound', isExporting: false }],
  ['no exporter, inbound', { direction: 'inbound', isExporting: false }],
];

for (const [title, way] of muted) {
  test(`${title}: traceparent goes on byte for byte, also of a trace that is kept by then`, () => {
    for (const line of [
      `traceparent: 00-${trace}-${parent}-00`,
      `traceparent: 00-${trace}-${parent}-03`,
      `Traceparent: 00-${trace}-${parent}-05`,
      `traceparent: 01-${trace}-${parent}-04-xx`,
    ]) {
      const { before, after } = passing(`${line}\r\ntracestate: congo=1\r\n`, way);
      assert.deepEqual(traceparentOf(before), [line]);
      assert.deepEqual(after, before);
      assert.match(before.join('\n'), /^tracestate: tracecar=[0-9a-f]{11},congo=1$/m);
    }
  });

  test(`${title}: a traceparent that is none does not go on`, () => {
    for (const lines of [
      `traceparent: 00-${trace}-${parent}-0x\r\n`,
      `traceparent: 00-${trace}-${parent}-00\r\n`.repeat(2),
      `connection: traceparent\r\ntraceparent: 00-${trace}-${parent}-00\r\n`,
    ]) {
      const { before, after } = passing(lines, way);
      assert.deepEqual([traceparentOf(before), traceparentOf(after)], [[], []]);
    }
  });
}

test('with a span the flag of a kept trace changes, and the parent id with it', () => {
  const line = `traceparent: 00-${trace}-${parent}-00`;
  for (const direction of ['inbound', 'outbound'] as const) {
    const { before, after } = passing(`${line}\r\n`, { direction });
    const [unkept] = traceparentOf(before);
    const [kept] = traceparentOf(after);
    assert.match(unkept!, new RegExp(`^traceparent: 00-${trace}-[0-9a-f]{16}-00$`));
    assert.match(kept!, new RegExp(`^traceparent: 00-${trace}-[0-9a-f]{16}-01$`));
    for (const each of [unkept!, kept!]) assert.ok(!each.includes(parent));
  }
});

test('an outsider over the cap of an edge is not sampled where no span is made either', () => {
  const line = `traceparent: 00-${trace}-${parent}-01`;
  const way: Way = { direction: 'inbound', spans: 'client', edge: 'honour' };
  const { pass } = passing(`${line}\r\n`, way);
  let last = pass();
  for (let count = 0; count < 1_000; count++) last = pass();
  assert.deepEqual(traceparentOf(last), [`traceparent: 00-${trace}-${parent}-00`]);
});
