/**
 * T2: trace context by the cases that W3C's own suite names, B3 and Jaeger's header by tables and by the
 * propagators of OpenTelemetry, and 100 000 drawn sets of all headers; from a head to the head that goes on.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultTextMapGetter, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { B3InjectEncoding, B3Propagator } from '@opentelemetry/propagator-b3';
import { type Random, seededRandom } from '../../../src/base/random.ts';
import { TraceHeaders, type TraceSelf } from '../../../src/proxy/trace/trace-headers.ts';
import { Decision, type TraceContext } from '../../../src/telemetry/context/trace-context.ts';
import { TraceIds } from '../../../src/telemetry/context/trace-ids.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../../src/telemetry/record/exchange-record.ts';
import { Propagator, readTelemetrySettings } from '../../../src/telemetry/settings/settings.ts';
import { hexWord, traceIdOf } from '../../../src/telemetry/span/record-span.ts';
import { headOf, passedLines, selfOf, someCaller } from '../../support/trace-head.ts';
import { hexOf, linesOf, randomFields, reordered } from '../../support/trace-requests.ts';

const TRACE = '12345678901234567890123456789012';
const SPAN = '1234567890123456';
const PARENT = `00-${TRACE}-${SPAN}-00`;

function idsOf(env: Record<string, string>): TraceIds {
  return new TraceIds(readTelemetrySettings(env).settings.sampler, seededRandom(2), true);
}

const usual = idsOf({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' });

interface Passed {
  readonly headers: TraceHeaders;
  readonly record: ExchangeRecord;
  /** Lines of the head that goes on, by lower-case name. */
  readonly out: ReadonlyMap<string, string>;
  readonly lines: readonly string[];
}

function pass(
  lines: string,
  self: TraceSelf = selfOf({}),
  direction: 'inbound' | 'outbound' = 'outbound',
  ids = usual,
): Passed {
  const headers = new TraceHeaders(self, direction);
  const head = headOf(lines);
  headers.read(head, someCaller);
  const record = new ExchangeRecord();
  record.kind = direction === 'inbound' ? RecordKind.Server : RecordKind.Client;
  ids.begin(record, headers.context);
  const { kept, put } = passedLines(headers, head, record);
  const passed = [...kept, ...put];
  const out = new Map(
    passed.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 2),
    ]),
  );
  return { headers, record, out, lines: passed };
}

const line = (name: string, value: string) => `${name}: ${value}\r\n`;
const parentLine = (value = PARENT) => line('traceparent', value);

/** The trace goes on: same id, another parent id, the flag that we know. */
function assertContinued(lines: string, trace = TRACE): Passed {
  const passed = pass(lines);
  const [, id, parent, flags] = passed.out.get('traceparent')!.split('-');
  assert.equal(id, trace, lines);
  assert.notEqual(parent, SPAN);
  assert.match(flags!, /^0[0-3]$/);
  return passed;
}

/** A new trace, and nothing of a tracestate goes on. */
function assertRestarted(lines: string): Passed {
  const passed = pass(lines);
  const value = passed.out.get('traceparent')!;
  assert.match(value, /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[23]$/);
  assert.notEqual(value.slice(3, 35), TRACE, lines);
  assert.equal(statesOf(passed), '', lines);
  return passed;
}

function statesOf({ out }: Passed): string {
  const value = out.get('tracestate')!;
  assert.match(value, /^tracecar=[0-9a-f]{11}(,|$)/);
  return value.slice('tracecar=0123456789a,'.length);
}

function assertStates(sent: readonly string[], expected: string): void {
  const lines = sent.map((value) => line('tracestate', value)).join('');
  assert.equal(statesOf(assertContinued(parentLine() + lines)), expected, lines);
}

const restarts = (...values: string[]) => {
  for (const value of values) assertRestarted(parentLine(value) + line('tracestate', 'foo=1'));
};
const tracestate = (value: string) => assertStates([value], value);
const dropped = (...values: string[]) => {
  for (const value of values) assertStates([value], '');
};

