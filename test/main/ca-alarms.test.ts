import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CaAlarms } from '../../src/main/ca-alarms.ts';

const dayMs = 86_400_000;
const endMs = Date.UTC(2027, 0, 31);

function listen() {
  const heard: string[] = [];
  const alarms = new CaAlarms((level, message) => heard.push(`${level}: ${message}`));
  const look = (daysLeft: number, more: { which?: string; isRenewed?: boolean } = {}) =>
    alarms.look(
      { what: 'the root', which: 'a', notAfterMs: endMs, advice: 'rotate', ...more },
      endMs - daysLeft * dayMs,
    );
  return { heard, look };
}

test('a root is heard of at 30, 7 and 1 days and at its end, once each', () => {
  const { heard, look } = listen();
  for (const days of [400, 31, 30, 29, 8, 7, 6.9, 2, 1, 0.5, 0, -1]) look(days);
  assert.deepEqual(heard, [
    'info: the root ends in 30 days (2027-01-31T00:00:00.000Z); rotate',
    'warn: the root ends in 7 days (2027-01-31T00:00:00.000Z); rotate',
    'error: the root ends in 24 hours (2027-01-31T00:00:00.000Z); rotate',
    'error: the root has ended (2027-01-31T00:00:00.000Z); rotate',
  ]);
});

test('an authority that starts late hears the newest alarm alone', () => {
  const { heard, look } = listen();
  look(0.5);
  look(0.4);
  assert.deepEqual(heard, ['error: the root ends in 12 hours (2027-01-31T00:00:00.000Z); rotate']);
});

test('its successor begins anew', () => {
  const { heard, look } = listen();
  look(1);
  look(300, { which: 'b' });
  look(30, { which: 'b' });
  assert.equal(heard.length, 2);
});

test('what renews itself is not worth a word a month before', () => {
  const { heard, look } = listen();
  look(30, { isRenewed: true });
  assert.equal(heard.length, 0);
  look(7, { isRenewed: true });
  assert.equal(heard.length, 1);
});
