import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { CaGate } from '../../src/main/ca-gate.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const { connectionsPerAddressMax, dialsBurst, dialsPerSecond } = authorityLimits;

test('an address has so many connections at a time, and one that ends makes room', () => {
  const gate = new CaGate(authorityLimits, new ManualClock());
  for (let count = 0; count < connectionsPerAddressMax; count += 1) assert.ok(gate.enter('a'));
  assert.equal(gate.enter('a'), false);
  assert.equal(gate.enter('b'), true);
  gate.leave('a');
  assert.equal(gate.enter('a'), true);
});

test('an address that dials without end gets so many a second', () => {
  const clock = new ManualClock();
  const gate = new CaGate(authorityLimits, clock);
  const dial = () => {
    const isIn = gate.enter('a');
    if (isIn) gate.leave('a');
    return isIn;
  };
  const many = Array.from({ length: 1_000 }, dial);
  assert.equal(many.filter(Boolean).length, dialsBurst);
  clock.advance(1_000);
  assert.equal(Array.from({ length: 1_000 }, dial).filter(Boolean).length, dialsPerSecond);
});
