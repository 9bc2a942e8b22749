/**
 * What the hot thread must never load: OpenTelemetry, and the worker's files that import it.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { NameTable } from '../../src/telemetry/record/name-table.ts';

const room = resolve(import.meta.dirname, '../../src/telemetry');

/** Modules that a file loads when it runs: `import type` is erased. */
function loadedBy(path: string): string[] {
  const text = readFileSync(path, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const found: string[] = [];
  for (const match of text.matchAll(/^(import|export) (?!type )([^;]*?) from '([^']+)';/gms)) {
    const clause = match[2]!;
    const isErased =
      /^\{[^}]*\}$/s.test(clause) &&
      clause
        .slice(1, -1)
        .split(',')
        .every((each) => each.trim() === '' || each.trim().startsWith('type '));
    if (!isErased) found.push(match[3]!);
  }
  for (const match of text.matchAll(/(?:^import |\bimport\()'([^']+)'/gm)) found.push(match[1]!);
  return found;
}

/** Every module that is loaded with `entry`, packages by name. */
function reachable(entry: string): { files: Set<string>; packages: Set<string> } {
  const files = new Set<string>();
  const packages = new Set<string>();
  const left = [entry];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (files.has(path)) continue;
    files.add(path);
    for (const target of loadedBy(path)) {
      if (target.startsWith('.')) left.push(resolve(dirname(path), target));
      else packages.add(target);
    }
  }
  return { files, packages };
}

/** Files that other rooms import. */
const hotEntries = [
  'telemetry.ts',
  'metrics/prometheus.ts',
  'settings/settings.ts',
  'context/trace-context.ts',
  'context/hop-state.ts',
  'context/b3.ts',
  'context/uber-trace.ts',
  'context/open-requests.ts',
  'metrics/metric-text-reader.ts',
];

test('what the proxy imports never loads OpenTelemetry', () => {
  for (const entry of hotEntries) {
    const { packages } = reachable(join(room, entry));
    const foreign = [...packages].filter((name) => !name.startsWith('node:'));
    assert.deepEqual(foreign, [], entry);
    assert.ok(!packages.has('node:http') && !packages.has('node:net'), entry);
  }
});

test('the worker reaches OpenTelemetry, and no file of the room is unused', () => {
  const worker = reachable(join(room, 'worker.ts'));
  assert.ok(worker.packages.has('@opentelemetry/sdk-trace'));
  assert.ok(worker.packages.has('@opentelemetry/exporter-trace-otlp-http'));
  const used = new Set([
    ...worker.files,
    ...hotEntries.flatMap((entry) => [...reachable(join(room, entry)).files]),
  ]);
  const unused = readdirSync(room, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(room, name))
    .filter((path) => !used.has(path) && !path.endsWith('worker-protocol.ts'));
  assert.deepEqual(unused, []);
});

test('names get ids from 1, once, and are announced in order before they are returned', () => {
  const announced: [number, string][] = [];
  const table = new NameTable((id, name) => announced.push([id, name]), 3);
  assert.equal(table.idOf('a'), 1);
  assert.deepEqual(announced, [[1, 'a']]);
  assert.equal(table.idOf('b'), 2);
  assert.equal(table.idOf('a'), 1);
  assert.equal(table.idOf(''), 0);
  assert.equal(table.idOf('c'), 3);
  assert.equal(table.idOf('one too many'), 0);
  assert.equal(table.size, 3);
  assert.deepEqual(table.names(), ['a', 'b', 'c']);
  assert.deepEqual(announced, [
    [1, 'a'],
    [2, 'b'],
    [3, 'c'],
  ]);
});
