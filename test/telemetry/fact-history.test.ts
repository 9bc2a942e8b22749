/**
 * What records of earlier tables are named by: each finds what its own table said, as long as there is
 * room.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { type CustomTag, noTracingRules } from '../../src/model/routing-table.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { ClusterBook, clustersMessage } from '../../src/telemetry/span/cluster-facts.ts';
import { FactHistory } from '../../src/telemetry/span/fact-history.ts';
import { RecordSpan } from '../../src/telemetry/span/record-span.ts';
import { RuleBook, rulesMessage } from '../../src/telemetry/span/rule-book.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';
import { outbound } from './records.ts';
import { surroundings } from './surroundings.ts';

const kind = {
  isSame: (one: string, other: string) => one === other,
  bytesOf: (value: string) => value.length,
};

const edits = 20;

/** The cluster `c` with so many endpoints. */
const reviewsOf = (candidates: number) =>
  clusterOf(
    Array.from({ length: candidates }, () => 80),
    { name: 'c', service: 'reviews.shop.svc.cluster.local' },
  );

test('a span that is recalled after twenty edits says what the table of its request said', () => {
  const rules = new RuleBook();
  const clusters = new ClusterBook();
  for (let generation = 1; generation <= edits; generation++) {
    const tags: readonly CustomTag[] = [
      { kind: 'literal', name: 'shop.edit', value: `e${generation}` },
      { kind: 'header', name: 'shop.tenant', header: 'x-tenant', otherwise: '' },
    ];
    const rule = ruleOf({ route: 'reviews', index: 0, origin: `/m/mesh.yaml:${generation}:7` });
    const table = {
      ...tableOf([listenerOf([rule])], [reviewsOf(generation)], generation),
      tracing: {
        ...noTracingRules,
        outbound: { ...noTracingRules.outbound, ratio: 1 / 2 ** (generation % 3), tags },
      },
    };
    rules.add(rulesMessage(table));
    clusters.add(clustersMessage(table));
  }
  const around = surroundings({ names: ['', 'reviews', 'c'], rules, clusters });
  for (let generation = 1; generation <= edits; generation++) {
    const record = outbound({ generation, routeId: 1, clusterId: 2, extra: 'c1:acme' });
    record.flags |= RecordFlag.OwnThreshold;
    const span = new RecordSpan(record, around);
    const { attributes } = span;
    assert.equal(attributes['tracecar.rule.origin'], `mesh.yaml:${generation}:7`);
    assert.equal(attributes['tracecar.lb.candidates'], generation);
    assert.equal(attributes['service.peer.name'], 'reviews');
    assert.equal(attributes['service.peer.namespace'], 'shop');
    assert.equal(attributes['shop.edit'], `e${generation}`);
    assert.equal(attributes['shop.tenant'], 'acme');
    const threshold = ['0', '8', 'c'][generation % 3];
    assert.equal(span.spanContext().traceState?.serialize(), `ot=th:${threshold}`);
  }
});

test('a trace of a table that is forgotten stands for nobody knows how many', () => {
  const rules = new RuleBook();
  rules.add(rulesMessage(tableOf([], [], 3)));
  const stateOf = (generation: number) => {
    const record = outbound({ generation });
    record.flags |= RecordFlag.OwnThreshold;
    const around = surroundings({ rules, ratio: 0.5 });
    return new RecordSpan(record, around).spanContext().traceState?.serialize();
  };
  assert.equal(stateOf(3), 'ot=th:8');
  assert.equal(stateOf(2), undefined);
});

test('every table is answered for as if it were kept whole, and what edits did not change costs nothing', () => {
  const random = seededRandom(3);
  const draw = (below: number) => random.u32() % below;
  const history = new FactHistory(kind);
  const tables = new Map<number, ReadonlyMap<string, string>>();
  for (let step = 0; step < 300; step++) {
    const facts = new Map<string, string>();
    for (let name = 0; name < 8; name++) if (draw(4) > 0) facts.set(`${name}`, `${draw(3)}`);
    // Now and then one comes again, with other facts.
    const generation = draw(10) === 0 ? Math.max(0, step - draw(5)) : step;
    history.add(generation, facts);
    tables.set(generation, facts);
  }
  for (const [generation, facts] of tables) {
    for (let name = 0; name < 8; name++) {
      assert.equal(history.find(generation, `${name}`), facts.get(`${name}`));
    }
  }
  assert.equal(history.find(300, '1'), undefined);
  const { bytes } = history;
  const last = tables.get(299)!;
  for (let again = 0; again < 10; again++) history.add(300 + again, last);
  assert.ok(history.bytes - bytes <= 10 * 64, `${history.bytes - bytes}`);
});

test('memory for earlier tables is bounded: the oldest are forgotten, the newest never is', () => {
  const history = new FactHistory(kind, 10_000);
  for (let generation = 1; generation <= 1_000; generation++) {
    history.add(
      generation,
      new Map([
        ['a', `${generation}`.padEnd(500)],
        [`b${generation}`, ''],
      ]),
    );
    assert.ok(history.bytes <= 10_000, `${history.bytes}`);
    assert.equal(history.find(generation, 'a'), `${generation}`.padEnd(500));
  }
  assert.equal(history.find(995, 'b995'), '');
  assert.equal(history.find(996, 'b995'), undefined);
  assert.deepEqual([history.knows(1), history.find(1, 'a')], [false, undefined]);
  const small = new FactHistory(kind, 0);
  for (const generation of [1, 2]) small.add(generation, new Map([['a', 'x'.repeat(generation)]]));
  assert.deepEqual([small.find(1, 'a'), small.find(2, 'a'), small.bytes], [undefined, 'xx', 64]);
  assert.equal(telemetryLimits.tableFactsBytesMax, 4 * 1024 * 1024);
});
