/**
 * How often the redirection rules are proven, and what readiness and the log say of it.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Log } from '../../src/main/log.ts';
import { RedirectionWatch } from '../../src/main/sidecar-capture.ts';
import { ManualTime } from '../support/manual-time.ts';

const gone = 'the redirection rules of this pod are not in force';

function watchOf(t: TestContext, first: string | undefined) {
  const time = new ManualTime();
  const log: string[] = [];
  /** When the proof was tried, and how long it might take. */
  const tries: { atMs: number; timeoutMs: number }[] = [];
  let answer = first;
  let changes = 0;
  const startedMs = time.clock.now();
  const watch = new RedirectionWatch({
    clock: time.clock,
    wakeUps: time,
    log: new Log('info', { write: (line) => log.push(JSON.parse(line).message) }, time.clock),
    async prove(timeoutMs) {
      tries.push({ atMs: time.clock.now() - startedMs, timeoutMs });
      return answer;
    },
    onChange: () => {
      changes++;
    },
  });
  t.after(() => watch.close());
  return {
    ...{ time, log, tries, watch },
    changes: () => changes,
    answers(next: string | undefined) {
      answer = next;
    },
  };
}

test('a proof at once is silent, and is asked for again every 30 s', async (t) => {
  const { log, time, tries, watch } = watchOf(t, '');
  await watch.start();
  assert.equal(watch.problem, '');
  await time.advance(95_000);
  assert.deepEqual(
    tries.map(({ atMs }) => atMs),
    [0, 30_000, 60_000, 90_000],
  );
  assert.deepEqual(log, []);
});

test('rules that go show within 35 s, are told once, and so is their return', async (t) => {
  const { answers, changes, log, time, tries, watch } = watchOf(t, '');
  await watch.start();
  await time.advance(10);
  answers(gone);
  await time.advance(35_000);
  assert.equal(watch.problem, gone);
  assert.equal(changes(), 1);
  assert.ok(tries.every(({ timeoutMs }) => timeoutMs <= 1_000));
  await time.advance(60_000);
  assert.deepEqual(log, [`not ready: ${gone}`]);
  answers('');
  await time.advance(1_000);
  assert.equal(watch.problem, '');
  assert.equal(changes(), 2);
  assert.deepEqual(log.slice(1), ['the redirection rules of this pod are in force']);
});

test('rules that come while the sidecar starts are proven within 20 ms, without a word', async (t) => {
  const { answers, log, time, tries, watch } = watchOf(t, gone);
  let isProven = false;
  const started = watch.start().then(() => {
    isProven = true;
  });
  await time.advance(1_000);
  assert.equal(watch.problem, gone);
  assert.equal(isProven, false);
  const before = tries.length;
  answers('');
  await time.advance(20);
  await started;
  assert.ok(tries.length > before);
  assert.equal(watch.problem, '');
  assert.deepEqual(log, []);
});

test('rules that do not come are told of after two seconds, once for each reason', async (t) => {
  const { answers, log, time, watch } = watchOf(t, gone);
  const started = watch.start();
  await time.advance(1_900);
  assert.deepEqual(log, []);
  await time.advance(3_000);
  assert.deepEqual(log, [`not ready: ${gone}`]);
  answers('another reason');
  await time.advance(3_000);
  assert.deepEqual(log.slice(1), ['not ready: another reason']);
  answers('');
  await time.advance(1_000);
  await started;
  assert.equal(log.length, 3);
});

test('the same reason with another word of the system is told once', async (t) => {
  const { answers, log, time, watch } = watchOf(t, '');
  await watch.start();
  for (const ending of ['ENETUNREACH', 'no answer', 'ENETUNREACH']) {
    answers(`${gone}: ${ending}, for a dial of the sentinel 192.0.2.1:15001`);
    await time.advance(32_000);
  }
  assert.deepEqual(log, [
    `not ready: ${gone}: ENETUNREACH, for a dial of the sentinel 192.0.2.1:15001`,
  ]);
});

test('one proof that fails between two that hold changes nothing', async (t) => {
  const { answers, changes, log, time, tries, watch } = watchOf(t, '');
  await watch.start();
  answers(gone);
  await time.advance(30_500);
  assert.equal(tries.length, 2);
  answers('');
  await time.advance(30_000);
  assert.deepEqual([watch.problem, changes(), log], ['', 0, []]);
  answers(gone);
  await time.advance(31_500);
  assert.equal(watch.problem, gone);
});

test('probes that come past the rules are told once, and not before the rules were there', async (t) => {
  const { answers, log, time, watch } = watchOf(t, gone);
  const started = watch.start();
  watch.takeProbe(false);
  assert.deepEqual(log, []);
  answers('');
  await time.advance(20);
  await started;
  watch.takeProbe(true);
  assert.deepEqual(log, []);
  for (let count = 0; count < 3; count++) watch.takeProbe(false);
  assert.equal(log.length, 1);
  assert.match(log[0]!, /^not ready: this probe came past the inbound redirection rules/);
  for (let count = 0; count < 2; count++) watch.takeProbe(true);
  assert.deepEqual(log.slice(1), ['probes pass the inbound redirection rules of this pod again']);
});

test('what cannot be told now is as it was, and is asked again soon', async (t) => {
  const { answers, changes, log, time, tries, watch } = watchOf(t, '');
  await watch.start();
  answers(undefined);
  await time.advance(32_500);
  assert.equal(watch.problem, '');
  assert.equal(changes(), 0);
  assert.deepEqual(log, []);
  assert.deepEqual(
    tries.map(({ atMs }) => atMs),
    [0, 30_000, 31_000, 32_000],
  );
});

test('one that is closed lets its start go and asks no more', async (t) => {
  const { time, tries, watch } = watchOf(t, gone);
  const started = watch.start();
  await time.advance(5);
  watch.close();
  await started;
  const before = tries.length;
  await time.advance(60_000);
  assert.equal(tries.length, before);
});
