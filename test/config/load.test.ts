/** What compiling promises whatever is in the files, and that the example of the demo is right. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { compileTable, readResources } from '../../src/config/load.ts';
import { diagnosticCodes } from '../../src/config/syntax/diagnostic-codes.ts';
import { ruleIndex } from '../support/rule-index.ts';

const example = join(import.meta.dirname, '../../examples/ab-rollout');

function readExample() {
  const files = readdirSync(example).filter((name) => name.endsWith('.yaml'));
  return readResources(
    files.map((file) => ({ file, text: readFileSync(join(example, file), 'utf8') })),
  );
}

function compileFor(labels: Readonly<Record<string, string>>) {
  const { resources } = readExample();
  return compileTable(resources, { namespace: 'default', labels, generation: 7, capture: 'none' });
}

test('the example validates clean and gives each workload its listeners', () => {
  assert.deepEqual(readExample().diagnostics, []);
  const expected: [Record<string, string>, string[]][] = [
    [{ app: 'web' }, ['inbound|127.0.0.1|22080', 'outbound|127.0.0.1|23081']],
    [{ app: 'reviews', version: 'v1' }, ['inbound|127.0.0.1|22081', 'outbound|127.0.0.1|23083']],
    [{ app: 'reviews', version: 'v2' }, ['inbound|127.0.0.1|22082', 'outbound|127.0.0.1|23084']],
    [{ app: 'ratings' }, ['inbound|127.0.0.1|22083']],
  ];
  for (const [labels, names] of expected) {
    const { table, diagnostics } = compileFor(labels);
    assert.deepEqual(diagnostics, []);
    assert.deepEqual(
      table.listeners.map(({ name }) => name),
      names,
    );
  }
});

test("web's requests to its reviews listener split 60 to 40 between the two versions", () => {
  const { table } = compileFor({ app: 'web' });
  const listener = table.listeners.find(({ direction }) => direction === 'outbound')!;
  const rule = ruleIndex(listener).match({
    method: 'GET',
    hostname: '127.0.0.1',
    path: '/reviews/7',
    query: undefined,
    field: () => undefined,
  });
  assert.deepEqual(
    rule?.backends.map(({ cluster, weight }) => {
      const { subset, endpoints } = table.clusters.find(({ name }) => name === cluster)!;
      return [subset, weight, endpoints.map(({ address, port }) => `${address}:${port}`)];
    }),
    [
      ['v1', 60, ['127.0.0.1:22081']],
      ['v2', 40, ['127.0.0.1:22082']],
    ],
  );
});

test('a table is frozen to its leaves', () => {
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || value instanceof RegExp) return;
    assert.ok(Object.isFrozen(value), JSON.stringify(value));
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(compileFor({ app: 'web' }).table);
});

test('the same resources compile to the same table, but for the generation', () => {
  const first = compileFor({ app: 'web' }).table;
  const second = compileFor({ app: 'web' }).table;
  assert.equal(first.generation, 7);
  assert.deepEqual(first, second);
});

test('diagnostic codes are unique and in order', () => {
  const numbers = [...diagnosticCodes.values()].map(({ code }) => code);
  assert.deepEqual(numbers, [...new Set(numbers)].toSorted());
  for (const code of numbers) assert.match(code, /^TC\d{4}$/);
});
