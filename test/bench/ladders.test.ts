/**
 * Istio's ladder, the ladder of rates and the bodies: their cells by scale, and what reports say of
 * small made-up results.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Table } from '../../bench/draw/section.ts';
import type { LoadOrder } from '../../bench/load/load-order.ts';
import type { Row } from '../../bench/result/row.ts';
import { Summary } from '../../bench/result/summary.ts';
import type { Bench } from '../../bench/rounds/bench-run.ts';
import { bodies } from '../../bench/scenarios/bodies.ts';
import { answerPoint, PostPoint, reportBodies } from '../../bench/scenarios/bodies-report.ts';
import { connections } from '../../bench/scenarios/connections.ts';
import { connectionsPoint, reportConnections } from '../../bench/scenarios/connections-report.ts';
import { istioCpuMs, istioPlain, istioStats } from '../../bench/scenarios/istio-figures.ts';
import { rates } from '../../bench/scenarios/rates.ts';
import { ratePoint, reportRates } from '../../bench/scenarios/rates-report.ts';
import type { Scale, Scenario } from '../../bench/scenarios/scenario.ts';
import { latencyRow, resultOf } from './scenario-case.ts';

function pointsOf(scenario: Scenario, scale: Scale): readonly string[] {
  return [...new Set(scenario.cells(scale).map((cell) => cell.point))];
}

/** The cells of the row with that label. */
function rowOf({ rows, caption }: Table, label: string): readonly string[] {
  const found = rows.find(([first]) => first === label);
  assert.ok(found !== undefined, `${caption} has no row "${label}"`);
  return found.slice(1);
}

test('a full round of the ladders stays within its cells', () => {
  const most = new Map([
    [connections, 21],
    [rates, 12],
    [bodies, 20],
  ]);
  for (const [scenario, cells] of most) {
    assert.ok(scenario.cells('full').length <= cells, scenario.name);
  }
});

test('a published run has every step, and a full one fewer of the same', () => {
  assert.deepEqual(pointsOf(connections, 'publish'), [2, 4, 8, 16, 32, 64].map(connectionsPoint));
  assert.deepEqual(pointsOf(rates, 'publish'), [10, 100, 500, 1000, 2000, 3000].map(ratePoint));
  assert.deepEqual(pointsOf(bodies, 'publish'), [
    ...[0, 1024, 16_384, 1_048_576].map(answerPoint),
    PostPoint.Length,
    PostPoint.Chunked,
  ]);
  for (const scenario of [connections, rates, bodies]) {
    const all = new Set(pointsOf(scenario, 'publish'));
    for (const scale of ['quick', 'full'] as const) {
      for (const point of pointsOf(scenario, scale)) assert.ok(all.has(point), point);
    }
  }
});

/** The loads that a scenario asks for at one point of round 2, with loads of two seconds. */
async function ordersAt(scenario: Scenario, point: string): Promise<readonly LoadOrder[]> {
  const orders: LoadOrder[] = [];
  const bench = {
    running: async () => ({ port: 1001 }),
    load: async (...given: Parameters<Bench['load']>) => orders.push(given[3]),
  } as unknown as Bench;
  await scenario.measure(bench, { arm: 'envoy', point }, { round: 2, place: 0, seconds: 2 });
  return orders;
}

test('a step of a ladder is what its point says, with the arrivals of its round', async () => {
  const common = { kind: 'open', port: 1001, path: '/reviews/1024', seconds: 2, seed: 3 } as const;
  assert.deepEqual(await ordersAt(connections, connectionsPoint(64)), [
    { ...common, connections: 64, ratePerSecond: 1000, arrivals: 'poisson', warmSeconds: 0.5 },
  ]);
  assert.deepEqual(await ordersAt(rates, ratePoint(3000)), [
    { ...common, connections: 16, ratePerSecond: 3000, arrivals: 'even', warmSeconds: 0.5 },
  ]);
  await assert.rejects(ordersAt(rates, ratePoint(7)), /the ladder has no step/);
});

test('each step of the connections is measured without a proxy too', () => {
  for (const scale of ['quick', 'full', 'publish'] as const) {
    const direct = connections.cells(scale).filter((cell) => cell.arm === 'direct');
    assert.deepEqual(
      direct.map((cell) => cell.point),
      pointsOf(connections, scale),
    );
  }
});

function connectionsSummary(more: Readonly<Record<string, number>> = {}): Summary {
  const us = {
    ...more,
    direct: 100,
    tracecar: 150,
    'tracecar-aa': 151,
    'tracecar-off': 140,
    envoy: 200,
  };
  const rows = [0, 1, 2].flatMap((round) =>
    [64, 2].flatMap((count) =>
      Object.entries(us).map(([arm, each]) =>
        latencyRow(arm, connectionsPoint(count), round, each * (round + 1), { cpuUs: 30_000 }),
      ),
    ),
  );
  return new Summary(resultOf('connections', Object.keys(us), rows));
}