const cases: Readonly<Record<string, () => void>> = {
  both_traceparent_and_tracestate_missing: () => assertRestarted(''),
  traceparent_included_tracestate_missing: () => assertContinued(parentLine()),
  traceparent_duplicated: () =>
    assertRestarted(parentLine() + parentLine(`00-${TRACE.replace('1', '2')}-${SPAN}-01`)),
  traceparent_header_name: () => {
    assertRestarted(line('trace-parent', PARENT));
    assertRestarted(line('trace.parent', PARENT));
  },
  traceparent_header_name_valid_casing: () => {
    for (const name of ['TraceParent', 'TrAcEpArEnT', 'TRACEPARENT']) {
      assertContinued(line(name, PARENT));
    }
  },
  traceparent_version_0x00: () => {
    restarts(`${PARENT}.`, `${PARENT}-what-the-future-will-be-like`);
  },
  traceparent_version_0xcc: () => {
    assertContinued(parentLine(`cc-${TRACE}-${SPAN}-01`));
    assertContinued(parentLine(`cc-${TRACE}-${SPAN}-01-what-the-future-will-be-like`));
    restarts(`cc-${TRACE}-${SPAN}-01.what-the-future-will-be-like`);
  },
  traceparent_version_0xff: () => restarts(`ff-${TRACE}-${SPAN}-01`),
  traceparent_version_illegal_characters: () => {
    restarts(`.0-${TRACE}-${SPAN}-01`, `0.-${TRACE}-${SPAN}-01`);
  },
  traceparent_version_too_long: () => {
    restarts(`000-${TRACE}-${SPAN}-01`, `0000-${TRACE}-${SPAN}-01`);
  },
  traceparent_version_too_short: () => restarts(`0-${TRACE}-${SPAN}-01`),
  traceparent_trace_id_all_zero: () => restarts(`00-${'0'.repeat(32)}-${SPAN}-01`),
  traceparent_trace_id_illegal_characters: () => {
    restarts(`00-.${TRACE.slice(1)}-${SPAN}-01`, `00-${TRACE.slice(0, -1)}.-${SPAN}-01`);
  },
  traceparent_trace_id_too_long: () => restarts(`00-${TRACE}3-${SPAN}-01`),
  traceparent_trace_id_too_short: () => restarts(`00-${TRACE.slice(1)}-${SPAN}-01`),
  traceparent_parent_id_all_zero: () => restarts(`00-${TRACE}-${'0'.repeat(16)}-01`),
  traceparent_parent_id_illegal_characters: () => {
    restarts(`00-${TRACE}-.${SPAN.slice(1)}-01`, `00-${TRACE}-${SPAN.slice(0, -1)}.-01`);
  },
  traceparent_parent_id_too_long: () => restarts(`00-${TRACE}-${SPAN}7-01`),
  traceparent_parent_id_too_short: () => restarts(`00-${TRACE}-${SPAN.slice(1)}-01`),
  traceparent_trace_flags_illegal_characters: () => {
    restarts(`00-${TRACE}-${SPAN}-.0`, `00-${TRACE}-${SPAN}-0.`);
  },
  traceparent_trace_flags_too_long: () => restarts(`00-${TRACE}-${SPAN}-001`),
  traceparent_trace_flags_too_short: () => restarts(`00-${TRACE}-${SPAN}-1`),
  traceparent_ows_handling: () => {
    for (const value of [
      ` ${PARENT}`,
      `\t${PARENT}`,
      `${PARENT} `,
      `${PARENT}\t`,
      `\t ${PARENT} \t`,
    ]) {
      assertContinued(`traceparent:${value}\r\n`);
    }
  },
  traceparent_random_flag: () => {
    const flagsOf = (flags: string) =>
      assertContinued(parentLine(`00-${TRACE}-${SPAN}-${flags}`))
        .out.get('traceparent')!
        .slice(-2);
    assert.deepEqual(['00', '01', '02', '03', 'ff'].map(flagsOf), ['00', '01', '02', '03', '03']);
  },
  tracestate_included_traceparent_missing: () => assertRestarted(line('tracestate', 'foo=1')),
  tracestate_included_traceparent_included: () => tracestate('foo=1,bar=2'),
  tracestate_header_name: () => {
    for (const name of ['trace-state', 'trace.state']) {
      assert.equal(statesOf(assertContinued(parentLine() + line(name, 'foo=1'))), '');
    }
  },
  tracestate_header_name_valid_casing: () => {
    for (const name of ['TraceState', 'TrAcEsTaTe', 'TRACESTATE']) {
      assert.equal(statesOf(assertContinued(parentLine() + line(name, 'foo=1'))), 'foo=1');
    }
  },
  tracestate_empty_header: () => {
    assertStates([''], '');
    assertStates(['foo=1', ''], 'foo=1');
    assertStates(['', 'foo=1'], 'foo=1');
  },
  tracestate_multiple_headers_different_keys: () => {
    assertStates(['foo=1,bar=2', 'rojo=1,congo=2', 'baz=3'], 'foo=1,bar=2,rojo=1,congo=2,baz=3');
  },
  tracestate_duplicated_keys: () => {
    for (const sent of [['foo=1,foo=1'], ['foo=1,foo=2'], ['foo=1', 'foo=1'], ['foo=1', 'foo=2']]) {
      assertStates(sent, '');
    }
  },
  tracestate_all_allowed_characters: () => {
    const key = 'abcdefghijklmnopqrstuvwxyz0123456789_-*/';
    let value = '';
    for (let code = 0x20; code <= 0x7e; code++) {
      if (code !== 0x2c && code !== 0x3d) value += String.fromCharCode(code);
    }
    tracestate(`${key}=${value}`);
    tracestate(`0${key}@a-z0-9_-*/=${value}`);
  },
  tracestate_ows_handling: () => {
    assertStates(['foo=1 \t , \t bar=2, \t baz=3'], 'foo=1,bar=2,baz=3');
    assertStates(['foo=1\t \t,\t \tbar=2,\t \tbaz=3'], 'foo=1,bar=2,baz=3');
    for (const sent of [' foo=1', '\tfoo=1', 'foo=1 ', 'foo=1\t', '\t foo=1 \t']) {
      assertStates([sent], 'foo=1');
    }
  },
  tracestate_key_illegal_characters: () => dropped('foo =1', 'FOO=1', 'foo.bar=1', 'foo'),
  tracestate_key_illegal_vendor_format: () => {
    dropped('foo@=1,bar=2', '@foo=1,bar=2', 'foo@@bar=1,bar=2', 'foo@bar@baz=1,bar=2');
  },
  tracestate_member_count_limit: () => {
    const members = Array.from({ length: 33 }, (_, index) => `bar${index}=${index}`);
    // Ours is one of 32.
    assertStates([members.slice(0, 32).join(',')], members.slice(0, 31).join(','));
    dropped(members.join(','));
  },
  tracestate_key_length_limit: () => {
    tracestate(`foo=1,${'z'.repeat(256)}=1`);
    tracestate(`foo=1,${'t'.repeat(241)}@${'v'.repeat(14)}=1`);
    dropped(
      `foo=1,${'z'.repeat(257)}=1`,
      `foo=1,${'t'.repeat(242)}@v=1`,
      `foo=1,t@${'v'.repeat(15)}=1`,
    );
  },
  tracestate_value_illegal_characters: () => dropped('foo=bar=baz', 'foo=,bar=3', 'foo=\u00e9'),
  multiple_requests_with_valid_traceparent: () => {
    const parents = [1, 2, 3].map(() => assertContinued(parentLine()).out.get('traceparent')!);
    assert.equal(new Set(parents).size, 3);
  },
  multiple_requests_without_traceparent: () => {
    const traces = [1, 2, 3].map(() => assertRestarted('').out.get('traceparent')!.slice(3, 35));
    assert.equal(new Set(traces).size, 3);
  },
  multiple_requests_with_illegal_traceparent: () => {
    const bad = parentLine(`00-${'0'.repeat(32)}-${SPAN}-01`);
    const traces = [1, 2, 3].map(() => assertRestarted(bad).out.get('traceparent')!.slice(3, 35));
    assert.equal(new Set(traces).size, 3);
  },
};

