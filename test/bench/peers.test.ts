/**
 * `npm run peers`: what it says; installing is not tested, tests stay off the network.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { rivalArms } from '../../bench/arms/rivals.ts';
import { findPeer, installCommand, namesOf, peerNames } from '../../tools/peers.ts';

const program = join(import.meta.dirname, '../../tools/peers.ts');

function peers(...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
}

test('the list has a line for every peer, installed or not', () => {
  const { status, stdout } = peers('--list');
  assert.equal(status, 0);
  const lines = stdout.trimEnd().split('\n');
  assert.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    peerNames,
  );
  for (const line of lines) assert.match(line, /missing|(unknown|\d+\.\d+\S*) +\S*\/\S+/);
});

test('an unknown name is one line that names the known ones, and status 2', () => {
  const { status, stderr } = peers('envoi');
  assert.equal(status, 2);
  assert.match(stderr, /^peers: unknown peer "envoi"; known are: haproxy, nginx, envoy/);
  assert.throws(() => findPeer('envoi'), /unknown peer/);
});

test('the group bench is everything that an arm or a count may be missing for', () => {
  const bench = namesOf(['bench']);
  for (const name of bench) assert.ok(peerNames.includes(name), name);
  // Arms of rivals are called by the program, some with what they do after it.
  const rivals = rivalArms.map(({ name }) => name.split('-')[0]!);
  for (const name of [...rivals, 'strace', 'wrk', 'h2load']) assert.ok(bench.includes(name), name);
  assert.deepEqual(namesOf(['nginx', 'bench']).sort(), bench.toSorted(), 'each once');
  assert.match(peers('--help').stdout, /^ +bench \(/m);
});

test('an unknown flag is status 2', () => {
  assert.equal(peers('--force').status, 2);
});

test('what is there already is left alone', {
  skip: findPeer('strace') === undefined && 'no strace here',
}, () => {
  const { status, stdout } = peers('strace');
  assert.equal(status, 0);
  assert.match(stdout, /^strace [\d.]+ is there: \S+strace\n$/);
});

test('the command that a message shows is the command that installs', () => {
  assert.equal(installCommand(['envoy', 'nginx']), 'npm run peers envoy nginx');
});
