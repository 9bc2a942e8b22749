/**
 * Plans from one table to the next: what is the same object stays, what must go on goes on, and what
 * an earlier table's listener still serves is not touched.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import type { Cluster, RoutingTable, VirtualHost } from '../../src/model/routing-table.ts';
import { PlanKeeper } from '../../src/proxy/plan-keeper.ts';
import { ProxyScope } from '../../src/proxy/scope/proxy-scope.ts';
import { nextWeighted } from '../../src/routing/weighted-choice.ts';
import { MetricRegistry } from '../../src/telemetry/metrics/metrics.ts';
import { MemoryTelemetry } from '../support/memory-telemetry.ts';
import { backendOf, clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

class SmallTelemetry extends MemoryTelemetry {
  override readonly metrics = new MetricRegistry(12);
}

function makeKeeper(t: TestContext, telemetry = new MemoryTelemetry()) {
  const keeper = new PlanKeeper(
    new ProxyScope({
      clock: systemClock,
      random: seededRandom(3),
      wakeUps: systemWakeUps,
      limits: trafficLimits,
      telemetry,
      log: () => {},
    }),
  );
  t.after(() => keeper.closeTls());
  return { keeper, metrics: telemetry.metrics };
}

/** A host whose one rule chooses between clusters v1 and v2. */
function hostOf(name: string, weight = 1): VirtualHost {
  const backends = [backendOf({ cluster: 'v1', weight }), backendOf({ cluster: 'v2', weight: 1 })];
  const rule = ruleOf({ identity: `default/${name}/http[0]`, route: `default/${name}`, backends });
  return { name, domains: [name], rules: [rule] };
}

const [v1, v2] = [clusterOf([1001], { name: 'v1' }), clusterOf([1002], { name: 'v2' })];

function tableWith(hosts: readonly VirtualHost[], clusters: readonly Cluster[] = [v1, v2]) {
  const listener = listenerOf([], { name: 'out', virtualHosts: hosts, defaultHost: -1 });
  return tableOf([listener], clusters);
}

const planOf = (keeper: PlanKeeper, table: RoutingTable) => {
  const plan = keeper.build(table).listeners.get('out')!;
  const find = (hostname: string) =>
    plan.index.match({ method: 'GET', hostname, path: '/', query: undefined, field: () => '' });
  return { plan, find };
};

test('a host that is the same object keeps its plan, an edited one has a new one', (t) => {
  const { keeper } = makeKeeper(t);
  const [a, b] = [hostOf('a'), hostOf('b')];
  const before = planOf(keeper, tableWith([a, b]));
  const edited = hostOf('b', 5);
  const after = planOf(keeper, tableWith([a, edited]));
  assert.equal(after.find('a'), before.find('a'));
  assert.notEqual(after.find('b'), before.find('b'));
  assert.equal(after.find('b')?.rule, edited.rules[0]);
  assert.equal(before.find('b')?.rule, b.rules[0]);
});

test('hosts are found after others came before them, went, or took over their names', (t) => {
  const { keeper } = makeKeeper(t);
  const [a, b, c] = [hostOf('a'), hostOf('b'), hostOf('c')];
  planOf(keeper, tableWith([a, b]));
  const moved = planOf(keeper, tableWith([c, b, a]));
  for (const host of [a, b, c]) assert.equal(moved.find(host.name)?.rule, host.rules[0]);
  const renamed = planOf(keeper, tableWith([c, { ...b, domains: ['x'] }]));
  assert.equal(renamed.find('b'), undefined);
  assert.equal(renamed.find('a'), undefined);
  assert.equal(renamed.find('x')?.rule, b.rules[0]);
});

test('the window of a choice goes on while a table has its weights, and begins anew after that', (t) => {
  const { keeper } = makeKeeper(t);
  const weightsOf = (table: RoutingTable) => planOf(keeper, table).find('a')!.weights;
  const first = weightsOf(tableWith([hostOf('a', 3)]));
  nextWeighted(first);
  assert.equal(weightsOf(structuredClone(tableWith([hostOf('a', 3)]))), first);
  const another = { ...hostOf('a', 3), name: 'other', domains: ['other'] };
  keeper.build(tableWith([hostOf('a', 3), another]));
  // One of two rules with the same key is gone.
  assert.equal(weightsOf(tableWith([hostOf('a', 3)])), first);
  weightsOf(tableWith([hostOf('a', 4)]));
  assert.notEqual(weightsOf(tableWith([hostOf('a', 3)])), first);
});

test('a cluster with other endpoints is what every rule leads to then, loads and all', (t) => {
  const { keeper } = makeKeeper(t);
  const hosts = [hostOf('a'), hostOf('b')];
  const before = planOf(keeper, tableWith(hosts)).find('a')!;
  const moved = clusterOf([1001, 1003], { name: 'v1' });
  const after = planOf(keeper, tableWith(hosts, [moved, v2])).find('a')!;
  assert.equal(after.backends[0]?.cluster.cluster, moved);
  assert.equal(after.backends[0]?.cluster.state, before.backends[0]?.cluster.state);
  assert.equal(after.backends[0]?.cluster.pools[0], before.backends[0]?.cluster.pools[0]);
  assert.equal(after.backends[1], before.backends[1]);
  assert.equal(after.weights, before.weights);
  assert.equal(after.series, before.series);
  assert.equal(before.backends[0]?.cluster.cluster, v1);
});

test('an endpoint that no cluster names any more is retired, and no other', (t) => {
  const { keeper } = makeKeeper(t);
  const hosts = [hostOf('a')];
  const backends = planOf(keeper, tableWith(hosts)).find('a')!.backends;
  const pools = backends.map((backend) => backend!.cluster.pools[0]!);
  keeper.build(tableWith(hosts, [clusterOf([1003], { name: 'v1' }), v2]));
  assert.deepEqual(
    pools.map(({ isRetired }) => isRetired),
    [true, false],
  );
});

test('a cluster that appears is found by the rules that have named it all along', (t) => {
  const { keeper } = makeKeeper(t);
  const hosts = [hostOf('a')];
  assert.equal(planOf(keeper, tableWith(hosts, [v2])).find('a')?.backends[0], undefined);
  const found = planOf(keeper, tableWith(hosts)).find('a')?.backends[0];
  assert.equal(found?.cluster.cluster, v1);
  assert.equal(planOf(keeper, tableWith(hosts, [v2])).find('a')?.backends[0], undefined);
});

test('series of hosts that stay are there after any number of edits beside them', (t) => {
  const { keeper, metrics } = makeKeeper(t, new SmallTelemetry());
  const stays = hostOf('stays');
  const first = planOf(keeper, tableWith([hostOf('edited-0'), stays])).find('stays')!;
  keeper.forgetOld([]);
  for (let edit = 1; edit <= 20; edit++) {
    const { find } = planOf(keeper, tableWith([hostOf(`edited-${edit}`), stays]));
    keeper.forgetOld([]);
    assert.equal(find('stays'), first);
    for (const series of [first.series, first.backends[0]!.series]) {
      assert.ok(metrics.allSeries().includes(series));
    }
    assert.ok(metrics.allSeries().includes(find(`edited-${edit}`)!.series));
  }
  assert.ok(metrics.allSeries().every(({ labels }) => labels.rule !== 'other'));
});
