/**
 * Who else was on the cores: each of the two is judged by itself, and what spoils a row is written down.
 */

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { Row } from '../../bench/result/row.ts';
import type { Bench } from '../../bench/rounds/bench-run.ts';
import {
  type Conditions,
  compareConditions,
  findCoreFaults,
} from '../../bench/rounds/conditions.ts';
import { memory } from '../../bench/scenarios/memory.ts';
import { Children } from '../../bench/stage/children.ts';
import { noThreads, readAllowedCores } from '../../bench/stage/procfs.ts';
import type { RunningArm } from '../../bench/stage/stage.ts';

const second = 1_000_000;

/** Conditions after a second in which both cores were used for half of it, all of it by us. */
function afterSecond(change: Partial<Conditions> = {}): Conditions {
  return {
    atUs: second,
    threads: [{ pid: 7, byThread: new Map([[7, 500_000]]), ticksUs: 500_000 }],
    loadThreads: [8, 9].map((pid) => ({
      ...{ pid, byThread: new Map([[pid, 250_000]]), ticksUs: 250_000 },
    })),
    proxyCore: { idleUs: 500_000, stolenUs: 0 },
    loadCore: { idleUs: 500_000, stolenUs: 0 },
    ...change,
  };
}

const before: Conditions = {
  atUs: 0,
  threads: [{ ...noThreads, pid: 7 }],
  loadThreads: [8, 9].map((pid) => ({ ...noThreads, pid })),
  proxyCore: { idleUs: 0, stolenUs: 0 },
  loadCore: { idleUs: 0, stolenUs: 0 },
};

function faultsOf(change: Partial<Conditions>): readonly string[] {
  return findCoreFaults(compareConditions(before, afterSecond(change)));
}

test('what our own processes use of their cores is nobody else', () => {
  assert.deepEqual(faultsOf({}), []);
  const shares = compareConditions(before, afterSecond());
  assert.deepEqual([shares.proxyCoreBusy, shares.loadCoreBusy], [0.5, 0.5]);
});

test('time stolen from one core is not halved by the calm of the other', () => {
  const stolen = { idleUs: 470_000, stolenUs: 30_000 };
  assert.deepEqual(faultsOf({ proxyCore: stolen }), ["time stolen from the proxy's core: 3.0 %"]);
  assert.deepEqual(faultsOf({ loadCore: stolen }), ["time stolen from the load's core: 3.0 %"]);
});

test('a stranger is seen on either core, beyond what two ticks can tell', () => {
  const used = (us: number) => ({ idleUs: 500_000 - us, stolenUs: 0 });
  assert.deepEqual(faultsOf({ proxyCore: used(100_000) }), ["others on the proxy's core: 8.0 %"]);
  assert.deepEqual(faultsOf({ loadCore: used(100_000) }), ["others on the load's core: 8.0 %"]);
  assert.deepEqual(faultsOf({ loadCore: used(60_000), proxyCore: used(60_000) }), []);
});

test('a process of the load that came meanwhile counts from its beginning', () => {
  const shares = compareConditions({ ...before, loadThreads: [] }, afterSecond());
  assert.equal(shares.loadForeign, 0);
});

test('children are known by the core that they were given', { skip: noLinux() }, async () => {
  const children = new Children();
  const core = readAllowedCores()[0]!;
  const launch = { command: process.execPath, args: ['-e', 'setInterval(() => {}, 9e8)'] };
  const about = { ...launch, directory: tmpdir() };
  const pinned = children.start({ ...about, core });
  const free = children.start({ ...about, core: undefined });
  assert.deepEqual(children.pidsOn(core), [pinned.pid]);
  assert.ok(free.pid > 0);
  await children.stopAll();
  assert.deepEqual(children.pidsOn(core), []);
});

/** A bench whose cores were as `faults` say and whose generator was answered with `wrong` mistakes. */
function benchWith(faults: readonly string[], wrong: number): Bench {
  const running = { name: 'tracecar', port: 1, child: { pid: process.pid } } as RunningArm;
  const errors = { status: wrong };
  const generator = {
    run: async () => ({ sent: 4000, completed: 4000, errors }),
    hold: async () => {},
    release: async () => {},
  };
  const watch = () => ({ end: () => ({ values: { stolen: 0 }, faults }) });
  const fake = {
    stage: { generator },
    startFresh: async () => running,
    stop: async () => {},
    watch,
  };
  return fake as unknown as Bench;
}

test('a row of idle memory has the faults that any row has', { skip: noLinux() }, async () => {
  const idle = (bench: Bench): Promise<Row> =>
    memory.measure(bench, { arm: 'tracecar', point: 'idle' }, { round: 0, place: 0, seconds: 1 });
  const [calm, disturbed, wrong] = await Promise.all([
    idle(benchWith([], 0)),
    idle(benchWith(["others on the proxy's core: 9.0 %"], 0)),
    idle(benchWith([], 3)),
  ]);
  assert.deepEqual(calm.faults, []);
  assert.ok(calm.values.privateKb! > 1000 && Number.isFinite(calm.values.idlePrivateBytes));
  assert.deepEqual(disturbed.faults, ["others on the proxy's core: 9.0 %"]);
  assert.deepEqual(wrong.faults, ['wrong answers: 3 status']);
  assert.equal(wrong.values.errors, 3);
});

function noLinux(): string | false {
  return process.platform === 'linux' ? false : 'there is no /proc here';
}
