/**
 * The rounds of a scenario on a real stage: order, saving, going on, and what happens to what fails.
 */

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { armOf } from '../../bench/arms/arms.ts';
import { readAny, readResult, resultSchema, takeUp } from '../../bench/result/result.ts';
import type { Row } from '../../bench/result/row.ts';
import type { Bench } from '../../bench/rounds/bench-run.ts';
import { measureStart, rowOf } from '../../bench/rounds/measure.ts';
import { describeArms, runScenario, type ScenarioRun } from '../../bench/rounds/rounds.ts';
import type { Cell, RowPlace, Scenario } from '../../bench/scenarios/scenario.ts';
import { Children } from '../../bench/stage/children.ts';
import { Stage } from '../../bench/stage/stage.ts';
import { makeResult } from './result-case.ts';

const skip = process.platform === 'linux' ? false : 'there is no /proc here';
const folder = mkdtempSync(join(tmpdir(), 'bench-rounds-'));
const children = new Children();
let stage: Stage;

before(async () => {
  if (skip !== false) return;
  const directory = join(folder, 'stage');
  mkdirSync(directory);
  stage = await Stage.start({ children, cores: undefined, directory, keepAwake: false });
});
after(async () => {
  await children.stopAll();
  rmSync(folder, { recursive: true });
});

type Measure = (bench: Bench, cell: Cell, place: RowPlace) => Promise<Row>;

const cells: readonly Cell[] = ['direct', 'floor'].map((arm) => ({ arm, point: 'here' }));

function scenarioOf(measure: Measure): Scenario {
  return {
    id: 'T1',
    name: 'made-up',
    title: 'made up',
    arms: [armOf('floor')],
    startsItsArms: true,
    cells: () => cells,
    pace: () => ({ rounds: 3, seconds: 0.1 }),
    measure,
    report: () => ({ title: '', text: [], tables: [], plots: [] }),
  };
}

function runOf(name: string, measure: Measure, progress: (text: string) => void): ScenarioRun {
  const { durationSeconds, spansCollected, crossChecks, rows, ...head } = makeResult();
  const scenario = scenarioOf(measure);
  const about = { schema: resultSchema, scenario: scenario.name, rounds: 3, seconds: 0.1 } as const;
  const arms = describeArms(scenario.arms, stage.backend);
  return {
    scenario,
    head: { ...head, ...about, arms, cells },
    earlier: { rows: [], durationSeconds: 0, spansCollected: 0, crossChecks: [] },
    path: join(folder, name),
    stage,
    signal: new AbortController().signal,
    progress,
  };
}

function takenUp(run: ScenarioRun): ScenarioRun['earlier'] {
  const found = takeUp(run.path, run.head);
  assert.ok(found.kind === 'same run');
  return found.result;
}

test('a load leg tells what it cost and is right on every arm', { skip }, async () => {
  const run = runOf(
    'load.json',
    async (bench, cell, place) => {
      const running = await bench.running(cell.arm);
      const closed = { kind: 'closed', connections: 2, seconds: 30, requests: 300 } as const;
      return bench.load(running, cell, place, { ...closed, port: running.port });
    },
    () => {},
  );
  await runScenario({ ...run, head: { ...run.head, rounds: 1 } });
  const { rows } = readResult(run.path);
  const [direct, floor] = ['direct', 'floor'].map((arm) => rows.find((row) => row.arm === arm)!);
  assert.deepEqual([...direct!.faults, ...floor!.faults], []);
  assert.equal(direct!.values.cpuUs, undefined);
  assert.ok(floor!.values.cpuUs! > 1000 && floor!.values.hotCpuUs! <= floor!.values.cpuUs!);
  assert.ok(floor!.values.requests === 300 && floor!.values.rssKb! > 10_000);
});

test('a start is measured on a copy that ends afterwards', { skip }, async () => {
  const run = runOf(
    'start.json',
    async (bench, cell, place) => {
      if (cell.arm === 'direct') return { ...rowOf(cell, place), faults: [], values: {} };
      return measureStart(bench, cell, place);
    },
    () => {},
  );
  await runScenario({ ...run, head: { ...run.head, rounds: 1 } });
  const row = readResult(run.path).rows.find(({ arm }) => arm === 'floor')!;
  assert.ok(row.values.firstAnswerMs! > 5 && row.values.privateKb! > 1000, JSON.stringify(row));
});

test('what fails is a fault of its row, and the run goes on', { skip }, async () => {
  const said: string[] = [];
  const run = runOf(
    'failing.json',
    async (_, cell, place) => {
      if (cell.arm === 'floor') throw new Error('it burnt down');
      return { ...rowOf(cell, place), faults: [], values: { requests: 1 } };
    },
    (text) => said.push(text),
  );
  await runScenario(run);
  const { rows } = readResult(run.path);
  assert.equal(rows.length, 6);
  for (const row of rows) {
    assert.deepEqual(row.faults, row.arm === 'floor' ? ['failed: it burnt down'] : []);
  }
  assert.ok(said.includes('floor here: failed: it burnt down'));
});

