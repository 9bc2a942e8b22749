/**
 * The member `ot` of tracestate: thresholds and randomness of 56 bits, as OpenTelemetry writes them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HeadSampler, reaches } from '../../src/telemetry/context/head-sampler.ts';
import {
  putThreshold,
  readSampling,
  readThreshold,
  replaceThreshold,
  THRESHOLD_BYTES,
  thresholdDigits,
} from '../../src/telemetry/context/sampling-state.ts';
import { TraceContext } from '../../src/telemetry/context/trace-context.ts';

/** 56 bits as one number: for comparing with what the specification says. */
function wide(high: number, low: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function print(context: TraceContext): string {
  const out = Buffer.alloc(THRESHOLD_BYTES);
  const end = putThreshold(context.thresholdHigh, context.thresholdLow, out, 0);
  return out.toString('latin1', 0, end);
}

function read(member: string): TraceContext | undefined {
  const context = new TraceContext();
  return readThreshold(`<${member}>`, 1, 1 + member.length, context) ? context : undefined;
}

test('a threshold is read as if zeros followed it, and written without them', () => {
  const digits = fc.stringMatching(/^[0-9a-f]{1,14}$/);
  fc.assert(
    fc.property(digits, (sent) => {
      const context = read(`ot=th:${sent}`);
      assert.ok(context !== undefined);
      const value = wide(context.thresholdHigh, context.thresholdLow);
      assert.equal(value, BigInt(`0x${sent.padEnd(14, '0')}`));
      assert.equal(print(context), `,ot=th:${sent.replace(/0+$/, '') || '0'}`);
    }),
  );
});

for (const member of [
  'ot=th:',
  'ot=th:123456789012345',
  'ot=th:C',
  'ot=th:c;rv:00000000000000',
  'ot=th: c',
  'ot=th:g',
  'ot=rv:00000000000000',
  'OT=th:c',
  'ot=p:8',
  '',
]) {
  test(`${JSON.stringify(member)} is no member with a threshold alone`, () => {
    assert.equal(read(member), undefined);
  });
}

test('randomness is taken of 14 digits only, and an odd pair says nothing', () => {
  const context = new TraceContext();
  readSampling('ot=th:c;rv:9b8233f7e3a151;x:y', context);
  assert.equal(wide(context.thresholdHigh, context.thresholdLow), 0xc0_0000_0000_0000n);
  assert.equal(wide(context.randomHigh, context.randomLow), 0x9b_8233_f7e3_a151n);
  readSampling('ot=rv:9b8233f7e3a15;th:;th:123456789012345', context);
  assert.equal(context.thresholdHigh, -1);
  assert.equal(context.randomHigh, -1);
});

test('another threshold goes to the front, keeps what else the member says, and the other members', () => {
  const context = new TraceContext();
  context.setThreshold(0xc0_0000, 0);
  const states = 'rojo=1,ot=th:8;rv:9b8233f7e3a151,congo=2';
  const replaced = 'ot=th:c;rv:9b8233f7e3a151,rojo=1,congo=2';
  assert.equal(replaceThreshold(states, context, 31), replaced);
  context.setThreshold(-1, 0);
  assert.equal(replaceThreshold(states, context, 31), 'ot=rv:9b8233f7e3a151,rojo=1,congo=2');
  assert.equal(replaceThreshold('a=1,ot=th:8', context, 31), 'a=1');
  context.setThreshold(0, 0);
  assert.equal(replaceThreshold('a=1,b=2', context, 2), 'ot=th:0,a=1');
});

test('a list that is full loses what does not fit behind another threshold', () => {
  const context = new TraceContext();
  context.setThreshold(0xfd_70a3, 0xd70a_3d70 | 0);
  const full = `ot=th:0;k:${'v'.repeat(248)}`;
  assert.equal(replaceThreshold(full, context, 31), 'ot=th:fd70a3d70a3d7');
});

test('the digits of a sampler are those that its spans show', () => {
  const texts = new Map([
    [1, '0'],
    [0.5, '8'],
    [0.25, 'c'],
    [0.01, 'fd70a3d70a3d7'],
  ]);
  for (const [ratio, text] of texts) {
    const { thresholdHigh, thresholdLow } = new HeadSampler({ isParentBased: true, ratio });
    assert.equal(thresholdDigits(thresholdHigh, thresholdLow), text);
  }
});

test('randomness reaches a threshold by all of its 56 bits', () => {
  const bits = fc.bigInt({ min: 0n, max: (1n << 56n) - 1n });
  fc.assert(
    fc.property(bits, fc.oneof(bits, fc.constant(-1n)), (random, other) => {
      const threshold = other === -1n ? random : other;
      const halves = [random, threshold].flatMap((value) => [
        Number(value >> 32n),
        Number(value & 0xffff_ffffn) | 0,
      ]) as [number, number, number, number];
      assert.equal(reaches(...halves), random >= threshold);
    }),
  );
});
