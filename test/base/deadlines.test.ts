/**
 * Deadlines over a clock and wake-ups that the test owns.
 */

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { Deadline, Deadlines, systemWakeUps, type WakeUps } from '../../src/base/deadlines.ts';
import { randomBelow, seededRandom } from '../../src/base/random.ts';

/** Wake-ups that fire when the clock is moved over them. */
class ManualWakeUps implements WakeUps {
  readonly clock = new ManualClock(1_000);
  asked = 0;
  #pending: { at: number; call: () => void }[] = [];

  after(delayMs: number, call: () => void): () => void {
    this.asked++;
    const wakeUp = { at: this.clock.now() + delayMs, call };
    this.#pending.push(wakeUp);
    return () => {
      this.#pending = this.#pending.filter((each) => each !== wakeUp);
    };
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** Moves time on, wake-up by wake-up. */
  advance(ms: number): void {
    const until = this.clock.now() + ms;
    for (;;) {
      const next = this.#pending.sort((left, right) => left.at - right.at)[0];
      if (next === undefined || next.at > until) break;
      this.#pending.shift();
      this.clock.advance(Math.max(0, next.at - this.clock.now()));
      next.call();
    }
    this.clock.advance(until - this.clock.now());
  }

  /** The loop stands still for `ms`; then the due timers run, then `onSockets`, then the rest. */
  stall(ms: number, onSockets: () => void): void {
    this.clock.advance(ms);
    const due = this.#pending.filter(({ at }) => at <= this.clock.now());
    this.#pending = this.#pending.filter((each) => !due.includes(each));
    for (const { call } of due) call();
    onSockets();
    this.advance(0);
  }
}

class Owner {
  readonly called: number[] = [];
  readonly deadline = new Deadline(this);
  onCall: (() => void) | undefined = undefined;

