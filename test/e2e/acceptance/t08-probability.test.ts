/**
 * T8: three hops with ratios of their own keep nested sets of traces, and what their spans say of the
 * probability adds up to the traces that there were. Through context headers, rings, workers and sinks.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../../src/base/clock.ts';
import { systemWakeUps } from '../../../src/base/deadlines.ts';
import { seededRandom } from '../../../src/base/random.ts';
import {
  ExchangeRecord,
  isExported,
  RecordKind,
} from '../../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../../src/telemetry/telemetry.ts';
import { passedLines, readTrace } from '../../support/trace-head.ts';
import { OtlpSink } from '../../telemetry/otlp-sink.ts';

const TRACES = 20_000;
const BURST = 2_000;

/** One process: what comes in goes on, with a span of its own. */
class Hop {
  readonly sink: OtlpSink;
  readonly telemetry: Telemetry;
  readonly ratio: number;
  sampled = 0;
  readonly #record = new ExchangeRecord();

  constructor(sink: OtlpSink, sampler: string, ratio: number) {
    this.sink = sink;
    this.ratio = ratio;
    const { settings } = readTelemetrySettings({
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: String(ratio),
      OTEL_BSP_SCHEDULE_DELAY: '100',
      OTEL_BSP_MAX_QUEUE_SIZE: String(TRACES),
    });
    this.telemetry = Telemetry.start({
      settings,
      clock: systemClock,
      wakeUps: systemWakeUps,
      random: seededRandom(8),
      log: (level, text) => assert.fail(`${level}: ${text}`),
      version: '0.0.0',
      accessLog: 'off',
    });
  }

  pass(lines: string): string {
    const { headers, head } = readTrace(lines);
    const record = this.#record;
    record.reset();
    record.kind = RecordKind.Client;
    this.telemetry.beginSpan(record, headers.context);
    const { kept, put } = passedLines(headers, head, record);
    record.startMs = systemClock.now();
    record.status = 200;
    record.method = 1;
    if (isExported(record.flags)) this.sampled++;
    this.telemetry.finish(record);
    return `${[...kept, ...put].join('\r\n')}\r\n`;
  }
}

async function startHop(t: TestContext, sampler: string, ratio: number): Promise<Hop> {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const hop = new Hop(sink, sampler, ratio);
  t.after(() => hop.telemetry.flushAndClose());
  return hop;
}

/** How many traces a span stands for. */
function adjustedCount(traceState: string | undefined): number {
  const digits = /^ot=th:([0-9a-f]{1,14})$/.exec(traceState ?? '')?.[1];
  assert.ok(digits !== undefined, `a span says ${traceState}`);
  return 2 ** 56 / (2 ** 56 - Number.parseInt(digits.padEnd(14, '0'), 16));
}

test('T8: hops at 50, 10 and 1 % keep nested sets, and adjusted counts add up to all traces', async (t) => {
  const hops = [
    await startHop(t, 'parentbased_traceidratio', 0.5),
    await startHop(t, 'traceidratio', 0.1),
    await startHop(t, 'traceidratio', 0.01),
  ];
  for (let index = 1; index <= TRACES; index++) {
    hops.reduce((lines, hop) => hop.pass(lines), '');
    if (index % BURST !== 0) continue;
    await Promise.all(
      hops.map(({ sink, sampled }) => sink.until(() => sink.spans.length === sampled)),
    );
  }
  const kept = hops.map(({ sink }) => new Set(sink.spans.map(({ traceId }) => traceId)));
  for (const [at, { sink, ratio }] of hops.entries()) {
    assert.equal(kept[at]!.size, sink.spans.length);
    const sum = sink.spans.reduce((total, span) => total + adjustedCount(span.traceState), 0);
    const sigma = Math.sqrt((TRACES * (1 - ratio)) / ratio);
    assert.ok(Math.abs(sum - TRACES) < 3 * sigma, `${sum} of ${TRACES} at ${ratio}`);
    if (at > 0) for (const id of kept[at]!) assert.ok(kept[at - 1]!.has(id), `${id} at ${ratio}`);
  }
  assert.deepEqual(
    kept.map(({ size }) => size > 0),
    [true, true, true],
  );
});
