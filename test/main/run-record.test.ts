/**
 * The record of runs, under several processes at once: one at a time has the lock, also when some of
 * them are killed with it, and no two have one number.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { RunRecord } from '../../src/main/run-record.ts';

const skip =
  spawnSync('flock', ['--version']).status === 0 ? false : 'no flock here (util-linux of Linux)';
if (skip !== false) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${skip}\n`);

const module = new URL('../../src/main/run-record.ts', import.meta.url).href;

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-record-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'runs');
}

/** A process with `record` in its hands; it begins when it is told to, so that all begin at once. */
function startProcess(t: TestContext, folder: string, script: string): ChildProcess {
  const whole = `import { RunRecord } from '${module}';
    import { closeSync, openSync, rmSync } from 'node:fs';
    const record = new RunRecord('${folder}');
    process.stdin.once('data', () => { ${script} });
    console.log('open');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', whole], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function linesUntil(child: ChildProcess, wanted: string): Promise<void> {
  for await (const line of createInterface(child.stdout!)) if (line === wanted) return;
  throw new Error(`it ended without '${wanted}'`);
}

test('one process at a time has the lock, however many want it and whoever is killed with it', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const folder = folderOf(t);
  const inside = `${folder}-inside`;
  // Throws when another one is inside.
  const enter = `closeSync(openSync('${inside}', 'wx'));`;
  const takesTurns = `for (let turn = 0; turn < 15; turn++) {
      record.withLock(() => { ${enter} rmSync('${inside}'); });
    }
    process.exit(0);`;
  const isKilled = `record.withLock(() => {
      ${enter} rmSync('${inside}'); process.kill(process.pid, 'SIGKILL');
    });`;
  const scripts = [takesTurns, isKilled, takesTurns, isKilled, takesTurns, isKilled];
  const children = scripts.map((script) => startProcess(t, folder, script));
  await Promise.all(children.map((child) => linesUntil(child, 'open')));
  const ended = children.map((child) => once(child, 'exit'));
  for (const child of children) child.stdin!.write('go\n');
  const ends = await Promise.all(ended);
  assert.deepEqual(
    ends.map(([status, signal]) => signal ?? status),
    [0, 'SIGKILL', 0, 'SIGKILL', 0, 'SIGKILL'],
  );
  assert.deepEqual(readdirSync(folder), []);
});

test('runs that start at once have numbers of their own, and those of the dead are known', {
  skip,
  timeout: 120_000,
}, async (t) => {
  const folder = folderOf(t);
  const claims = `console.log('number ' + record.withLock(() => record.claimNumber()));
    setInterval(() => {}, 1000); console.log('claimed');`;
  const children = [1, 2, 3, 4].map(() => startProcess(t, folder, claims));
  await Promise.all(children.map((child) => linesUntil(child, 'open')));
  const claimed = children.map((child) => linesUntil(child, 'claimed'));
  for (const child of children) child.stdin!.write('go\n');
  await Promise.all(claimed);
  const record = new RunRecord(folder);
  const runs = record.list();
  assert.equal(runs.alive.length, 4);
  assert.deepEqual(runs.dead, []);
  const gone = children.slice(0, 2).map((child) => once(child, 'exit'));
  for (const child of children.slice(0, 2)) child.kill('SIGKILL');
  await Promise.all(gone);
  const later = record.list();
  assert.deepEqual([later.alive.length, later.dead.length], [2, 2]);
  for (const number of later.dead) record.releaseNumber(number);
  assert.deepEqual(record.list(), { alive: later.alive, dead: [] });
});

test('a number of a process whose id another one has by now is of the dead', { skip }, (t) => {
  const folder = folderOf(t);
  const record = new RunRecord(folder);
  record.withLock(() => undefined);
  writeFileSync(join(folder, 'run-7'), `${process.pid} 1\n`);
  assert.deepEqual(record.list(), { alive: [], dead: [7] });
});

test('the lock is free again after an action that fails', { skip }, (t) => {
  const record = new RunRecord(folderOf(t));
  assert.throws(() => record.withLock(() => assert.fail('no network')), /no network/);
  assert.equal(
    record.withLock(() => 'mine'),
    'mine',
  );
});
