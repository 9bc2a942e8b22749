/**
 * What is read from /proc: texts as Linux 6.18 prints them, and this process as a living example.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseAllowedCores,
  parseCoreTimes,
  parseCpuMicros,
  parseMemory,
  readAllowedCores,
  readCpuMicros,
  readMemory,
} from '../../bench/procfs.ts';

const noLinux = process.platform === 'linux' ? false : 'there is no /proc here';

test('CPU time is utime plus stime, in ticks of 10 ms', () => {
  const stat =
    '4711 (node) S 1 4711 4711 0 -1 4194560 2713 0 12 0 123 45 0 0 20 0 11 0 98765 1 2 3 4 5';
  assert.equal(parseCpuMicros(stat), (123 + 45) * 10_000);
});

test('a command whose name has spaces and parentheses does not shift the fields', () => {
  const stat = '99 (a) S (1 2) R 1 99 99 0 -1 4194560 7 0 0 0 8 2 0 0 20 0 1 0 5 1 2 3';
  assert.equal(parseCpuMicros(stat), 100_000);
});

test('a text that is no stat line is refused', () => {
  assert.throws(() => parseCpuMicros(''), /not a \/proc\/PID\/stat line/);
});

test('resident memory is read in kB', () => {
  const status = 'Name:\tnode\nVmRSS:\t   65432 kB\nRssAnon:\t   20480 kB\nRssFile:\t 44952 kB\n';
  assert.deepEqual(parseMemory(status), { rssKb: 65_432, anonymousKb: 20_480 });
  assert.throws(() => parseMemory('Name:\tkthreadd\n'), /no VmRSS/);
});

test('allowed cores are a list of numbers and ranges', () => {
  assert.deepEqual(parseAllowedCores('Cpus_allowed_list:\t0-2,5\n'), [0, 1, 2, 5]);
  assert.deepEqual(parseAllowedCores('Cpus_allowed:\t2\nCpus_allowed_list:\t1\n'), [1]);
});

test('a core that waits for a disk is idle, and stolen time is neither idle nor used', () => {
  const stat =
    'cpu  1 1 1 1 1 1 1 1 0 0\ncpu0 10 2 30 400 50 6 7 8 0 0\ncpu10 9 9 9 9 9 9 9 9 0 0\n';
  assert.deepEqual(parseCoreTimes(stat, 0), { idleUs: 4_500_000, stolenUs: 80_000 });
  assert.throws(() => parseCoreTimes(stat, 1), /no core 1/);
});

test('a process that computes has used CPU time and memory', { skip: noLinux }, () => {
  const before = readCpuMicros(process.pid);
  let sum = 0;
  while (readCpuMicros(process.pid) === before) sum += Math.sqrt(sum + 1);
  assert.ok(readCpuMicros(process.pid) > before && sum > 0);
  assert.ok(readMemory(process.pid).rssKb > 10_000);
  assert.ok(readAllowedCores().length >= 1);
});
