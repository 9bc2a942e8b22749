/** Memory that malloc holds free in the middle of its heap is the kernel's again. */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { quietly } from '../../src/proxy/socket/original-destination.ts';

const file = JSON.stringify(new URL('../../src/main/trim-memory.ts', import.meta.url).href);
const program = `
  import { readFileSync } from 'node:fs';
  import { trimMemory } from ${file};
  const status = () => readFileSync('/proc/self/status', 'latin1');
  const anonymousKb = () => Number(/RssAnon:\\s+(\\d+)/.exec(status())[1]);
  const blocks = Array.from({ length: 4000 }, () => Buffer.alloc(16_000, 1).buffer);
  const last = blocks.filter((_, index) => index % 100 === 99);
  blocks.length = 0;
  globalThis.gc();
  globalThis.gc();
  const before = anonymousKb();
  const isDone = trimMemory();
  const freedKb = before - anonymousKb();
  process.stdout.write(JSON.stringify({ isDone, freedKb, kept: last.length }));
`;

const why = canTrim() ? false : 'needs Linux with glibc and a Node.js with node:ffi';

test('what was freed between blocks in use is given back', { skip: why }, () => {
  const text = execFileSync(
    process.execPath,
    ['--expose-gc', '--input-type=module', '--eval', program],
    { encoding: 'utf8', env: { MALLOC_TRIM_THRESHOLD_: String(2 ** 30) } },
  );
  const { isDone, freedKb, kept } = JSON.parse(text);
  assert.equal(isDone, true);
  assert.equal(kept, 40);
  assert.ok(freedKb > 20_000, `${freedKb} KB`);
});

test('nothing is printed about it', { skip: why }, () => {
  const args = ['--input-type=module', '--eval', `(await import(${file})).trimMemory()`];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', stdio: 'pipe' }), '');
});

function canTrim(): boolean {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return (
    report.header?.glibcVersionRuntime !== undefined &&
    quietly(() => process.getBuiltinModule('node:ffi')) !== undefined
  );
}