for (const [name, run] of Object.entries(cases)) test(`T2: W3C ${name}`, run);

test('T2: there is a case for each of the 41', () => {
  assert.equal(Object.keys(cases).length, 41);
});

/** What a request says in a format of its own: ids as they are read, flags and decision; '' = absent. */
function said(lines: string): string {
  const { context } = pass(lines).headers;
  const decision = Object.entries(Decision).find(([, value]) => value === context.decision)![0];
  if (!context.present) return context.decision === Decision.None ? '' : decision;
  const parent = hexWord(context.parentId0) + hexWord(context.parentId1);
  return `${traceOf(context)} ${parent} ${context.flags & 1} ${decision}`;
}

function traceOf(context: TraceContext): string {
  const { traceId0, traceId1, traceId2, traceId3 } = context;
  return [traceId0, traceId1, traceId2, traceId3].map(hexWord).join('');
}

const LONG = '80f198ee56343ba864fe8b2a57d3eff7';
const SHORT = 'e457b5a2e4d86bd1';
const single: readonly (readonly [value: string, expected: string])[] = [
  [`${LONG}-${SHORT}-1`, `${LONG} ${SHORT} 1 Accepted`],
  [`${LONG}-${SHORT}-0`, `${LONG} ${SHORT} 0 Denied`],
  [`${LONG}-${SHORT}-d`, `${LONG} ${SHORT} 1 Debug`],
  [`${LONG}-${SHORT}`, `${LONG} ${SHORT} 0 Deferred`],
  [`${SHORT}-${SHORT}-1`, `0000000000000000${SHORT} ${SHORT} 1 Accepted`],
  [`${LONG}-${SHORT}-1-05e3ac9a4f6e3b90`, `${LONG} ${SHORT} 1 Accepted`],
  ['0', 'Denied'],
  ['1', 'Accepted'],
  ['d', 'Debug'],
  ['', ''],
  ['2', ''],
  ['true', ''],
  [LONG, ''],
  [`${LONG}-`, ''],
  [`-${SHORT}`, ''],
  [`${LONG}-${SHORT}-`, ''],
  [`${LONG}-${SHORT}-2`, ''],
  [`${LONG}-${SHORT}-11`, ''],
  [`${LONG}-${SHORT}-1-`, ''],
  [`${LONG}-${SHORT}-1-05e3ac9a4f6e3b9`, ''],
  [`${LONG}-${SHORT}-1-05e3ac9a4f6e3b90-1`, ''],
  [`${LONG}0-${SHORT}-1`, ''],
  [`${LONG.slice(1)}-${SHORT}-1`, ''],
  [`${LONG}-${SHORT}0-1`, ''],
  [`${LONG.toUpperCase()}-${SHORT}-1`, ''],
  [`${'0'.repeat(32)}-${SHORT}-1`, ''],
  [`${LONG}-${'0'.repeat(16)}-1`, ''],
];

