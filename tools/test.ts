/**
 * `npm test`: types, lint, unused code, then every hermetic test; `npm test -- FILE...` runs some.
 *
 * Ends with a line `N passed, N failed[, N skipped]`; a static check counts as one, and so does a
 * suite that is skipped as a whole. Status 1 when anything failed, or nothing ran and nothing was
 * skipped. `--peers` runs the tests beside real peers instead, one file after the other; `--soak` those
 * whose full length is minutes.
 */

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
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

/**
 * Every file of tests is a process, and most start more: compiled once, kept here for all of them, their
 * starts cost a third. Pods run as other users, each of whom has a folder of its own below; ours is there
 * before anybody else may make one, and what they keep is read by nobody but them.
 */
function keepCompiled(): void {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return;
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-compiled-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  process.env.NODE_COMPILE_CACHE = folder;
  execFileSync(process.execPath, ['-e', '']);
  if (process.geteuid?.() === 0) chmodSync(folder, 0o1777);
}

/**
 * Half of the time of a hermetic test is waiting, so three of them keep two cores busy. A peer's test
 * starts clusters and measures: it wants the machine alone, and minutes. Of a file that hangs is said
 * which when its time is over; on a busy machine a good one takes several times its usual.
 */
const pace = {
  hermetic: { concurrency: 3, timeout: 300_000 },
  peers: { concurrency: 1, timeout: 600_000 },
};

function runTests(files: string[], { concurrency, timeout }: typeof pace.peers): Promise<void> {
  return new Promise((done) => {
    const stream = run({ files, concurrency, timeout, cwd: root });
    stream.on('test:pass', (event) => {
      if (event.name === event.file) return;
      // A suite that runs is counted by its tests; one that is skipped has none.
      if (event.skip !== undefined) counts.skipped += 1;
      else if (event.details.type !== 'suite') counts.passed += 1;
    });
    stream.on('test:fail', (event) => {
      const { type } = event.details;
      const { failureType } = event.details.error as Error & { failureType?: string };
      // A suite fails by its tests, which count, or by its own hook, which nothing else tells.
      const isCounted = type === 'suite' && failureType === 'subtestsFailed';
      if (!isCounted) counts.failed += 1;
    });
    stream.on('end', () => done());
    stream.compose(spec).pipe(process.stdout);
  });
}

keepCompiled();
const soak = process.argv.includes('--soak');
const peers = soak || process.argv.includes('--peers');
const named = process.argv.slice(2).filter((arg) => !arg.startsWith('--'));
if (named.length === 0 && !peers) {
  await Promise.all([
    check('types (tsc)', 'tsc', ['--noEmit']),
    check('types of the page (tsc)', 'tsc', ['--noEmit', '-p', 'src/viewer/page']),
    check('lint and format (biome)', 'biome', ['check', '--error-on-warnings', '.']),
    check('unused code (knip)', 'knip', ['--no-progress']),
  ]);
}
const patterns = { soak: 'test/soak/*.test.ts', peers: 'test/peers/**/*.test.ts' };
const pattern = soak ? patterns.soak : peers ? patterns.peers : 'test/**/*.test.ts';
const found = named.length > 0 ? named : globSync(pattern, { cwd: root });
const isLong = (file: string): boolean => /^test\/(peers|soak)\//.test(file);
const files = found.filter((file) => peers || named.length > 0 || !isLong(file));
const paths = files.sort().map((file) => resolve(root, file));
await runTests(paths, peers ? pace.peers : pace.hermetic);

const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
process.exitCode = counts.failed > 0 || counts.passed + counts.skipped === 0 ? 1 : 0;
