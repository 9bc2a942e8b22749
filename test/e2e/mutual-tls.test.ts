/** The example of mutual TLS does what its README says, letter for letter but for times and one port. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { tracecar } from './sidecar-process.ts';

const root = resolve(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'examples/mutual-tls/README.md'), 'utf8');
const printed = /^```\n(.*?)^```$/ms.exec(readme)![1];

/** Without what is another at each run. */
function lasting(text: string): string {
  return text.replace(/\(127\.0\.0\.1:\d+\)/, '(PORT)').replace(/\d{4}-\d\d-\S+Z/g, 'TIME');
}

function run(...args: string[]): Promise<{ status: number; output: string; problem: string }> {
  return new Promise((settle) => {
    execFile(process.execPath, args, { cwd: root, timeout: 60_000 }, (error, output, problem) => {
      settle({ status: error === null ? 0 : Number(error.code ?? 1), output, problem });
    });
  });
}

test('sidecars are served, STRICT refuses strangers, a policy lets named callers do named things', async () => {
  // The machine's own Node.js may be older than the pinned one.
  assert.match(readme, /^ {4}npm ci && npx node examples\/mutual-tls\/run\.ts$/m);
  const { status, output, problem } = await run('examples/mutual-tls/run.ts');
  assert.equal(problem, '');
  assert.equal(lasting(output), lasting(printed!));
  assert.equal(status, 0);
});

test('its resources have no mistake', async () => {
  const paths = ['examples/mutual-tls/mesh', 'examples/mutual-tls/policies'];
  const { status, output } = await run(tracecar, 'validate', ...paths);
  assert.equal(output, '0 errors, 0 warnings in 4 files\n');
  assert.equal(status, 0);
});
