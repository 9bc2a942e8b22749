/**
 * `npm test -- FILE...`: what the closing line counts and the status says, over files made here.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder, writeConfig } from './sidecar-process.ts';

const command = resolve(import.meta.dirname, '../../tools/test.ts');

/** Runs the command over one file with this text: its last line and its status. */
function closingOf(t: TestContext, text: string, ...flags: string[]): Promise<[string, number]> {
  const folder = temporaryFolder(t);
  writeConfig(folder, 'case.test.mjs', `import { after, suite, test } from 'node:test';\n${text}`);
  // A test run inside a test run would skip its files.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const args = [command, ...flags, join(folder, 'case.test.mjs')];
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  return new Promise((settle) => {
    child.on('close', (status) => settle([output.trimEnd().split('\n').at(-1)!, status ?? -1]));
  });
}

test('a suite that is skipped as a whole is counted, and is no failure', async (t) => {
  const skipped = `suite('s', { skip: 'no cluster' }, () => { test('a', () => {}); });`;
  assert.deepEqual(await closingOf(t, skipped), ['0 passed, 0 failed, 1 skipped', 0]);
  assert.deepEqual(await closingOf(t, skipped, '--peers'), ['0 passed, 0 failed, 1 skipped', 0]);
});

test('a suite is counted by its tests, and by its own hook when that fails', async (t) => {
  const good = `suite('s', () => { test('a', () => {}); test('b', { skip: 'x' }, () => {}); });`;
  assert.deepEqual(await closingOf(t, good), ['1 passed, 0 failed, 1 skipped', 0]);
  const bad = `suite('s', () => { test('a', () => { throw new Error('no'); }); });`;
  assert.deepEqual(await closingOf(t, bad), ['0 passed, 1 failed', 1]);
  const hook = `suite('s', () => { after(() => { throw new Error('no'); }); test('a', () => {}); });`;
  assert.deepEqual(await closingOf(t, hook), ['1 passed, 1 failed', 1]);
});

test('a file without a test is a failure', async (t) => {
  assert.deepEqual(await closingOf(t, ''), ['0 passed, 0 failed', 1]);
});