for (const [value, expected] of single) {
  test(`T2: b3: ${value || 'nothing'} says ${expected || 'nothing'}`, () => {
    assert.equal(said(`b3:${value}\r\n`), expected);
  });
}

const multi: readonly (readonly [lines: Record<string, string>, expected: string])[] = [
  [{ traceid: LONG, spanid: SHORT, sampled: '1' }, `${LONG} ${SHORT} 1 Accepted`],
  [{ traceid: LONG, spanid: SHORT, sampled: 'true' }, `${LONG} ${SHORT} 1 Accepted`],
  [{ traceid: LONG, spanid: SHORT, sampled: '0' }, `${LONG} ${SHORT} 0 Denied`],
  [{ traceid: LONG, spanid: SHORT }, `${LONG} ${SHORT} 0 Deferred`],
  [{ traceid: LONG, spanid: SHORT, flags: '1' }, `${LONG} ${SHORT} 1 Debug`],
  [{ traceid: LONG, spanid: SHORT, flags: '1', sampled: '0' }, `${LONG} ${SHORT} 1 Debug`],
  [{ traceid: LONG, spanid: SHORT, flags: '0', sampled: '1' }, `${LONG} ${SHORT} 1 Accepted`],
  [
    { traceid: SHORT, spanid: SHORT, parentspanid: SHORT },
    `0000000000000000${SHORT} ${SHORT} 0 Deferred`,
  ],
  [{ sampled: '0' }, 'Denied'],
  [{ sampled: '1' }, 'Accepted'],
  [{ flags: '1' }, 'Debug'],
  [{ parentspanid: SHORT }, ''],
  [{ traceid: LONG }, ''],
  [{ spanid: SHORT, sampled: '1' }, ''],
  [{ traceid: LONG, spanid: SHORT, sampled: 'yes' }, ''],
  [{ traceid: LONG, spanid: SHORT, flags: '2' }, ''],
  [{ traceid: LONG.slice(1), spanid: SHORT }, ''],
  [{ traceid: LONG, spanid: SHORT.slice(1) }, ''],
  [{ traceid: LONG.toUpperCase(), spanid: SHORT }, ''],
  [{ traceid: '0'.repeat(32), spanid: SHORT }, ''],
];

