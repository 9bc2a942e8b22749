/**
 * Golden cases of configuration: NAME.in.yaml beside NAME.out.json in test/golden/config.
 *
 * Three statements about each case: the marks in the YAML (`# <-- TC1503`) name every complaint by
 * line; the .out.json has them in full, with column, path, message and mend; and it has the table when
 * the first line says for whom (`# workload: app=web`). UPDATE_GOLDEN=1 rewrites the
 * .out.json files that differ; `npm run format` gives them their form.
 */

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { compileTable, readResources } from '../../src/config/load.ts';
import { Complaints } from '../../src/config/syntax/complaints.ts';

const folder = join(import.meta.dirname, '../golden/config');
const isUpdating = process.env.UPDATE_GOLDEN === '1';

function run(file: string, text: string) {
  const { resources, diagnostics } = readResources([{ file, text }]);
  const labels = /^# workload: (.*)$/m.exec(text)?.[1];
  const context = {
    namespace: 'default',
    labels: Object.fromEntries((labels ?? '').split(',').map((pair) => pair.split('='))),
    generation: 1,
    capture: captureOf(text),
  };
  const compiled = compileTable(resources, context);
  const complaints = new Complaints();
  complaints.addAll(diagnostics);
  complaints.addAll(compiled.diagnostics);
  const isViewed = labels !== undefined;
  const all = complaints.list().filter((each) => isViewed || each.file !== '');
  return { diagnostics: all, ...(isViewed ? { table: compiled.table } : {}) };
}

/** `# capture: redirect` anywhere in the YAML. */
function captureOf(text: string): 'none' | 'redirect' {
  return /^# capture: redirect$/m.test(text) ? 'redirect' : 'none';
}

/** Endless timeouts and regular expressions have no JSON of their own. */
function print(value: unknown): string {
  const replace = (_key: string, each: unknown) =>
    each instanceof RegExp || each === Number.POSITIVE_INFINITY ? String(each) : each;
  return `${JSON.stringify(value, replace, 2)}\n`;
}

/** `5 TC1503` for each mark of the YAML. */
function marks(text: string): string[] {
  return text.split('\n').flatMap((line, index) => {
    const codes = /# <-- ((?:TC\d{4} ?)+)$/.exec(line)?.[1]?.trim().split(' ') ?? [];
    return codes.map((code) => `${index + 1} ${code}`);
  });
}

const names = readdirSync(folder)
  .filter((name) => name.endsWith('.in.yaml'))
  .map((name) => name.slice(0, -'.in.yaml'.length));

for (const name of names) {
  test(`golden ${name}`, () => {
    const text = readFileSync(join(folder, `${name}.in.yaml`), 'utf8');
    const result = run(`${name}.in.yaml`, text);
    const found = result.diagnostics.filter(({ line }) => line > 0);
    assert.deepEqual(
      found.map(({ line, code }) => `${line} ${code}`).toSorted(),
      marks(text).toSorted(),
      'the marks in the YAML name other complaints',
    );
    const path = join(folder, `${name}.out.json`);
    const known = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
    const printed = print(result);
    const parsed = JSON.parse(printed);
    if (isUpdating && !isDeepStrictEqual(parsed, known)) writeFileSync(path, printed);
    else assert.deepEqual(parsed, known);
  });
}

test('every golden output has its input', () => {
  const outputs = readdirSync(folder).filter((name) => name.endsWith('.out.json'));
  assert.deepEqual(outputs, names.map((name) => `${name}.out.json`).toSorted());
});

test('at least forty of the golden cases are mistakes', () => {
  const wrong = names.filter((name) => {
    const text = readFileSync(join(folder, `${name}.in.yaml`), 'utf8');
    return marks(text).length > 0;
  });
  assert.ok(wrong.length >= 40, `${wrong.length} cases have a mistake`);
});