test("added latency stands beside Istio's figures for the same connections", () => {
  const { tables, plots } = reportConnections(connectionsSummary());
  const [p50, , p99, telemetry, cpu] = tables as [Table, Table, Table, Table, Table];
  assert.deepEqual(p50.columns, ['arm', '2 connections', '64 connections']);
  // Rounds add 50, 100 and 150 us.
  assert.match(rowOf(p50, 'tracecar')[0]!, /^(99|100|101) \[/);
  assert.equal(rowOf(p50, 'Tracecar x Envoy')[1], 'noise unknown', 'there is one direct arm');
  const [twice] = reportConnections(connectionsSummary({ 'direct-again': 101 })).tables;
  assert.match(rowOf(twice!, 'Tracecar x Envoy')[1]!, /^0\.(49|50|51)$/);
  // Rounds of 50, 100 and 150 us; two copies that differ by 1, 2 and 3.
  assert.match(rowOf(p50, 'Tracecar less Envoy, us')[1]!, /^-(99|100|101) \[-15\d\.\.-(49|50)\]$/);
  assert.match(rowOf(p50, 'band of two identical copies, us')[1]!, /^\+-[2-5]$/);
  assert.deepEqual(rowOf(p50, 'Tracecar beside Envoy'), ['lower', 'lower']);
  const plain = 'published: Istio, two sidecars and mTLS, telemetry off';
  assert.deepEqual(rowOf(p50, plain), ['765', '946']);
  assert.deepEqual(rowOf(p99, plain), ['966', '2263']);
  assert.deepEqual(rowOf(cpu, plain), ['196 / 221', '184 / 193']);
  assert.match(rowOf(telemetry, 'p50: tracecar, over tracecar-off')[0]!, /^(19|20|21) \[/);
  const added = "p99: published: Istio's two sidecars, default metrics over none";
  assert.deepEqual(rowOf(telemetry, added), ['189', '1950']);
  assert.deepEqual(
    plots.map(({ name, series }) => [name, series.map(({ label }) => label)]),
    ['p50', 'p99'].map((each) => [`connections-${each}`, ['tracecar', 'tracecar-off', 'envoy']]),
  );
  assert.deepEqual(
    plots[0]!.series[0]!.points.map(({ x }) => x),
    [2, 64],
  );
});

test('an arm that was not measured at a step has a dash there', () => {
  const whole = connectionsSummary().result;
  const rows = whole.rows.filter(
    ({ arm, point }) => arm !== 'envoy' || point === connectionsPoint(2),
  );
  const names = whole.arms.map(({ name }) => name);
  const { tables } = reportConnections(new Summary(resultOf('connections', names, rows)));
  assert.equal(rowOf(tables[0]!, 'envoy')[1], '-');
  assert.equal(rowOf(tables[0]!, 'Tracecar beside Envoy')[1], '-');
});

test("Istio's CPU for 1000 requests follows from its share of a core", () => {
  assert.deepEqual([10, 500, 3000].map(istioCpuMs), [700, 244, 155]);
  assert.equal(istioCpuMs(400), undefined);
  assert.equal(istioPlain.length, istioStats.length);
});

test('CPU of 1000 requests and memory stand by rate', () => {
  const rows = [0, 1, 2].flatMap((round) =>
    [100, 3000].flatMap((rate) =>
      Object.entries({ tracecar: 1, envoy: 2 }).map(([arm, factor]) =>
        latencyRow(arm, ratePoint(rate), round, 100, {
          cpuUs: (factor * 4_000_000) / rate,
          rssKb: 64 * 1024,
          privateKb: 32 * 1024,
          pssKb: 40 * 1024,
        }),
      ),
    ),
  );
  const { tables, plots } = reportRates(
    new Summary(resultOf('rates', ['tracecar', 'envoy'], rows)),
  );
  const [cpu, ratio, rss] = tables as [Table, Table, Table];
  // 40 000 us for the 1000 requests of a row are 40 ms.
  assert.equal(rowOf(cpu, 'tracecar')[0], '40.0 [40.0..40.0]');
  assert.deepEqual(rowOf(cpu, 'published: one sidecar of Istio with mTLS, telemetry off'), [
    '310',
    '155',
  ]);
  assert.equal(rowOf(ratio, 'Tracecar x envoy')[1], '0.50 [0.50..0.50]');
  assert.equal(rowOf(rss, 'tracecar')[0], '67.1 [67.1..67.1]');
  assert.deepEqual(
    plots[0]!.series.map(({ label }) => label),
    ['tracecar', 'envoy'],
  );
});

function bodyRow(arm: string, point: string, round: number, perSecond: number, cpuUs: number): Row {
  const values = { requests: 1000, errors: 0, elapsedSeconds: 1, requestsPerSecond: perSecond };
  return { round, place: 0, arm, point, faults: [], values: { ...values, cpuUs } };
}

test('bodies are GB/s, ratios to the rivals of the same body, and a mark where the load was full', () => {
  const large = answerPoint(1_048_576);
  const rows = [0, 1, 2].flatMap((round) => [
    bodyRow('tracecar', large, round, 1000, 950_000),
    bodyRow('envoy', large, round, 500, 980_000),
    bodyRow('nginx', large, round, 2000, 400_000),
    bodyRow('tracecar', answerPoint(0), round, 9000, 950_000),
    bodyRow('tracecar', PostPoint.Chunked, round, 800, 950_000),
  ]);
  const names = ['tracecar', 'envoy', 'nginx'];
  const { tables, plots } = reportBodies(new Summary(resultOf('bodies', names, rows)));
  assert.deepEqual(
    tables.map(({ caption }) => caption),
    ['GET answered with no body', 'GET answered with 1 MiB', 'POST of 16 KiB in chunks'],
  );
  const [empty, whole] = tables as [Table, Table, Table];
  assert.deepEqual(whole.columns.slice(0, 5), ['arm', 'requests/s', 'x envoy', 'x nginx', 'GB/s']);
  assert.deepEqual(rowOf(whole, 'tracecar').slice(0, 4), [
    '1000 [1000..1000]',
    '2.00',
    '0.50',
    '1.049 [1.049..1.049]',
  ]);
  assert.match(rowOf(whole, 'nginx')[0]!, /\*$/);
  assert.equal(rowOf(empty, 'tracecar')[1], '-');
  // What has no size has no place on an axis of sizes.
  assert.deepEqual(
    plots.map(({ series }) => series.map(({ points }) => points.length)),
    [
      [1, 1, 1],
      [1, 1, 1],
    ],
  );
});
