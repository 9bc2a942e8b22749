/** The example of a gateway does what its README says, letter for letter. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { interruptExample } from './interrupted-example.ts';
import { tracecar } from './sidecar-process.ts';

const root = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'examples/tls-gateway/README.md'), 'utf8');
/** The block without a language is what the command prints. */
const [, expected] = /^```\n(.*?)^```$/ms.exec(readme) ?? [];

function run(...args: string[]): Promise<{ status: number; output: string; problem: string }> {
  return new Promise((settle) => {
    execFile(process.execPath, args, { cwd: root, timeout: 60_000 }, (error, output, problem) => {
      settle({ status: error === null ? 0 : Number(error.code ?? 1), output, problem });
    });
  });
}

test('the gateway of the example serves, redirects, refuses and renews as it says', async () => {
  // The machine's own Node.js may be older than the pinned one.
  assert.match(readme, /^ {4}npm ci && npx node examples\/tls-gateway\/run\.ts$/m);
  const { status, output, problem } = await run('examples/tls-gateway/run.ts');
  assert.equal(problem, '');
  assert.equal(output, expected);
  assert.equal(status, 0);
});

test('the configuration of the example validates clean', async () => {
  const { status, output } = await run(tracecar, 'validate', 'examples/tls-gateway/mesh');
  assert.equal(output, '0 errors, 0 warnings in 3 files\n');
  assert.equal(status, 0);
});

test('Ctrl-C leaves no folder behind', async (t) => {
  const { during, after, status } = await interruptExample(t, 'examples/tls-gateway/run.ts');
  assert.equal(during.length, 1, during.join(', '));
  assert.deepEqual(after, []);
  assert.equal(status, 130);
});
