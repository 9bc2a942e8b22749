/**
 * What a program says on stderr: log lines, the verdict on its runtime, problems with ports.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { listenProblem } from '../../src/main/listen-problem.ts';
import { Log, type LogLevel } from '../../src/main/log.ts';
import { judgeNodeVersion } from '../../src/main/node-version.ts';

function logged(level: LogLevel, isTTY: boolean, write: (log: Log) => void): string {
  let output = '';
  const sink = {
    isTTY,
    write: (text: string) => {
      output += text;
    },
  };
  write(new Log(level, sink, new ManualClock(1_500, Date.UTC(2026, 0, 2, 3, 4, 5))));
  return output;
}

test('a line is JSON with time, level, message and fields', () => {
  const line = logged('info', false, (log) => log.write('warn', 'a "b"\n', { port: 1 }));
  assert.ok(line.endsWith('\n') && line.indexOf('\n') === line.length - 1);
  assert.deepEqual(JSON.parse(line), {
    time: '2026-01-02T03:04:06.500Z',
    level: 'warn',
    message: 'a "b"\n',
    port: 1,
  });
});

test('lines below the level are left out, and the level can change', () => {
  const output = logged('warn', false, (log) => {
    log.write('info', 'one');
    log.write('error', 'two');
    log.level = 'debug';
    log.write('debug', 'three');
  });
  assert.doesNotMatch(output, /one/);
  assert.match(output, /two/);
  assert.match(output, /three/);
});

test('a terminal gets text', () => {
  const line = logged('info', true, (log) => log.write('info', 'ready', { admin: '127.0.0.1:1' }));
  assert.equal(line.replace(/\u001b\[\d+m/g, ''), '03:04:06.500 info  ready admin=127.0.0.1:1\n');
});

test('Node.js below 26.10 is refused, below 26.12.1 warned about', () => {
  for (const version of ['20.20.2', '24.21.0', '26.9.9', 'x']) {
    assert.equal(judgeNodeVersion(version).isTooOld, true, version);
  }
  for (const version of ['26.10.0', '26.11.3', '26.12.0']) {
    const verdict = judgeNodeVersion(version);
    assert.equal(verdict.isTooOld, false, version);
    assert.match(verdict.sentence, /26\.12\.1 or newer/);
  }
  for (const version of ['26.12.1', '26.13.0', '27.0.0', '28.1.0-nightly2027']) {
    assert.deepEqual(judgeNodeVersion(version), { isTooOld: false, sentence: '' }, version);
  }
});

test('a port that cannot be had is one line with its cause and the next command', () => {
  assert.match(
    listenProblem('the admin port', '127.0.0.1', 15_000, 'EADDRINUSE'),
    /^127\.0\.0\.1:15000, the admin port, is in use .*`ss -ltnp 'sport = :15000'`/,
  );
  assert.match(listenProblem('x', '::1', 80, 'EACCES'), /^\[::1\]:80, x, .* port above 1023/);
  assert.match(listenProblem('x', '192.0.2.1', 80, 'EADDRNOTAVAIL'), /`ip addr`/);
  assert.match(listenProblem('x', '127.0.0.1', 80, 'EWHATEVER'), /EWHATEVER$/);
});

test('on a terminal, text from outside cannot steer it', () => {
  const hostile = 'a\u001b[2Jb\nc';
  const line = logged('info', true, (log) => log.write('warn', hostile, { file: hostile }));
  assert.equal(line.split('a\\x1b[2Jb\\x0ac').length, 3);
  assert.ok(!line.includes('\u001b[2J') && line.indexOf('\n') === line.length - 1);
});