for (const [fields, expected] of multi) {
  test(`T2: x-b3 ${JSON.stringify(fields)} says ${expected || 'nothing'}`, () => {
    const lines = Object.entries(fields).map(([name, value]) => line(`X-B3-${name}`, value));
    assert.equal(said(lines.join('')), expected);
    assert.equal(said(lines.reverse().join('')), expected, 'in another order');
    assert.equal(said(lines.join('') + lines.join('')), '', 'each of them twice');
  });
}

const uber: readonly (readonly [value: string, expected: string])[] = [
  [`${LONG}:${SHORT}:0:1`, `${LONG} ${SHORT} 1 Accepted`],
  [`${LONG}:${SHORT}:0:0`, `${LONG} ${SHORT} 0 Denied`],
  [`${LONG}:${SHORT}:0:3`, `${LONG} ${SHORT} 1 Debug`],
  [`${LONG}:${SHORT}::01`, `${LONG} ${SHORT} 1 Accepted`],
  [`${LONG}%3A${SHORT}%3A0%3a1`, `${LONG} ${SHORT} 1 Accepted`],
  [`${SHORT}:${SHORT}:${SHORT}:1`, `0000000000000000${SHORT} ${SHORT} 1 Accepted`],
  ['1:2:0:1', `${'0'.repeat(31)}1 ${'0'.repeat(15)}2 1 Accepted`],
  ['', ''],
  [':::', ''],
  [`${LONG}:${SHORT}:0`, ''],
  [`${LONG}:${SHORT}:0:`, ''],
  [`${LONG}:${SHORT}:0:111`, ''],
  [`${LONG}:${SHORT}:0:g`, ''],
  [`${LONG}:${SHORT}:x:1`, ''],
  [`${LONG}:${SHORT}:0:1:1`, ''],
  [`${LONG}0:${SHORT}:0:1`, ''],
  [`${LONG}:${SHORT}0:0:1`, ''],
  [`0:${SHORT}:0:1`, ''],
  [`${LONG}:0:0:1`, ''],
  [`${LONG}%3B${SHORT}:0:1`, ''],
  [`${LONG}%3`, ''],
];

for (const [value, expected] of uber) {
  test(`T2: uber-trace-id: ${value || 'nothing'} says ${expected || 'nothing'}`, () => {
    assert.equal(said(`uber-trace-id:${value}\r\n`), expected);
  });
}

