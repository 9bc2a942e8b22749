/**
 * A run's folder, and what runs that were killed have left: swept with its processes, and nothing else.
 */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseStartTicks } from '../../bench/stage/procfs.ts';
import { openRunFolder, ownNamespaces, sweepRunFolders } from '../../bench/stage/run-folder.ts';
import { whyNoPods } from '../support/namespace-pods.ts';

const skip = process.platform === 'linux' ? false : 'there is no /proc here';
const parent = mkdtempSync(join(tmpdir(), 'run-folder-'));
after(() => rmSync(parent, { recursive: true }));

function makeFolder(name: string, owner?: string): string {
  const folder = join(parent, name);
  mkdirSync(folder);
  if (owner !== undefined) writeFileSync(join(folder, 'owner'), owner);
  return folder;
}

test('a run names itself in its folder, and another start leaves it alone', { skip }, () => {
  const said: string[] = [];
  const folder = openRunFolder((text) => said.push(text), parent);
  const ticks = parseStartTicks(readFileSync('/proc/self/stat', 'latin1'));
  assert.equal(readFileSync(join(folder, 'owner'), 'latin1'), `${process.pid} ${ticks}`);
  assert.deepEqual(sweepRunFolders(parent), []);
  assert.ok(existsSync(folder));
  assert.deepEqual(said, []);
});

test('what a killed run has left goes at the next start, its processes too', {
  skip,
  timeout: 60_000,
}, async () => {
  // A process that has ended, and an id that another process has by now.
  const gone = makeFolder('tracecar-bench-gone', '2147483646 1');
  const reused = makeFolder('tracecar-bench-reused', `${process.pid} 1`);
  const below = join(gone, 'envoy-0');
  mkdirSync(below);
  const left = spawn(process.execPath, ['-e', 'setInterval(() => {}, 9e8)'], { cwd: below });
  after(() => left.kill('SIGKILL'));
  const ended = once(left, 'exit');
  await once(left, 'spawn');
  const said: string[] = [];
  openRunFolder((text) => said.push(text), parent);
  assert.deepEqual((await ended)[1], 'SIGKILL');
  assert.deepEqual([existsSync(gone), existsSync(reused)], [false, false]);
  assert.equal(said.length, 2);
  assert.match(said[0]!, /^removed .*tracecar-bench-gone, which a run that was killed had left$/);
});

test('folders without an owner, of others, and links stay', { skip }, () => {
  const strangers = [
    makeFolder('tracecar-bench-nameless'),
    makeFolder('tracecar-bench-empty', ''),
    makeFolder('something-else', '2147483646 1'),
  ];
  const target = makeFolder('target', '2147483646 1');
  const link = join(parent, 'tracecar-bench-link');
  symlinkSync(target, link);
  assert.deepEqual(sweepRunFolders(parent), []);
  for (const folder of [...strangers, link, target]) assert.ok(readdirSync(folder), folder);
});

test('namespaces that a killed run has left go with its folder, others stay', (t) => {
  const why = whyNoPods();
  if (why !== undefined) {
    t.skip(why.toUpperCase());
    return;
  }
  const names = [`tracecar-pods-swept-${process.pid}`, `tracecar-other-${process.pid}`];
  const ip = (...args: string[]) => spawnSync('ip', ['netns', ...args], { encoding: 'utf8' });
  after(() => {
    for (const name of names) ip('delete', name);
  });
  for (const name of names) ip('add', name);
  const folder = makeFolder('tracecar-bench-with-pods', '2147483646 1');
  // Only names that pods have are taken for pods.
  ownNamespaces(folder, names);
  assert.deepEqual(sweepRunFolders(parent), [folder]);
  const left = names.map((name) => ip('list').stdout.includes(name));
  assert.deepEqual(left, [false, true]);
});
