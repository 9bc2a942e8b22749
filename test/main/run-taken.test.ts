/**
 * How long `tracecar run` waits for what its command sent, by the kernel's tables of connections. That
 * the bytes arrive: test/e2e/namespaces/run.test.ts.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { awaitTaken, readOnTheWay } from '../../src/main/run-taken.ts';
import { ManualTime } from '../support/manual-time.ts';

const heading =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n';

/** A line of proc_net_tcp(5): 169.254.1.2 to 10.7.0.2:7007, of the sidecar, with nothing on its way. */
function lineOf({
  local = '0201FEA9:C350',
  remote = '0200070A:1B5F',
  state = '01',
  unsent = 0,
  unread = 0,
  uid = 1337,
}): string {
  const hex = (bytes: number) => bytes.toString(16).toUpperCase().padStart(8, '0');
  return `   0: ${local} ${remote} ${state} ${hex(unsent)}:${hex(unread)} 00:00000000 00000000  ${uid}        0 1611 1 0 100 0 0 10 0\n`;
}

const waiting = (state: Parameters<typeof lineOf>[0]) => readOnTheWay(heading + lineOf(state));

test('what no receiver has taken is on its way, and is named by its receiver', () => {
  const seen = waiting({ unsent: 60_000, state: '04', uid: 0 });
  assert.deepEqual([seen.isSending, seen.peers], [true, ['10.7.0.2:7007']]);
  const mapped = '0000000000000000FFFF00000200070A:1B5F';
  const v6 = '617274FD070065630000000001000000:0050';
  assert.deepEqual(waiting({ unsent: 1, remote: mapped }).peers, ['10.7.0.2:7007']);
  assert.deepEqual(waiting({ unsent: 1, remote: v6 }).peers, ['[fd74:7261:6365:7::1]:80']);
  const both = readOnTheWay(heading + lineOf({ unsent: 1 }) + heading + lineOf({ unsent: 2 }));
  assert.deepEqual(both.peers, ['10.7.0.2:7007']);
});

test('what the sidecar has not read yet is on its way, what others do not read is not', () => {
  assert.equal(waiting({ unread: 1 }).isSending, true);
  assert.equal(waiting({ unread: 1, uid: 0 }).isSending, false);
});

test('idle, listening and ended connections and our own questions are nothing', () => {
  const metrics = '0201FEA9:3AF2';
  const states = [{}, { state: '0A', unread: 3 }, { state: '06', unsent: 1 }];
  for (const each of [...states, { local: metrics, unsent: 7 }]) {
    assert.equal(waiting(each).isSending, false);
  }
  assert.equal(readOnTheWay('').isSending, false);
});

test('a caller that came after the command, or has all that it sent, is waited for no longer', () => {
  const first = lineOf({ local: '0201FEA9:3A9E', remote: '0200070A:1B5F', unsent: 9 });
  const second = lineOf({ local: '0201FEA9:3A9E', remote: '0200070A:1B60', unsent: 9 });
  const seen = readOnTheWay(heading + first);
  assert.equal(seen.isSending, true);
  assert.equal(readOnTheWay(heading + first + second, seen.callers).callers.size, 1);
  assert.equal(readOnTheWay(heading + second, seen.callers).isSending, false);
  assert.equal(
    readOnTheWay(heading + first, readOnTheWay('', seen.callers).callers).isSending,
    false,
  );
});

test('a dial counts only while a connection of the command is held for it', () => {
  const dial = lineOf({ state: '02', unsent: 1 });
  const held = lineOf({ local: '0100007F:3A99', state: '08' });
  assert.equal(readOnTheWay(dial).isSending, false);
  assert.deepEqual(readOnTheWay(dial + held).peers, ['10.7.0.2:7007']);
});

function start(tables: () => string) {
  const time = new ManualTime();
  const [remarks, complaints]: [string[], string[]] = [[], []];
  const called = { isOff: false };
  const began = time.clock.now();
  const done = awaitTaken({
    clock: time.clock,
    wakeUps: time,
    readTables: tables,
    isCalledOff: () => called.isOff,
    remark: (line) => remarks.push(line),
    complain: (line) => complaints.push(line),
  });
  const tookMs = async () => {
    await time.advanceUntil(done);
    return time.clock.now() - began;
  };
  return { time, remarks, complaints, called, tookMs };
}

test('it is over at once when nothing is on its way', async () => {
  const { remarks, complaints, tookMs } = start(() => lineOf({}));
  assert.deepEqual([await tookMs(), remarks, complaints], [0, [], []]);
});

test('a receiver that takes nothing is waited for 10 s, and named', async () => {
  const { remarks, complaints, tookMs } = start(() => lineOf({ unsent: 9 }));
  assert.equal(await tookMs(), 10_000);
  assert.deepEqual(
    [remarks, complaints],
    [
      ['waits until 10.7.0.2:7007 has taken what the command sent; Ctrl-C ends it at once'],
      ['gave up sending what the command left for 10.7.0.2:7007: nothing of it was taken for 10 s'],
    ],
  );
});

test('a receiver that goes on is waited for, at most a minute', async () => {
  const counting = (from: number) => {
    let left = from;
    return () => {
      left = Math.max(0, left - 1);
      return lineOf({ unsent: left });
    };
  };
  const slow = start(counting(800));
  assert.equal(await slow.tookMs(), 799 * 20);
  assert.deepEqual(slow.complaints, []);
  const endless = start(counting(1_000_000));
  assert.equal(await endless.tookMs(), 60_000);
  assert.match(endless.complaints.join(), /10\.7\.0\.2:7007: it was not all taken in 60 s$/);
});

test('what the sidecar has read may be held for a second', async () => {
  const held = lineOf({ local: '0100007F:3A99', state: '08' });
  const { remarks, complaints, tookMs } = start(() => held);
  assert.deepEqual([await tookMs(), remarks, complaints], [1_000, [], []]);
});

test('who calls it off ends it', async () => {
  const { time, called, complaints, tookMs } = start(() => lineOf({ unsent: 9 }));
  await time.advance(2_000);
  called.isOff = true;
  assert.ok((await tookMs()) <= 2_020);
  assert.deepEqual(complaints, []);
});
