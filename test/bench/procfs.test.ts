/**
 * What is read from /proc: texts as Linux 6.18 prints them, and this process as a living example.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseAllowedCores,
  parseCoreTimes,
  parseCpuMicros,
  parseEndedMicros,
  parseHasEnded,
  parseMemory,
  parseOpenFilesMax,
  parseScheduledMicros,
  readAllowedCores,
  readCpuMicros,
  readEndedMicros,
  readMemory,
  readOpenFilesMax,
  readThreadTimes,
  threadsUsed,
} from '../../bench/stage/procfs.ts';

const noLinux = process.platform === 'linux' ? false : 'there is no /proc here';

test('a process that has ended and was not waited for is none', () => {
  assert.ok(parseHasEnded('4711 (node) Z 1 4711 4711 0 -1 4194560'));
  assert.ok(parseHasEnded('4711 (a) Z) X 1 4711'));
  for (const state of ['R', 'S', 'D', 'T', 't', 'I']) {
    assert.ok(!parseHasEnded(`4711 (x (Z) ) ${state} 1 4711`), state);
  }
});

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

test('memory is read in kB, and private memory is clean and dirty', () => {
  const status = 'Name:\tnode\nVmRSS:\t   65432 kB\nRssAnon:\t   20480 kB\nRssFile:\t 44952 kB\n';
  const rollup =
    '55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 65432 kB\nPss:   30000 kB\nPss_Anon: 1 kB\n' +
    'Shared_Clean: 5 kB\nPrivate_Clean:   1000 kB\nPrivate_Dirty:  21000 kB\n';
  assert.deepEqual(parseMemory(status, rollup), {
    rssKb: 65_432,
    anonymousKb: 20_480,
    privateKb: 22_000,
    pssKb: 30_000,
  });
  assert.throws(() => parseMemory('Name:\tkthreadd\n', ''), /no VmRSS/);
});

test('the first number of schedstat is nanoseconds on a core', () => {
  assert.equal(parseScheduledMicros('1234567 89 10\n'), 1234.567);
  assert.throws(() => parseScheduledMicros(''), /not a schedstat line/);
});

test('threads that were there or came are summed, and a thread that ended makes ticks count', () => {
  const before = {
    pid: 7,
    byThread: new Map([
      [7, 100],
      [8, 50],
    ]),
    ticksUs: 0,
  };
  const after = {
    pid: 7,
    byThread: new Map([
      [7, 160],
      [8, 60],
      [9, 5],
    ]),
    ticksUs: 10_000,
  };
  assert.deepEqual(threadsUsed(before, after), { allUs: 75, mainUs: 60 });
  const ended = { ...after, byThread: new Map([[7, 160]]) };
  assert.deepEqual(threadsUsed(before, ended), { allUs: 10_000, mainUs: 60 });
  // A thread that came and went in between is only in the count of the process.
  const visited = { ...after, ticksUs: 40_000 };
  assert.deepEqual(threadsUsed(before, visited), { allUs: 40_000, mainUs: 60 });
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
  const { rssKb, privateKb, pssKb } = readMemory(process.pid);
  assert.ok(rssKb > 10_000 && pssKb <= rssKb && privateKb <= rssKb);
  const { byThread } = readThreadTimes(process.pid);
  assert.ok(byThread.size > 1 && byThread.get(process.pid)! > 10_000);
  assert.ok(readAllowedCores().length >= 1);
});

test('time of children that have ended is theirs that were waited for', { skip: noLinux }, () => {
  // Fields 14 to 17 of proc(5): utime, stime, cutime, cstime, in ticks of 10 ms.
  const stat = '7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 11 12 13 14 20 0 1 0 100 1 1';
  assert.equal(parseCpuMicros(stat), 230_000);
  assert.equal(parseEndedMicros(stat), 270_000);
  assert.ok(readEndedMicros(process.pid) >= 0);
});

test('descriptors that a process may have open are the soft limit', { skip: noLinux }, () => {
  const limits =
    'Limit       Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n';
  assert.equal(parseOpenFilesMax(limits), 1024);
  assert.equal(parseOpenFilesMax(limits.replace('1024', 'unlimited')), Number.POSITIVE_INFINITY);
  assert.throws(() => parseOpenFilesMax(''), /Max open files/);
  assert.ok(readOpenFilesMax() > 100);
});
