/**
 * Loops and long ways told apart by one member of tracestate.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  advanceHops,
  HOP_LINE_BYTES,
  HOP_MEMBER_BYTES,
  type HopTag,
  isHopMember,
  isLoop,
  putHops,
  readCallbackPort,
  readHops,
  unknownHops,
} from '../../src/telemetry/context/hop-state.ts';

/** How many sidecars a request reaches, the one that refuses it included; at most 200. */
function hopsOf(tagAt: (hop: number) => HopTag): number {
  let state = 0;
  for (let hop = 0; hop < 200; hop++) {
    state = advanceHops(state, tagAt(hop));
    if (isLoop(state)) return hop + 1;
  }
  return 200;
}

function print(state: number, port = 0): string {
  const out = Buffer.alloc(HOP_LINE_BYTES);
  assert.equal(putHops(state, port, out, 0), HOP_LINE_BYTES);
  return out.toString('latin1');
}

test('a way through 63 different sidecars is none of a loop, the 64th refuses', () => {
  assert.equal(
    hopsOf((hop) => 1_000 + hop),
    64,
  );
});

for (const [period, hops] of [
  [1, 8],
  [2, 8],
  [3, 13],
  [4, 16],
  [5, 23],
  [6, 26],
] as const) {
  test(`a loop of ${period} is cut at hop ${hops}`, () => {
    assert.equal(
      hopsOf((hop) => hop % period),
      hops,
    );
  });
}

test('a loop of two that begins seven hops into a way is cut at hop 14', () => {
  assert.equal(
    hopsOf((hop) => (hop < 7 ? 1_000 + hop : hop % 2)),
    14,
  );
});

test('every loop of up to 16 is cut, wherever it begins', () => {
  for (let begin = 0; begin < 30; begin++) {
    for (let period = 1; period <= 16; period++) {
      const hops = hopsOf((hop) => (hop < begin ? 1_000 + hop : (hop - begin) % period));
      assert.ok(hops <= 64, `${begin} hops, then a loop of ${period}: ${hops}`);
    }
  }
});

test('coming back to a sidecar twice is no loop', () => {
  let state = 0;
  for (const tag of [1, 2, 1, 2, 1, 2, 7, 8, 9, 10, 11]) {
    state = advanceHops(state, tag);
    assert.equal(isLoop(state), false);
  }
});

test('a state and a port are written as they are read', () => {
  let state = 0;
  for (let hop = 0; hop < 70; hop++) {
    state = advanceHops(state, 0xbeef + hop);
    const port = (hop * 947) & 0xffff;
    const member = print(state, port).replace('tracestate: ', '');
    assert.match(member, /^tracecar=[0-9a-f]{11}$/);
    assert.equal(member.length, HOP_MEMBER_BYTES);
    assert.equal(readHops(`x,${member},y`, 2, 2 + member.length), state);
    assert.equal(readCallbackPort(`x,${member},y`, 2, 2 + member.length), port);
  }
});

test('the member of an earlier sidecar has a state and no port', () => {
  const member = 'tracecar=12abcd3';
  assert.equal(readHops(member, 0, member.length), 0x12abcd3);
  assert.equal(readCallbackPort(member, 0, member.length), 0);
});

for (const member of [
  'tracecar=',
  'tracecar=12345678901g',
  'tracecar=1234567890g',
  'tracecar=1234567890',
  'tracecar=123456789012',
  'tracecar=1234567 ',
  'tracecar=12345678',
  'tracecar=123456',
  'tracecar=12345G7',
  'tracecar=ABCDEF0',
  'tracecar=123456\u0131',
  'Tracecar=1234567',
  'tracecat=1234567',
]) {
  test(`${JSON.stringify(member)} is not ours`, () => {
    assert.equal(readHops(member, 0, member.length), -1);
  });
}

test('whatever has our key takes its place', () => {
  assert.equal(isHopMember('tracecar=not what we write'), true);
  assert.equal(isHopMember('tracecart=1'), false);
});

test('a count without a tag is a length and no loop', () => {
  assert.equal(isLoop(advanceHops(unknownHops(20), 5)), false);
  assert.equal(isLoop(advanceHops(unknownHops(255), 5)), true);
});