test('T2: the first format that says something counts: W3C, b3, x-b3, uber', () => {
  const all = [
    parentLine(`00-${'a'.repeat(32)}-${'a'.repeat(16)}-01`),
    line('b3', `${'b'.repeat(32)}-${'b'.repeat(16)}-1`),
    line('x-b3-traceid', 'c'.repeat(32)) + line('x-b3-spanid', 'c'.repeat(16)),
    line('uber-trace-id', `${'d'.repeat(32)}:${'d'.repeat(16)}:0:1`),
  ];
  const found = all.map((_, from) => said(all.slice(from).join('')).slice(0, 1));
  assert.deepEqual(found, ['a', 'b', 'c', 'd']);
  const odd = line('traceparent', 'odd') + line('b3', 'odd') + all[2]! + all[3]!;
  assert.equal(said(odd).slice(0, 1), 'c');
});

test('T2: formats that came go on with our span, beside W3C’s', () => {
  const b3 = pass(line('b3', `${LONG}-${SHORT}-1`));
  const ours = hexWord(b3.record.spanId0) + hexWord(b3.record.spanId1);
  assert.equal(b3.out.get('traceparent'), `00-${LONG}-${ours}-01`);
  assert.equal(b3.out.get('b3'), `${LONG}-${ours}-1`);
  assert.equal(b3.lines.filter((each) => /^b3:/i.test(each)).length, 1);
  const many = pass(
    `${line('X-B3-TraceId', SHORT)}${line('X-B3-SpanId', SHORT)}${line('X-B3-ParentSpanId', SHORT)}` +
      line('X-B3-Flags', '1') +
      line('uber-trace-id', '1:2:0:1'),
  );
  const span = hexWord(many.record.spanId0) + hexWord(many.record.spanId1);
  assert.equal(many.out.get('x-b3-traceid'), `0000000000000000${SHORT}`);
  assert.equal(many.out.get('x-b3-spanid'), span);
  assert.equal(many.out.get('x-b3-flags'), '1');
  assert.equal(many.out.has('x-b3-sampled'), false);
  assert.equal(many.out.has('x-b3-parentspanid'), false);
  assert.equal(many.out.get('uber-trace-id'), `0000000000000000${SHORT}:${span}:0:3`);
  assert.equal(many.record.sampledBy, SampledBy.Debug);
});

test('T2: a decision without ids is the one of the trace that begins', () => {
  const always = idsOf({ OTEL_TRACES_SAMPLER_ARG: '1' });
  const flagOf = (value: string, ids: TraceIds) => {
    const { record, out } = pass(line('b3', value), selfOf({}), 'outbound', ids);
    assert.equal(out.get('b3')!.slice(0, 32), traceIdOf(record));
    return (record.flags & RecordFlag.Sampled) === 0 ? '0' : out.get('b3')!.slice(-1);
  };
  assert.deepEqual(
    ['0', '1', 'd'].map((value) => flagOf(value, usual)),
    ['0', '1', 'd'],
  );
  assert.deepEqual(
    ['0', '1', 'd'].map((value) => flagOf(value, always)),
    ['0', '1', 'd'],
  );
});

test('T2: a decision that is left to us is the own ratio’s', () => {
  const value = line('b3', `${LONG}-${SHORT}`);
  const always = pass(value, selfOf({}), 'inbound', idsOf({ OTEL_TRACES_SAMPLER_ARG: '1' }));
  assert.equal(always.record.sampledBy, SampledBy.Ratio);
  assert.equal(pass(value).record.flags & RecordFlag.Sampled, 0);
});

