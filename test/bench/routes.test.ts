/**
 * Many routes: the documents compile, and every request of the load has a rule of its own.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Summary } from '../../bench/result/summary.ts';
import {
  editedDocument,
  routeDocuments,
  routeTargets,
  serviceDocuments,
} from '../../bench/scenarios/route-documents.ts';
import { reportRoutes, routesP99Ratio } from '../../bench/scenarios/routes-report.ts';
import { compileTable, readResources } from '../../src/config/load.ts';
import type { RoutingTable } from '../../src/model/routing-table.ts';
import { ruleIndex } from '../support/rule-index.ts';
import { latencyRow, resultOf } from './scenario-case.ts';

const services = serviceDocuments
  .replace('{{PORT}}', '15001')
  .replace('{{BACKEND}}', '8081')
  .replace('{{SECOND}}', '8082');

function compile(text: string): RoutingTable {
  const { resources, diagnostics } = readResources([{ file: 'a.yaml', text }], 'bench');
  assert.deepEqual(diagnostics, []);
  const context = { namespace: 'bench', labels: {}, generation: 1, capture: 'none' } as const;
  const compiled = compileTable(resources, context);
  assert.deepEqual(compiled.diagnostics, []);
  return compiled.table;
}

for (const count of [
  { hosts: 1, rulesPerHost: 1 },
  { hosts: 7, rulesPerHost: 10 },
]) {
  const { hosts, rulesPerHost } = count;
  test(`${hosts} x ${rulesPerHost} routes: each target is taken by a rule of its own`, () => {
    const table = compile(services + routeDocuments(count));
    const index = ruleIndex(table.listeners[0]!);
    const taken = routeTargets(count).map(({ host, path }) => {
      const request = { method: 'GET', hostname: host, path, query: '', field: () => undefined };
      return index.match(request as never)?.identity;
    });
    assert.equal(taken.includes(undefined), false);
    assert.equal(new Set(taken).size, hosts * rulesPerHost);
    // However many routes there are, upstream there are the same two clusters.
    assert.equal(table.clusters.filter((each) => each.subset !== '').length, 2);
  });
}

test('an edited rule says which edit made it, and nothing else differs', () => {
  const rest = services + routeDocuments({ hosts: 2, rulesPerHost: 3 }, 1);
  const rulesAfter = (edit: number) =>
    compile(rest + editedDocument(3, edit)).listeners[0]!.virtualHosts.flatMap(
      (each) => each.rules,
    );
  const text = (edit: number) => JSON.stringify(rulesAfter(edit));
  assert.match(text(7), /"x-bench-edit"/);
  assert.equal(text(7).replaceAll('"7"', '"8"'), text(8));
});

test('p99 of many routes is held against one route of the same round', () => {
  const rows = [0, 1, 2].flatMap((round) => [
    latencyRow('routes-1', 'rate', round, 100 * (round + 1)),
    latencyRow('routes-10000', 'rate', round, 104 * (round + 1)),
  ]);
  const summary = new Summary(resultOf('routes', ['routes-1', 'routes-10000'], rows));
  const ratio = routesP99Ratio(summary);
  assert.ok(ratio.state === 'measured' && Math.abs(ratio.spread.median - 1.04) < 0.02);
  const { tables, plots } = reportRoutes(summary);
  assert.equal(tables[0]!.rows.length, 2);
  assert.deepEqual(
    plots[0]!.series[0]!.points.map(({ x }) => x),
    [1, 10_000],
  );
});