  onDeadline(now: number): void {
    this.called.push(now);
    this.onCall?.();
  }
}

function setUp(): { wakeUps: ManualWakeUps; deadlines: Deadlines } {
  const wakeUps = new ManualWakeUps();
  return { wakeUps, deadlines: new Deadlines(wakeUps.clock, wakeUps) };
}

test('an owner is called once, when its time has come', () => {
  const { wakeUps, deadlines } = setUp();
  const owner = new Owner();
  deadlines.set(owner.deadline, 1_050);
  wakeUps.advance(49);
  assert.deepEqual(owner.called, []);
  wakeUps.advance(100);
  assert.deepEqual(owner.called, [1_050]);
  assert.equal(deadlines.size, 0);
  assert.equal(wakeUps.pending, 0);
});

test('a deadline that is moved on is met at its last time only', () => {
  const { wakeUps, deadlines } = setUp();
  const owner = new Owner();
  deadlines.set(owner.deadline, 1_010);
  for (let at = 1_020; at <= 1_100; at += 10) deadlines.set(owner.deadline, at);
  wakeUps.advance(1_000);
  assert.deepEqual(owner.called, [1_100]);
});

test('moving a deadline on arms no timer', () => {
  const { wakeUps, deadlines } = setUp();
  const owner = new Owner();
  deadlines.set(owner.deadline, 1_010);
  for (let count = 0; count < 1_000; count++) deadlines.set(owner.deadline, 1_010 + count);
  assert.equal(wakeUps.asked, 1);
});

test('a deadline that is moved forward is met at the earlier time', () => {
  const { wakeUps, deadlines } = setUp();
  const [early, late] = [new Owner(), new Owner()];
  deadlines.set(early.deadline, 1_500);
  deadlines.set(late.deadline, 1_100);
  deadlines.set(early.deadline, 1_050);
  wakeUps.advance(60);
  assert.deepEqual([early.called, late.called], [[1_050], []]);
  wakeUps.advance(60);
  assert.deepEqual(late.called, [1_100]);
});

test('a cleared deadline is not met and its place goes when its time comes', () => {
  const { wakeUps, deadlines } = setUp();
  const owner = new Owner();
  deadlines.set(owner.deadline, 1_050);
  deadlines.clear(owner.deadline);
  assert.equal(deadlines.size, 1);
  wakeUps.advance(100);
  assert.deepEqual(owner.called, []);
  assert.equal(deadlines.size, 0);
});

test('a removed deadline leaves nothing behind, wherever it was', () => {
  const { wakeUps, deadlines } = setUp();
  const owners = Array.from({ length: 20 }, () => new Owner());
  owners.forEach((owner, index) => {
    deadlines.set(owner.deadline, 1_100 + ((index * 7) % 20));
  });
  for (const owner of owners.filter((_, index) => index % 2 === 0)) {
    deadlines.remove(owner.deadline);
  }
  assert.equal(deadlines.size, 10);
  wakeUps.advance(1_000);
  owners.forEach((owner, index) => {
    assert.equal(owner.called.length, index % 2);
  });
});

test('what waits on a socket is heard before a deadline is met, however late the timer is', () => {
  const { wakeUps, deadlines } = setUp();
  const [answered, silent] = [new Owner(), new Owner()];
  deadlines.set(answered.deadline, 1_010);
  deadlines.set(silent.deadline, 1_010);
  // The loop stalls: the timer runs late, and the first thing that is read after it is an answer.
  wakeUps.stall(500, () => deadlines.clear(answered.deadline));
  assert.deepEqual([answered.called, silent.called], [[], [1_500]]);
  assert.equal(wakeUps.pending, 0);
});

test('a deadline set while the sockets have their turn is met in its time', () => {
  const { wakeUps, deadlines } = setUp();
  const [late, next] = [new Owner(), new Owner()];
  deadlines.set(late.deadline, 1_010);
  wakeUps.stall(500, () => deadlines.set(next.deadline, 1_505));
  assert.deepEqual([late.called, next.called], [[1_500], []]);
  wakeUps.advance(5);
  assert.deepEqual(next.called, [1_505]);
});

test('the wake-ups of the platform with no delay come after what waits on a socket', async (t) => {
  const server = createServer();
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const heard: string[] = [];
  const socket = connect(port, '127.0.0.1', () => heard.push('connected'));
  t.after(() => socket.destroy());
  await new Promise<void>((resolve) => {
    systemWakeUps.after(1, () => {
      heard.push('timer');
      systemWakeUps.after(0, () => {
        heard.push('after the sockets');
        resolve();
      });
    });
    // The loop stalls until both the timer and the connection are due.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  });
  assert.deepEqual(heard, ['timer', 'connected', 'after the sockets']);
});

test('an owner may set its next deadline from its call', () => {
  const { wakeUps, deadlines } = setUp();
  const owner = new Owner();
  owner.onCall = () => {
    if (owner.called.length < 3) deadlines.set(owner.deadline, wakeUps.clock.now() + 10);
  };
  deadlines.set(owner.deadline, 1_010);
  wakeUps.advance(100);
  assert.deepEqual(owner.called, [1_010, 1_020, 1_030]);
});

test('an owner that throws does not stop the others', () => {
  const { wakeUps, deadlines } = setUp();
  const [bad, good, later] = [new Owner(), new Owner(), new Owner()];
  bad.onCall = () => {
    throw new Error('a bug of one owner');
  };
  deadlines.set(bad.deadline, 1_010);
  deadlines.set(good.deadline, 1_020);
  assert.throws(() => wakeUps.advance(15), /a bug of one owner/);
  wakeUps.advance(100);
  assert.deepEqual(good.called, [1_020]);
  deadlines.set(later.deadline, wakeUps.clock.now() + 5);
  wakeUps.advance(5);
  assert.equal(later.called.length, 1);
});

test('thousands of random moves keep the order of time', () => {
  const { wakeUps, deadlines } = setUp();
  const random = seededRandom(42);
  const met: { at: number; now: number }[] = [];
  const owners = Array.from({ length: 200 }, () => {
    const owner = { wanted: 0, deadline: undefined as unknown as Deadline, onDeadline };
    owner.deadline = new Deadline(owner);
    function onDeadline(now: number): void {
      met.push({ at: owner.wanted, now });
      owner.wanted = 0;
    }
    return owner;
  });
  for (let step = 0; step < 20_000; step++) {
    const owner = owners[randomBelow(random, owners.length)]!;
    const what = randomBelow(random, 10);
    if (what < 7) {
      owner.wanted = wakeUps.clock.now() + 1 + randomBelow(random, 500);
      deadlines.set(owner.deadline, owner.wanted);
    } else if (what === 7) {
      owner.wanted = 0;
      deadlines.clear(owner.deadline);
    } else if (what === 8) {
      owner.wanted = 0;
      deadlines.remove(owner.deadline);
    } else wakeUps.advance(randomBelow(random, 20));
    const late = owners.filter(({ wanted }) => wanted !== 0 && wanted <= wakeUps.clock.now());
    assert.equal(late.length, 0, 'a deadline was missed');
  }
  assert.ok(met.length > 1_000);
  for (const { at, now } of met) assert.equal(now, at);
  for (let index = 1; index < met.length; index++) {
    assert.ok(met[index]!.now >= met[index - 1]!.now);
  }
});