test('T2: OTEL_PROPAGATORS names what is written always; none leaves everything as it came', () => {
  const { settings } = readTelemetrySettings({ OTEL_PROPAGATORS: 'tracecontext,b3multi,jaeger' });
  const written = pass('', selfOf({ propagators: settings.propagators }));
  assert.deepEqual(
    [...written.out.keys()],
    [
      'traceparent',
      'tracestate',
      'x-b3-traceid',
      'x-b3-spanid',
      'x-b3-sampled',
      'uber-trace-id',
      'x-request-id',
    ],
  );
  const none = selfOf({
    propagators: readTelemetrySettings({ OTEL_PROPAGATORS: 'none' }).settings.propagators,
  });
  const sent = parentLine() + line('b3', `${LONG}-${SHORT}-1`) + line('tracestate', 'foo=1');
  const passed = pass(sent, none);
  assert.equal(passed.out.get('traceparent'), PARENT);
  assert.equal(passed.out.get('b3'), `${LONG}-${SHORT}-1`);
  assert.equal(statesOf(passed), 'foo=1');
  assert.equal(passed.headers.context.present, false);
});

test('T2: an application that writes B3 alone is given B3 from then on', () => {
  const self = selfOf({});
  assert.equal(pass(parentLine(), self, 'inbound').out.has('b3'), false);
  assert.ok(pass(line('b3', `${LONG}-${SHORT}-1`), self, 'outbound').out.has('b3'));
  assert.equal(self.learnedFormats, Propagator.B3);
  assert.equal(pass(parentLine(), self, 'inbound').out.get('b3')!.slice(0, 32), TRACE);
  assert.equal(pass(parentLine(), self, 'outbound').out.has('b3'), false);
});

test('T2: what is odd is no format: nobody is given it, now or later', () => {
  const odd = ['x', 'zz-00-1', `${LONG}-${SHORT}-2`, ''].map((value) => line('b3', value));
  odd.push(line('b3', '1') + line('b3', '1'), line('x-b3-traceid', 'zz'));
  odd.push(line('x-b3-sampled', 'maybe'), line('uber-trace-id', '1:2'));
  for (const lines of odd) {
    for (const before of ['', parentLine(), line('uber-trace-id', `${LONG}:${SHORT}:0:1`)]) {
      const self = selfOf({});
      const { out } = pass(before + lines, self, 'outbound');
      const next = pass(parentLine(), self, 'inbound').out;
      for (const each of [out, next]) {
        const given = [...each.keys()].filter((name) => /^(x-)?b3/.test(name));
        assert.deepEqual(given, [], before + lines);
      }
      assert.equal(self.learnedFormats, 0);
    }
  }
  const both = pass(parentLine() + line('b3', `${LONG}-${SHORT}-1`)).out;
  assert.equal(both.get('b3')!.slice(0, 32), TRACE, 'it came with both');
});

test('T2: baggage of up to 64 members and 8192 bytes goes on whole, more not at all', () => {
  const members = (count: number) => Array.from({ length: count }, (_, at) => `k${at}=v`).join(',');
  const passes = (...values: string[]) =>
    pass(values.map((value) => line('baggage', value)).join('')).lines.filter((each) =>
      each.startsWith('baggage: '),
    ).length;
  assert.equal(passes(members(64)), 1);
  assert.equal(passes(members(65)), 0);
  assert.equal(passes(members(32), members(32)), 2);
  assert.equal(passes(members(32), members(33)), 0);
  assert.equal(passes(`k=${'v'.repeat(8_190)}`), 1);
  assert.equal(passes(`k=${'v'.repeat(8_191)}`), 0);
  assert.equal(passes(`k=${'v'.repeat(4_093)}`, `k=${'v'.repeat(4_094)}`), 2);
  assert.equal(passes(`k=${'v'.repeat(4_094)}`, `k=${'v'.repeat(4_094)}`), 0);
});

/** One format as OpenTelemetry's propagator reads it: ids and whether it is sampled. */
function oracleOf(propagator: B3Propagator, carrier: Record<string, string>): string {
  const found = trace.getSpanContext(
    propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter),
  );
  return found === undefined ? '' : `${found.traceId} ${found.spanId} ${found.traceFlags}`;
}

