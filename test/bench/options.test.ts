/**
 * The flags of the bench: what is not understood is one clear line, never ignored.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readH2load, readWrk } from '../../bench/cross-check.ts';
import { readOptions, UsageError } from '../../bench/options.ts';

test('without flags all arms run five rounds', () => {
  const options = readOptions([]);
  assert.ok(options !== 'help');
  assert.equal(options.rounds, 5);
  assert.equal(options.startRounds, 3);
  assert.ok(options.arms.includes('tracecar') && options.arms.includes('envoy'));
});

test('named arms run in the order of the table, starts in no more rounds than there are', () => {
  const options = readOptions(['--arms', 'floor,envoy', '--rounds', '2', '--seconds', '0.2']);
  assert.ok(options !== 'help');
  assert.deepEqual(options.arms, ['envoy', 'floor']);
  assert.deepEqual([options.rounds, options.startRounds, options.seconds], [2, 2, 0.2]);
});

test('mistakes are refused with what is wrong', () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['--arms', 'envoi'], /unknown arm "envoi"; known are: tracecar, envoy/],
    [['--rounds', '2.5'], /--rounds must be a whole number/],
    [['--rounds', 'many'], /--rounds must be a number from 1 to 1000, not "many"/],
    [['--seconds', '0'], /--seconds must be a number from 0\.1/],
    [['--fast'], /--fast/],
    [['stray'], /stray/],
  ];
  for (const [args, message] of refused) {
    assert.throws(
      () => readOptions(args),
      (error) => error instanceof UsageError && message.test(error.message),
      args.join(' '),
    );
  }
});

test('h2load is believed only when requests, statuses and bytes agree', () => {
  const output = (succeeded: number, ok: number, bytes: number) =>
    `finished in 2.00s, 500.00 req/s, 1MB/s\nrequests: 1000 total, 1000 started, 1000 done, ` +
    `${succeeded} succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: ${ok} 2xx, 0 3xx\n` +
    `traffic: 1MB (1) total, 1MB (1) headers (space savings 0.00%), 1MB (${bytes}) data\n`;
  assert.deepEqual(readH2load(output(1000, 1000, 100_000)), { requests: 1000, seconds: 2 });
  assert.throws(() => readH2load(output(1000, 900, 100_000)), /wrong answers/);
  assert.throws(() => readH2load(output(1000, 1000, 50_000)), /wrong answers/);
  assert.throws(() => readH2load('connect: refused'), /h2load: connect: refused/);
});

test('wrk is believed only when it complains of nothing', () => {
  const output = '  59798 requests in 1.10s, 14.20MB read\nRequests/sec:  54369.97\n';
  assert.deepEqual(readWrk(output), { requests: 59_798, seconds: 1.1 });
  assert.throws(() => readWrk(`${output}  Non-2xx or 3xx responses: 12\n`), /Non-2xx/);
});
