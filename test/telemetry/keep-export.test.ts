/**
 * Traces that are kept after the fact, from records on the hot thread through the real worker thread to a
 * collector: which spans arrive, with what reason, and that every count is exact.
 */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { noTracingRules } from '../../src/model/routing-table.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { TraceContext } from '../../src/telemetry/context/trace-context.ts';
import type { RequestSeries } from '../../src/telemetry/metrics/metrics.ts';
import { type ExchangeRecord, RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { OtlpSink, type SinkSpan } from './otlp-sink.ts';
import { inbound, outbound } from './records.ts';

interface Started {
  readonly sink: OtlpSink;
  readonly telemetry: Telemetry;
  readonly series: RequestSeries;
  /** Begins, judges and finishes a record of the trace with that number. */
  finish(trace: number, record: ExchangeRecord): void;
  /** Spans as `TRACE REASON`, in order, once everything has been sent. */
  ended(): Promise<string[]>;
}

async function start(t: TestContext, env: Record<string, string> = {}): Promise<Started> {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const { settings } = readTelemetrySettings({
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    ...env,
  });
  const telemetry = Telemetry.start({
    settings,
    clock: systemClock,
    wakeUps: systemWakeUps,
    random: seededRandom(5),
    log: (level, text) => assert.notEqual(level, 'error', text),
    version: '1.2.3',
    accessLog: 'off',
    // A worker may take seconds to start on a busy machine.
    limits: { ...telemetryLimits, flushMs: 30_000 },
  });
  const labels = { direction: 'inbound', listener: '', route: 'r', rule: '', cluster: '' } as const;
  const series = telemetry.metrics.requestSeries({ ...labels, subset: '' });
  const context = new TraceContext();
  return {
    sink,
    telemetry,
    series,
    finish: (trace, record) => {
      const now = systemClock.now();
      const id = { traceId0: 0, traceId1: 0, traceId2: 0, traceId3: trace };
      Object.assign(context, id, { present: true, parentId0: 7, parentId1: 7, flags: 0 });
      record.startMs = now;
      telemetry.beginSpan(record, context);
      telemetry.decide(record, series, now, true);
      telemetry.finish(record);
    },
    ended: async () => {
      await telemetry.flushAndClose();
      return sink.spans.map(say).toSorted();
    },
  };
}

function say({ traceId, attributes }: SinkSpan): string {
  const reason = attributes.find(({ key }) => key === 'tracecar.sampled_by');
  return `${Number.parseInt(traceId, 16)} ${reason?.value.stringValue}`;
}

test('the records of a kept trace arrive whole, whatever was first, and no others', async (t) => {
  const { finish, ended, telemetry } = await start(t);
  for (let trace = 1; trace <= 50; trace++) finish(trace, outbound());
  finish(7, outbound({ status: 500 }));
  finish(7, inbound());
  finish(9, inbound({ status: 503 }));
  assert.deepEqual(await ended(), ['7 error', '7 retro', '7 retro', '9 error', '9 retro']);
  const { started, sent, dropped, queued, unsampled, recalled } = telemetry.counts();
  assert.deepEqual(
    { started, sent, dropped, queued, unsampled, recalled },
    {
      started: 5,
      sent: 5,
      dropped: 0,
      queued: 0,
      unsampled: 48,
      recalled: 2,
    },
  );
  assert.deepEqual(telemetry.keepReport()!.kept, { error: 2 });
});

test('a peer that asks for a trace gets all that is recorded of it, before and after', async (t) => {
  const { finish, ended, telemetry } = await start(t);
  finish(3, inbound());
  finish(4, inbound());
  telemetry.keep(Int32Array.of(0, 0, 0, 3, 0, 0, 0, 99), 2, '10.0.0.9', systemClock.now());
  finish(3, outbound());
  assert.deepEqual(await ended(), ['3 retro', '3 retro']);
  const { received, known } = telemetry.keepReport()!;
  assert.deepEqual({ received, known }, { received: 2, known: 0 });
});

test('what is recalled after twenty edits is named as it was at its time', async (t) => {
  const { finish, ended, telemetry, sink } = await start(t);
  const edits = 20;
  const route = telemetry.names.idOf('reviews');
  const cluster = telemetry.names.idOf('c');
  for (let generation = 1; generation <= edits; generation++) {
    const origin = `mesh.yaml:${generation}:7`;
    const tag = { kind: 'literal', name: 'shop.edit', value: `e${generation}` } as const;
    telemetry.describe({
      ...tableOf(
        [listenerOf([ruleOf({ route: 'reviews', index: 0, origin })])],
        [clusterOf([generation], { name: 'c', service: `s${generation}` })],
        generation,
      ),
      tracing: { ...noTracingRules, outbound: { ...noTracingRules.outbound, tags: [tag] } },
    });
    finish(3, outbound({ generation, routeId: route, clusterId: cluster }));
  }
  telemetry.keep(Int32Array.of(0, 0, 0, 3), 1, '10.0.0.9', systemClock.now());
  await ended();
  const keys = ['tracecar.generation', 'tracecar.rule.origin', 'service.peer.name', 'shop.edit'];
  const said = sink.spans.map(({ attributes }) =>
    keys.map((wanted) => {
      const { value } = attributes.find(({ key }) => key === wanted) ?? {};
      return String(value?.intValue ?? value?.stringValue);
    }),
  );
  const expected = Array.from({ length: edits }, (_, index) => {
    const generation = index + 1;
    return [`${generation}`, `mesh.yaml:${generation}:7`, `s${generation}`, `e${generation}`];
  });
  assert.deepEqual(
    said.toSorted(([one], [other]) => Number(one) - Number(other)),
    expected,
  );
});

test('what a collector refuses of recalled spans is counted as dropped, exactly', async (t) => {
  const { finish, ended, telemetry, sink } = await start(t);
  sink.answer = (response) => {
    response.writeHead(400).end();
    return false;
  };
  for (let trace = 1; trace <= 30; trace++) finish(trace, outbound());
  for (let trace = 1; trace <= 20; trace++) finish(trace, inbound({ status: 500 }));
  assert.deepEqual(await ended(), []);
  const { started, sent, dropped, queued } = telemetry.counts();
  assert.deepEqual([started, sent, dropped, queued], [40, 0, 40, 0]);
});

test('a sidecar that is not reached costs nothing but a count', async (t) => {
  const { finish, ended, telemetry } = await start(t);
  const gone = createServer();
  await new Promise<void>((settle) => gone.listen(0, '127.0.0.1', settle));
  const { port } = gone.address() as AddressInfo;
  await new Promise((settle) => gone.close(settle));
  const flags = RecordFlag.PeerMeshed;
  finish(1, outbound({ flags, peerAddress: '127.0.0.1', peerPort: port }));
  finish(1, inbound({ status: 500 }));
  assert.deepEqual(await ended(), ['1 error', '1 retro']);
  assert.equal(telemetry.counts().keepFailed, 1);
});

test('with exporting off nothing is judged, marked or remembered', async (t) => {
  const { finish, ended, telemetry } = await start(t, { OTEL_TRACES_EXPORTER: 'none' });
  finish(1, inbound({ status: 500 }));
  assert.equal(telemetry.keep(Int32Array.of(0, 0, 0, 1), 1, '10.0.0.9', 5), 1);
  assert.equal(telemetry.keepReport(), undefined);
  assert.deepEqual(await ended(), []);
});