test('T2: what is read of B3 is what OpenTelemetry’s propagator reads, and it reads what is written', () => {
  const random = seededRandom(11);
  const reader = new B3Propagator();
  for (let round = 0; round < 5_000; round++) {
    const carrier = b3CarrierOf(random);
    const lines = Object.entries(carrier).map(([name, value]) => line(name, value));
    const { headers, record, out } = pass(lines.join(''));
    const { context } = headers;
    const parent = hexWord(context.parentId0) + hexWord(context.parentId1);
    assert.equal(`${traceOf(context)} ${parent} ${context.flags & 1}`, oracleOf(reader, carrier));
    const isSampled = (record.flags & RecordFlag.Sampled) === 0 ? 0 : 1;
    const span = hexWord(record.spanId0) + hexWord(record.spanId1);
    assert.equal(
      oracleOf(reader, Object.fromEntries(out)),
      `${traceIdOf(record)} ${span} ${isSampled}`,
    );
  }
});

function b3CarrierOf(random: Random): Record<string, string> {
  const ids = [hexOf(random, (random.u32() & 1) === 0 ? 16 : 32), hexOf(random, 16)] as const;
  const state = ['0', '1', 'd', ''][random.u32() & 3]!;
  const encoding =
    (random.u32() & 1) === 0 ? B3InjectEncoding.SINGLE_HEADER : B3InjectEncoding.MULTI_HEADER;
  if (encoding === B3InjectEncoding.SINGLE_HEADER) {
    return { b3: [...ids, ...(state === '' ? [] : [state])].join('-') };
  }
  const sampling = state === 'd' ? { 'x-b3-flags': '1' } : { 'x-b3-sampled': state };
  return {
    'x-b3-traceid': ids[0],
    'x-b3-spanid': ids[1],
    ...(state === '' ? {} : sampling),
  } as Record<string, string>;
}

/** Everything that a head says, as text. */
function meaningOf({ context, join, hops, callbackPort, states }: TraceHeaders): string {
  const { present, flags, decision, formats, thresholdHigh, thresholdLow } = context;
  const ids = present ? [traceOf(context), context.parentId0, context.parentId1, flags] : [];
  const threshold = thresholdHigh < 0 ? [] : [thresholdHigh, thresholdLow];
  return [...ids, decision, formats, ...threshold, join, hops, callbackPort, states].join(' ');
}

test('T2: 100,000 drawn sets of all headers: nothing is thrown, order means nothing, what is written is read', () => {
  const random = seededRandom(2026);
  const self = selfOf({ propagators: Propagator.W3c });
  const headers = new TraceHeaders(self, 'outbound');
  const again = new TraceHeaders(self, 'outbound');
  const record = new ExchangeRecord();
  const always = idsOf({ OTEL_TRACES_SAMPLER_ARG: '0.5' });
  let continued = 0;
  for (let round = 0; round < 100_000; round++) {
    const fields = randomFields(random);
    const lines = linesOf(fields);
    const head = headOf(lines);
    headers.read(head, someCaller);
    if ((round & 3) === 0) {
      again.read(headOf(linesOf(reordered(random, fields))), someCaller);
      assert.equal(meaningOf(again), meaningOf(headers), lines);
    }
    if (headers.context.present) continued++;
    record.reset();
    record.kind = RecordKind.Client;
    always.begin(record, headers.context);
    if ((round & 3) !== 1) continue;
    const { kept, put } = passedLines(headers, head, record);
    const written = `${[...kept, ...put].join('\r\n')}\r\n`;
    again.read(headOf(written), someCaller);
    assert.equal(traceOf(again.context), traceIdOf(record), lines);
    assert.equal(again.context.parentId0, record.spanId0);
    assert.equal(again.context.parentId1, record.spanId1);
    const isSampled = (record.flags & RecordFlag.Sampled) === 0 ? 0 : 1;
    assert.equal(again.context.flags & 1, isSampled, lines);
    assert.equal(again.context.thresholdHigh, headers.context.thresholdHigh, lines + written);
    assert.equal(again.callbackPort, self.callbackPort);
  }
  assert.ok(continued > 15_000, String(continued));
});
