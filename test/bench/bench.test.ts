/**
 * The whole program: a short run with the arm that needs nothing installed, and how a run ends.
 *
 * No figure is looked at here, only that the result is complete and that nothing is left behind.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readResult } from '../../bench/result/result.ts';
import { sweepRunFolders } from '../../bench/stage/run-folder.ts';

const bench = join(import.meta.dirname, '../../bench');
const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
const notHere =
  process.platform !== 'linux'
    ? 'the bench runs on Linux only'
    : existsSync('/usr/bin/setpriv')
      ? false
      : 'there is no setpriv';

after(() => {
  // A failed test must not leave what it found left behind.
  for (const pid of processesOf(folder)) process.kill(Number(pid), 'SIGKILL');
  rmSync(folder, { recursive: true });
});

/** Starts the bench with a folder of its own for temporary files. */
function start(name: string, ...args: string[]) {
  const temporary = join(folder, name);
  mkdirSync(temporary);
  const child = spawn(process.execPath, [join(bench, 'bench.ts'), ...args], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  return { child, temporary, output: () => output };
}

/** Processes whose command line names the run's own folder. */
function processesOf(temporary: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const own = /^\d+$/.test(pid) && Number(pid) !== process.pid;
      return own && readFileSync(`/proc/${pid}/environ`, 'latin1').includes(temporary);
    } catch {
      return false;
    }
  });
}

async function endOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  const [status, signal] = await once(child, 'close');
  return signal ?? status;
}

test('a short run writes a complete result and leaves nothing behind', {
  skip: notHere,
}, async () => {
  const json = join(folder, 'result.json');
  const args = ['--arms', 'floor', '--rounds', '1', '--seconds', '0.1', '--json', json];
  const { child, temporary, output } = start('short', ...args, '--tolerate-noise');
  assert.equal(await endOf(child), 0, output());
  const result = readResult(json);
  assert.deepEqual(
    result.arms.map((arm) => arm.name),
    ['direct', 'direct-again', 'floor'],
  );
  assert.ok(result.rows.every((row) => (row.values.errors ?? 0) === 0));
  assert.match(output(), /added_p50_us/);
  assert.match(output(), /^Left out by --arms: Tracecar, Envoy, HAProxy, nginx, http-proxy\.$/m);
  assert.ok(result.rows.every((row) => !row.faults.some((fault) => fault.startsWith('failed'))));
  assert.deepEqual(readdirSync(temporary), []);
  assert.deepEqual(processesOf(temporary), []);
});

/** Their end closes the pipes that they write to; after that the kernel only clears them away. */
async function untilGone(temporary: string, signal: AbortSignal): Promise<void> {
  while (processesOf(temporary).length > 0) {
    signal.throwIfAborted();
    await new Promise((next) => setImmediate(next));
  }
}

test('Ctrl-C ends a run with status 130 and takes its processes along', {
  skip: notHere,
  timeout: 60_000,
}, async ({ signal }) => {
  const { child, temporary, output } = start('interrupted', '--arms', 'floor');
  while (!output().includes('warming floor')) await once(child.stderr!, 'data');
  assert.ok(processesOf(temporary).length >= 4, 'bench, backend, collector and generator run');
  child.kill('SIGINT');
  assert.equal(await endOf(child), 130, output());
  assert.deepEqual(readdirSync(temporary), []);
  await untilGone(temporary, signal);
});

test('a bench that is killed outright takes its processes along', {
  skip: notHere,
  timeout: 60_000,
}, async ({ signal }) => {
  const { child, temporary, output } = start('killed', '--arms', 'floor');
  while (!output().includes('warming floor')) await once(child.stderr!, 'data');
  child.kill('SIGKILL');
  assert.equal(await endOf(child), 'SIGKILL');
  await untilGone(temporary, signal);
  const [left] = readdirSync(temporary);
  assert.match(left!, /^tracecar-bench-/);
  // What it had no time to clear away the next one does.
  assert.deepEqual(sweepRunFolders(temporary), [join(temporary, left!)]);
  assert.deepEqual(readdirSync(temporary), []);
});

test('a mistake in the flags is one line and status 2', async () => {
  const { child, output } = start('mistaken', '--arms', 'envoi');
  assert.equal(await endOf(child), 2);
  const line =
    /^bench: --arms: unknown arm "envoi"; known are: [\w, -]+ \(all flags: .*--help\)\n$/;
  assert.match(output(), line);
});

test('a file that is no result, or half of one, is not overwritten: one line and status 2', async () => {
  const json = join(folder, 'precious.json');
  writeFileSync(json, '{"schema": "tracecar-ben');
  const { child, output } = start('precious', '--arms', 'floor', '--json', json);
  assert.equal(await endOf(child), 2);
  assert.match(
    output(),
    /^bench: .*precious\.json: not whole, or no JSON \(.*\); it is not overwritten: .*--help\)\n$/,
  );
  assert.equal(readFileSync(json, 'utf8'), '{"schema": "tracecar-ben');
});

test('results that cannot be written are one line and status 2', async () => {
  const file = join(folder, 'a-file');
  writeFileSync(file, '');
  const { child, output } = start('unwritable', '--arms', 'floor', '--out', join(file, 'below'));
  assert.equal(await endOf(child), 2);
  assert.match(
    output(),
    /^bench: .* cannot be written \(ENOTDIR\): choose another --out DIR .*\n$/,
  );
});

test('a folder where none can be made is one line and status 2', { skip: notHere }, async () => {
  const { child, output } = start('nowhere', '--arms', 'floor', '--out', '/proc/x/y');
  assert.equal(await endOf(child), 2);
  assert.match(output(), /^bench: \/proc\/x\/y\/hop\.json cannot be written \(ENOENT\): .*\n$/);
});

test('help names every flag', async () => {
  const { child, output } = start('help', '--help');
  assert.equal(await endOf(child), 0);
  for (const flag of ['--full', '--publish', '--only', '--out', '--list', '--no-keep-awake']) {
    assert.ok(output().includes(flag), flag);
  }
});
