/** When what sidecars reported is written down, in a store that the test holds up. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readReports, type SidecarReport } from '../../src/identity/sidecar-reports.ts';
import type { StateStore } from '../../src/identity/state-store.ts';
import { ReportsKeeper } from '../../src/main/ca-reports.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';
import { ManualTime } from '../support/manual-time.ts';

const { reportsRestMinMs, reportsWaitMs, reportsWriteMs } = authorityLimits;

/** A store whose writings take `writeMs` of the test's time, or fail. */
function makeKeeper() {
  const time = new ManualTime();
  const wallTime = () => time.clock.epochMs + time.clock.now();
  const facts = { text: undefined as string | undefined, writes: 0, writeMs: 0, isDown: false };
  const store: StateStore = {
    place: 'memory',
    read: async () =>
      facts.text === undefined ? undefined : { text: facts.text, version: `${facts.writes}` },
    write: async (_name, text) => {
      if (facts.isDown) throw new Error('no space left');
      facts.writes += 1;
      if (facts.writeMs > 0) await new Promise<void>((settle) => time.after(facts.writeMs, settle));
      facts.text = text;
      return true;
    },
  };
  const troubles: string[] = [];
  const keeper = new ReportsKeeper({
    ...{ store, clock: time.clock, wallTime, wakeUps: time },
    onTrouble: (message) => troubles.push(message),
  });
  const report = (instance: string): SidecarReport => ({
    ...{ id: 'spiffe://cluster.local/ns/shop/sa/web', instance, bundleHash: '', rootHash: '' },
    ...{ issuedMs: wallTime(), notAfterMs: wallTime() + 3_600_000 },
  });
  const written = () =>
    readReports(facts.text ?? '')?.sidecars.map(({ instance }) => instance) ?? [];
  return {
    add: (name: string) => keeper.add(report(name)),
    facts,
    keeper,
    time,
    troubles,
    written,
  };
}

test('whoever reports waits until it is written, which begins at once', async () => {
  const { add, time, written } = makeKeeper();
  const before = time.clock.now();
  await time.advanceUntil(add('web-1').then(() => assert.deepEqual(written(), ['web-1'])));
  assert.equal(time.clock.now(), before);
});

test('many that report together are written together', async () => {
  const { add, facts, time, written } = makeKeeper();
  const names = Array.from({ length: 50 }, (_, index) => `web-${index}`);
  await time.advanceUntil(Promise.all(names.map(add)));
  assert.deepEqual(written(), names.sort());
  assert.equal(facts.writes, 1);
  await time.advanceUntil(Promise.all(['a', 'b', 'c'].map(add)));
  assert.equal(facts.writes, 2);
  assert.equal(written().length, 53);
});

test('between two writings it rests ten times as long as one takes, within bounds', async () => {
  for (const [writeMs, restMs] of [
    [1, reportsRestMinMs],
    [20, 200],
    [500, reportsWriteMs],
  ] as const) {
    const { add, facts, time } = makeKeeper();
    facts.writeMs = writeMs;
    await time.advanceUntil(add('a'));
    const before = time.clock.now();
    await time.advanceUntil(add('b'));
    assert.equal(time.clock.now() - before, restMs + writeMs);
  }
});

test('a store that cannot be written is said once, is tried again, and holds nobody up', async () => {
  const { add, facts, time, troubles, written } = makeKeeper();
  facts.isDown = true;
  await time.advanceUntil(add('a'));
  await time.advanceUntil(add('b'));
  assert.deepEqual(troubles, ['reports of sidecars cannot be written: no space left']);
  facts.isDown = false;
  await time.advance(reportsWriteMs);
  assert.deepEqual(written(), ['a', 'b']);
});

test('a store that takes very long is not waited for to the end', async () => {
  const { add, facts, time } = makeKeeper();
  facts.writeMs = 60_000;
  const before = time.clock.now();
  await time.advanceUntil(add('a'));
  assert.equal(time.clock.now() - before, reportsWaitMs);
});

test('at the end all is written, whatever rest is left', async () => {
  const { add, keeper, time, written } = makeKeeper();
  await time.advanceUntil(add('a'));
  const before = time.clock.now();
  const last = add('b');
  await keeper.flush();
  await time.advanceUntil(last);
  assert.deepEqual(written(), ['a', 'b']);
  assert.equal(time.clock.now(), before);
});