test('a run that is stopped has saved its whole rounds, and goes on after them', {
  skip,
}, async () => {
  const stopping = new AbortController();
  const measured: string[] = [];
  const measure: Measure = async (_, cell, place) => {
    measured.push(`${place.round} ${cell.arm}`);
    if (place.round === 1 && measured.length === 4) {
      stopping.abort(new Error('stopped'));
      throw new Error('its process was stopped');
    }
    return { ...rowOf(cell, place), faults: [], values: { requests: 1 } };
  };
  const run = runOf('stopped.json', measure, () => {});
  await assert.rejects(runScenario({ ...run, signal: stopping.signal }), /^Error: stopped/);
  assert.equal(readAny(run.path).rows.length, 2);
  measured.length = 0;
  const earlier = takenUp(run);
  assert.ok(existsSync(run.path));
  measured.push('a row before');
  await runScenario({ ...run, earlier });
  assert.deepEqual(measured.slice(1), ['1 floor', '1 direct', '2 direct', '2 floor']);
  assert.equal(readResult(run.path).rows.length, 6);
  measured.length = 0;
  await runScenario({ ...run, earlier: takenUp(run) });
  assert.deepEqual(measured, [], 'nothing is left to measure');
});

test('an arm that cannot start says so at every use and is not tried again', { skip }, async () => {
  const broken = {
    ...armOf('floor'),
    prepare: () => ({ command: process.execPath, args: ['-e', 'process.exit(3)'] }),
  };
  const run = runOf(
    'broken.json',
    async (bench, cell, place) => {
      await bench.running(cell.arm);
      return { ...rowOf(cell, place), faults: [], values: { requests: 1 } };
    },
    () => {},
  );
  const said: string[] = [];
  const scenario = { ...run.scenario, arms: [broken] };
  await runScenario({ ...run, scenario, progress: (text) => said.push(text) });
  const faults = readResult(run.path).rows.flatMap((row) => row.faults);
  assert.equal(faults.length, 3);
  for (const fault of faults) assert.match(fault, /^failed: floor: .*status 3/);
  assert.equal(said.filter((text) => text === 'starting and warming floor').length, 1);
});

test('cross-checks are made once a run, after its rounds, and kept by whoever goes on', {
  skip,
}, async () => {
  const asked: string[] = [];
  const run = runOf(
    'checked.json',
    async (_, cell, place) => {
      asked.push('row');
      return { ...rowOf(cell, place), faults: [], values: { requests: 1 } };
    },
    () => {},
  );
  const check = {
    arm: 'floor',
    tool: 'wrk',
    version: '4',
    requestsPerSecond: 7,
    cpuUsPerRequest: 1,
  };
  const crossCheck = async () => {
    asked.push('check');
    return [check];
  };
  // A run whose rounds are whole lacks only the checks.
  await runScenario(run);
  assert.deepEqual(asked.splice(0), Array(6).fill('row'));
  await runScenario({ ...run, earlier: takenUp(run), crossCheck });
  assert.deepEqual(asked.splice(0), ['check']);
  assert.deepEqual(readResult(run.path).crossChecks, [check]);
  assert.equal(readResult(run.path).rows.length, 6);
  // With them it lacks nothing.
  const again = await runScenario({ ...run, earlier: takenUp(run), crossCheck });
  assert.deepEqual(asked.splice(0), []);
  assert.deepEqual(again.crossChecks, [check]);
  // Rounds that are measured anew leave them as they are.
  const cut = { ...takenUp(run), rows: takenUp(run).rows.slice(0, 2) };
  await runScenario({ ...run, earlier: cut, crossCheck });
  assert.deepEqual(asked.splice(0), Array(4).fill('row'));
  assert.deepEqual(readResult(run.path).crossChecks, [check]);
});

test('what a scenario keeps is made once, and closed when the scenario is over', {
  skip,
}, async () => {
  const said: string[] = [];
  const run = runOf(
    'kept.json',
    async (bench, cell, place) => {
      const kept = await bench.keep('thing', async () => {
        said.push('made');
        return { number: 7, close: async () => void said.push('closed') };
      });
      said.push(`used ${kept.number}`);
      return { ...rowOf(cell, place), faults: [], values: { requests: 1 } };
    },
    () => {},
  );
  await runScenario({ ...run, head: { ...run.head, rounds: 1 } });
  assert.deepEqual(said, ['made', 'used 7', 'used 7', 'closed']);
});

test('what could not be made is a fault of each row, and is not tried again', {
  skip,
}, async () => {
  let tried = 0;
  const run = runOf(
    'unmade.json',
    async (bench, cell, place) => {
      await bench.keep('thing', () => {
        tried++;
        return Promise.reject(new Error('no namespaces'));
      });
      return { ...rowOf(cell, place), faults: [], values: {} };
    },
    () => {},
  );
  await runScenario({ ...run, head: { ...run.head, rounds: 1 } });
  const { rows } = readResult(run.path);
  assert.deepEqual(
    rows.map(({ faults }) => faults),
    [['failed: no namespaces'], ['failed: no namespaces']],
  );
  assert.equal(tried, 1);
});

test('what ends with the run is closed with its processes, once', async () => {
  const own = new Children();
  const closed: string[] = [];
  own.closeAtEnd(async () => void closed.push('kept'));
  const forget = own.closeAtEnd(async () => void closed.push('forgotten'));
  forget();
  await own.stopAll();
  assert.deepEqual(closed, ['kept']);
});

test('a child that ends before it says its word is an error with what it said', {
  skip,
}, async () => {
  const start = (script: string) =>
    children.start({
      ...{ command: process.execPath, args: ['-e', script], core: undefined },
      directory: folder,
    });
  await start('console.log("open"); setInterval(() => {}, 9e8)').says('open');
  await assert.rejects(
    start('console.log("shut"); process.exit(3)').says('open'),
    /status 3.*shut/,
  );
});
