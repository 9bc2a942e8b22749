/**
 * B4 and B5: which cells they have, and what is said about a result that is easy to check.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directNames } from '../../bench/arms/arm.ts';
import { Histogram } from '../../bench/load/histogram.ts';
import type { Result, Row } from '../../bench/result/row.ts';
import { Summary } from '../../bench/result/summary.ts';
import { parsePerf } from '../../bench/rounds/perf-calls.ts';
import { callsPerRequest, parseTrace } from '../../bench/rounds/system-calls.ts';
import { priceSteps } from '../../bench/scenarios/price-steps.ts';
import { prices } from '../../bench/scenarios/prices.ts';
import type { Cell, Scenario } from '../../bench/scenarios/scenario.ts';
import { findSpanFaults, tracing } from '../../bench/scenarios/tracing.ts';
import { parseSpanCounts } from '../../bench/stage/span-counts.ts';
import { makeResult } from './result-case.ts';

const rounds = 3;
const requests = 1000;

/** A result of the scenario's own cells, each row filled by `fill`. */
function resultOf(
  scenario: Scenario,
  cells: readonly Cell[],
  fill: (cell: Cell) => Pick<Row, 'values' | 'histograms'>,
): Result {
  const rows: Row[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const cell of cells.filter((each) => round < (each.rounds ?? rounds))) {
      const { arm, point } = cell;
      rows.push({ round, place: 0, arm, point, faults: [], ...fill(cell) });
    }
  }
  const arms = [...directNames, ...scenario.arms.map((arm) => arm.name)].map((name) => ({
    name,
    label: name,
    setting: 'made up',
    version: '1',
  }));
  return makeResult({ scenario: scenario.name, title: scenario.title, rounds, arms, cells, rows });
}

function measuredEvery(cells: readonly Cell[]): readonly Cell[] {
  return cells.filter((cell) => cell.rounds === undefined);
}

test('a full round of the price list and of tracing has ten cells', () => {
  for (const scenario of [prices, tracing]) {
    const cells = scenario.cells('full');
    assert.equal(measuredEvery(cells).length, 10, scenario.name);
    const known = new Set<string>([...directNames, ...scenario.arms.map((arm) => arm.name)]);
    for (const { arm } of cells) assert.ok(known.has(arm), arm);
  }
});

test('the price of a step is what it has more than the one before', () => {
  const order = priceSteps.map((step) => step.arm.name);
  const result = resultOf(prices, prices.cells('full'), ({ arm, point }) => {
    const step = order.indexOf(arm);
    if (point === 'work') {
      const counts = { allocatedBytesPerRequest: 100 * step, systemCallsPerRequest: 6 };
      return { values: { ...counts, ...(arm === 'tracecar' ? { perfCallsPerRequest: 6.9 } : {}) } };
    }
    // Steps cost 10, 12, 14 us and so on; the same again costs as much as the default.
    const us = 10 + 2 * (step >= 0 ? step : order.indexOf('tracecar'));
    return { values: { requests, cpuUs: us * requests, hotCpuUs: (us - 1) * requests } };
  });
  const { tables, plots } = prices.report(new Summary(result));
  const { rows, notes } = tables[0]!;
  assert.equal(rows.length, 1 + order.length);
  assert.ok(notes.some((note) => note.includes('counts 6.90 system calls a request')));
  const [relay, parse] = [rows[1]!, rows[2]!];
  assert.equal(relay[3], '-', 'the first step has none before it');
  assert.deepEqual(parse.slice(2, 7), [
    '12.0 [12.0..12.0]',
    '+2.0 [2.0..2.0]',
    'higher',
    '11.0 [11.0..11.0]',
    '+2.0 [2.0..2.0]',
  ]);
  assert.deepEqual(parse.slice(7), ['100', '+100', '6.00', '0.00']);
  assert.ok(rows.every((row) => row.length === tables[0]!.columns.length));
  const added = plots.find((plot) => plot.name === 'prices')!;
  assert.equal(added.kind, 'bars');
  assert.deepEqual(
    added.series[0]!.points.map((point) => point.y),
    order.slice(1).map(() => 2),
  );
});

