/** The article's example does what its README says, letter for letter. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { tracecar } from './sidecar-process.ts';

const root = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'examples/article/README.md'), 'utf8');
/** The blocks without a language are what the two commands print. */
const [runOutput, validateOutput] = [...readme.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
  .filter(([, language]) => language === '')
  .map(([, , block]) => block);

function run(...args: string[]): Promise<{ status: number; output: string; problem: string }> {
  return new Promise((settle) => {
    execFile(process.execPath, args, { cwd: root, timeout: 120_000 }, (error, output, problem) => {
      settle({ status: error === null ? 0 : Number(error.code ?? 1), output, problem });
    });
  });
}

test('as corrected it splits a thousand requests 60 to 40', async () => {
  const { status, output, problem } = await run('examples/article/run.ts');
  assert.equal(problem, '');
  assert.equal(output, runOutput);
  assert.equal(status, 0);
});

test('as corrected it validates clean, with and without capture', async () => {
  for (const capture of ['none', 'redirect']) {
    const path = 'examples/article/as-corrected';
    const { status, output } = await run(tracecar, 'validate', path, '--capture', capture);
    assert.equal(output, '0 errors, 0 warnings in 4 files\n');
    assert.equal(status, 0);
  }
});

test('as printed, validate names the undefined subsets and suggests test-svc', async () => {
  const { status, output } = await run(tracecar, 'validate', 'examples/article/as-printed');
  assert.equal(output, validateOutput);
  assert.match(
    output,
    /TC1503: .*no subset `v1`.*\n.*\n.*\n.*did you mean `host: test-svc` there\?/,
  );
  assert.equal(status, 1);
});
