import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { CaGate, type CaGuest } from '../../src/main/ca-gate.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const { connectionsMax, connectionsPerAddressMax, dialsBurst, dialsPerSecond } = authorityLimits;

function makeGate(limits = authorityLimits) {
  const clock = new ManualClock();
  const gate = new CaGate(limits, clock);
  const closed: CaGuest[] = [];
  const dial = (address: string) => {
    const guest = { address, close: () => {} };
    const isIn = gate.enter(guest, (other) => closed.push(other));
    return { guest, isIn };
  };
  return { clock, closed, dial, gate };
}

test('an address has so many connections at a time, and one that ends makes room', () => {
  const { dial, gate } = makeGate();
  const first = dial('a');
  for (let count = 1; count < connectionsPerAddressMax; count += 1) assert.ok(dial('a').isIn);
  assert.equal(dial('a').isIn, false);
  assert.equal(dial('b').isIn, true);
  gate.leave(first.guest);
  assert.equal(dial('a').isIn, true);
  gate.leave(first.guest);
  assert.equal(dial('a').isIn, false, 'an end that is said twice makes room once');
});

test('an address that dials without end gets so many a second', () => {
  const { clock, dial: open, gate } = makeGate();
  const dial = () => {
    const { guest, isIn } = open('a');
    gate.leave(guest);
    return isIn;
  };
  const many = Array.from({ length: 1_000 }, dial);
  assert.equal(many.filter(Boolean).length, dialsBurst);
  clock.advance(1_000);
  assert.equal(Array.from({ length: 1_000 }, dial).filter(Boolean).length, dialsPerSecond);
});

test('where all places are taken the oldest silent one of the address with the most gives way', () => {
  const { closed, dial } = makeGate({ ...authorityLimits, connectionsMax: 6 });
  const [, b] = [dial('a'), dial('b'), dial('b'), dial('b'), dial('c'), dial('c')];
  assert.deepEqual(closed, []);
  const more = dial('d');
  assert.ok(more.isIn);
  assert.deepEqual(closed, [b!.guest]);
  for (let count = 0; count < 20; count += 1) assert.ok(dial('b').isIn);
  assert.ok(
    closed.every(({ address }) => address === 'b'),
    'others keep theirs',
  );
});

test('who has asked is not closed for others until it has its answer', () => {
  const { closed, dial, gate } = makeGate({ ...authorityLimits, connectionsMax: 2 });
  const [a, b] = [dial('a'), dial('b')];
  for (const { guest } of [a, b]) gate.work(guest);
  assert.equal(dial('c').isIn, false);
  gate.rest(b.guest);
  assert.ok(dial('c').isIn);
  assert.deepEqual(closed, [b.guest]);
  gate.rest(b.guest);
  gate.leave(a.guest);
  assert.ok(dial('d').isIn);
  assert.deepEqual(closed, [b.guest], 'who has gone is not closed again');
});

test('one address cannot have all places', () => {
  assert.ok(connectionsPerAddressMax * 2 < connectionsMax);
});
