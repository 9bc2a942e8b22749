/**
 * `npm test`: types, lint, unused code, then every hermetic test; `npm test -- FILE...` runs some.
 *
 * Ends with a line `N passed, N failed, N skipped`; a static check counts as one. Status 1 when
 * anything failed or when no test ran.
 */

import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const root = resolve(import.meta.dirname, '..');
const counts = { passed: 0, failed: 0, skipped: 0 };

/** Runs one program of node_modules/.bin and counts it; its output is shown when it fails. */
function check(title: string, command: string, args: readonly string[]): Promise<void> {
  return new Promise((done) => {
    const child = spawn(resolve(root, 'node_modules/.bin', command), args, { cwd: root });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk;
    });
    child.on('close', (status) => {
      if (status === 0) counts.passed += 1;
      else counts.failed += 1;
      process.stdout.write(
        `${status === 0 ? 'ok  ' : 'FAIL'} ${title}\n${status === 0 ? '' : output}`,
      );
      done();
    });
  });
}

function runTests(files: string[]): Promise<void> {
  return new Promise((done) => {
    // A file with a cluster takes minutes on two busy cores, and two at once would disturb each other.
    const pace = peers
      ? { concurrency: 1, timeout: 600_000 }
      : { concurrency: 2, timeout: 120_000 };
    const stream = run({ files, ...pace, cwd: root });
    stream.on('test:pass', (event) => {
      if (event.details.type === 'suite' || event.name === event.file) return;
      if (event.skip !== undefined) counts.skipped += 1;
      else counts.passed += 1;
    });
    stream.on('test:fail', (event) => {
      if (event.details.type !== 'suite') counts.failed += 1;
    });
    stream.on('end', () => done());
    stream.compose(spec).pipe(process.stdout);
  });
}

const peers = process.argv.includes('--peers');
const named = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
if (named.length === 0 && !peers) {
  await check('types (tsc)', 'tsc', ['--noEmit']);
  await check('lint and format (biome)', 'biome', ['check', '--error-on-warnings', '.']);
  await check('unused code (knip)', 'knip', ['--no-progress']);
}
const pattern = peers ? 'test/peers/**/*.test.ts' : 'test/**/*.test.ts';
const found = named.length > 0 ? named : globSync(pattern, { cwd: root });
const files = found.filter((file) => peers || named.length > 0 || !file.startsWith('test/peers/'));
await runTests(files.sort().map((file) => resolve(root, file)));

const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