test('a dead collector is held against the same arm with the collector up', () => {
  const result = resultOf(tracing, tracing.cells('full'), ({ arm, point }) => {
    const latency = new Histogram();
    const us = point === 'collector=slow' ? 400 : 200;
    for (let index = 0; index < 100; index++) latency.record(us * 1000);
    const isDirect = arm.startsWith('direct');
    const spans = { spansMade: 50, spansSent: 40, spansDropped: 4, spansQueued: 6 };
    return {
      values: { requests, ...(isDirect ? {} : { cpuUs: 30_000, hotCpuUs: 20_000, ...spans }) },
      histograms: { latency: latency.toSparse() },
    };
  });
  const [shares, collectors] = tracing.report(new Summary(result)).tables;
  assert.equal(shares!.rows.length, 5);
  for (const table of [shares!, collectors!]) {
    assert.ok(
      table.rows.every((row) => row.length === table.columns.length),
      table.caption,
    );
  }
  const verdicts = collectors!.rows.map((row) => [row[0]!.split(':')[0], row[3]]);
  assert.deepEqual(verdicts, [
    ['up', '-'],
    ['slow', 'higher'],
    ['dead', 'no difference'],
    ['busy', 'no difference'],
  ]);
  assert.deepEqual(collectors!.rows[2]!.slice(8, 12), ['50', '40', '4', '6']);
});

test('a load with a bad collector that dropped no span is at fault: its queue was not full', () => {
  for (const mode of ['slow', 'dead', 'busy'] as const) {
    assert.deepEqual(findSpanFaults(mode, { spansDropped: 0 }), [
      'no span dropped: the queue was not full',
    ]);
    assert.deepEqual(findSpanFaults(mode, { spansDropped: 1 }), []);
  }
  assert.deepEqual(findSpanFaults('up', { spansDropped: 0 }), []);
});

test('a report of arms that are missing has their rows, and no figure', () => {
  for (const scenario of [prices, tracing]) {
    const { tables } = scenario.report(new Summary(resultOf(scenario, [], () => ({ values: {} }))));
    for (const table of tables) {
      for (const row of table.rows) assert.ok(row.includes('-'), row.join(' | '));
    }
  }
});

test('of a trace every call counts but waits that bring nothing, and what strace says itself', () => {
  const calls = parseTrace(`epoll_pwait(13, [{events=EPOLLIN, data=0x15}], 1024, 0, NULL, 8) = 1
epoll_pwait(13, [], 1024, 0, NULL, 8)   = 0
read(21, "GET / HTTP/1.1\\r\\n", 65536) = 16
read(21, 0x7f, 65536)                   = -1 EAGAIN (Resource temporarily unavailable)
--- SIGPROF {si_signo=SIGPROF} ---
epoll_pwait(13,  <detached ...>
`);
  assert.deepEqual(
    [...calls],
    [
      ['epoll_pwait', 1],
      ['read', 2],
    ],
  );
});

test('of perf the one number counts, and not counted is none', () => {
  assert.equal(parsePerf('27682,,raw_syscalls:sys_enter,812345,100.00,,\n'), 27_682);
  assert.equal(parsePerf('<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n'), undefined);
  assert.equal(parsePerf("event syntax error: 'raw_syscalls:sys_enter'"), undefined);
});

test('calls that are made without requests too, and those of opening a connection, are not theirs', () => {
  const busy = new Map([
    ['read', 2000],
    ['write', 2000],
    ['epoll_pwait', 2003],
    ['statx', 27],
    ['accept4', 1],
  ]);
  // One request, the same connection opened, the same poll of the configuration.
  const idle = new Map([
    ['read', 2],
    ['write', 2],
    ['epoll_pwait', 5],
    ['statx', 27],
    ['accept4', 1],
  ]);
  assert.equal(callsPerRequest({ requests: 1000, busy, idle }), 6);
});

test('spans are read from the metrics page; every reason of loss counts', () => {
  const page = `# TYPE otel_sdk_span_started_total counter
otel_sdk_span_started_total{otel_span_sampling_result="RECORD_AND_SAMPLE"} 100
otel_sdk_span_started_total{otel_span_sampling_result="DROP"} 900
otel_sdk_exporter_span_exported_total{error_type=""} 60
otel_sdk_exporter_span_exported_total{error_type="queue_full"} 20
otel_sdk_exporter_span_exported_total{error_type="_OTHER"} 5
otel_sdk_processor_span_queue_size 15
`;
  assert.deepEqual(parseSpanCounts(page), { made: 100, sent: 60, dropped: 25, queued: 15 });
  assert.throws(() => parseSpanCounts('up 1\n'), /has no otel_sdk_span_started_total/);
});
