/**
 * The flags of the bench: what is not understood is one clear line, never ignored.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { directNames } from '../../bench/arms/arm.ts';
import { readH2load, readWrk } from '../../bench/load/cross-check.ts';
import { type BenchOptions, readOptions, UsageError } from '../../bench/options.ts';
import { readPublished } from '../../bench/report.ts';
import { describeScenarios, minutesOf } from '../../bench/scenarios/describe.ts';
import { scenarios } from '../../bench/scenarios/scenarios.ts';

const date = '2026-01-02T03:04:05.678Z';

function optionsOf(...args: string[]): BenchOptions {
  const options = readOptions(args, date);
  assert.ok(options !== 'help' && 'out' in options);
  return options;
}

test('without flags the plain hop runs quickly, at its own pace, into a folder of its own', () => {
  const options = optionsOf();
  assert.equal(options.scale, 'quick');
  assert.deepEqual(
    options.scenarios.map((scenario) => scenario.name),
    ['hop'],
  );
  assert.deepEqual(
    [options.rounds, options.seconds, options.arms],
    [undefined, undefined, undefined],
  );
  assert.equal(options.out, 'bench/results/local/2026-01-02T03-04-05');
  assert.equal(options.keepAwake, true);
});

test('a full run is all scenarios, or those that are named by id or name', () => {
  assert.deepEqual(optionsOf('--full').scenarios, scenarios);
  const { scale, scenarios: chosen, out } = optionsOf('--publish', '--only', 'b0', '--out', 'x');
  assert.deepEqual([scale, chosen.map((each) => each.id), out], ['publish', ['B0'], 'x']);
});

test('a full run has cross-checks, a quick one only when asked, and none when told so', () => {
  assert.equal(optionsOf().crossCheck, false);
  assert.equal(optionsOf('--cross-check').crossCheck, true);
  assert.equal(optionsOf('--full').crossCheck, true);
  assert.equal(optionsOf('--publish').crossCheck, true);
  assert.equal(optionsOf('--publish', '--no-cross-check').crossCheck, false);
});

test('the list says of every scenario what it takes', () => {
  assert.deepEqual(readOptions(['--list', '--full'], date), { list: 'full', scenarios });
  assert.deepEqual(readOptions(['--list'], date), { list: 'quick', scenarios });
  const some = readOptions(['--list', '--full', '--only', 'B5,hop'], date);
  assert.ok(typeof some === 'object' && 'list' in some);
  assert.deepEqual(
    some.scenarios.map(({ name }) => name),
    ['hop', 'tracing'],
  );
  assert.throws(() => readOptions(['--list', '--only', 'B77'], date), UsageError);
  for (const scale of ['quick', 'full', 'publish'] as const) {
    const text = describeScenarios(scenarios, scale);
    for (const { id, name } of scenarios) assert.ok(text.includes(`${id} ${name}: `), name);
    assert.match(text, /all: about \d+ minutes/);
  }
});

test('the quick run is over in two minutes, and a full one in forty', () => {
  assert.ok(minutesOf(scenarios[0]!, 'quick') < 2.2, `${minutesOf(scenarios[0]!, 'quick')}`);
  const all = scenarios.reduce((sum, each) => sum + minutesOf(each, 'full'), 0);
  assert.ok(all < 40, `${all.toFixed(1)} minutes`);
});

test('what the list says of a full run is within a tenth of what the published one took', () => {
  const { list } = readPublished();
  const took = list.reduce((sum, { result }) => sum + result.durationSeconds / 60, 0);
  const names = new Set(list.map(({ result }) => `${result.scale} ${result.scenario}`));
  const said = scenarios
    .filter(({ name }) => names.has(`full ${name}`))
    .reduce((sum, each) => sum + minutesOf(each, 'full'), 0);
  assert.ok(Math.abs(said - took) < took / 10, `${said.toFixed(1)} and ${took.toFixed(1)} minutes`);
});

test('every cell names an arm that its scenario has, and no cell is there twice', () => {
  for (const scenario of scenarios) {
    const known = new Set([...directNames, ...scenario.arms.map((arm) => arm.name)]);
    for (const scale of ['quick', 'full', 'publish'] as const) {
      const cells = scenario.cells(scale).map(({ arm, point }) => `${arm} ${point}`);
      assert.equal(new Set(cells).size, cells.length, `${scenario.name} ${scale}`);
      const strangers = scenario.cells(scale).filter(({ arm }) => !known.has(arm));
      assert.deepEqual(strangers, [], `${scenario.name} ${scale}`);
    }
  }
});

test('mistakes are refused with what is wrong', () => {
  const refused: readonly (readonly [readonly string[], RegExp])[] = [
    [['--arms', 'envoi'], /unknown arm "envoi"; known are: tracecar, /],
    [['--only', 'B0,B99'], /unknown scenario "B99"; known are: B0 hop/],
    [['--full', '--publish'], /choose one/],
    [['--rounds', '2.5'], /--rounds must be a whole number/],
    [['--rounds', 'many'], /--rounds must be a number from 1 to 1000, not "many"/],
    [['--seconds', '0'], /--seconds must be a number from 0\.1/],
    [['--seconds', '-1'], /^--seconds must be a number from 0\.1 to 600, not "-1"$/],
    [['--seconds=-1'], /^--seconds must be a number from 0\.1 to 600, not "-1"$/],
    [['--seconds', ''], /--seconds must be a number from 0\.1/],
    [['--rounds', '0'], /^--rounds must be a number from 1 to 1000, not "0"$/],
    [['--rounds', '-3'], /^--rounds must be a number from 1 to 1000, not "-3"$/],
    [['--rounds'], /^Option '--rounds <value>' argument missing$/],
    [['--rounds', '--full'], /^Option '--rounds' argument is ambiguous\.$/],
    [['--only', ','], /^--only names nothing$/],
    [['--arms', ''], /^--arms names nothing$/],
    [['--fast'], /--fast/],
    [['stray'], /stray/],
  ];
  for (const [args, message] of refused) {
    assert.throws(
      () => readOptions(args, date),
      (error) => error instanceof UsageError && message.test(error.message),
      args.join(' '),
    );
  }
});

test('h2load is believed only when requests, statuses and bytes agree', () => {
  const output = (succeeded: number, ok: number, bytes: number) =>
    `finished in 2.00s, 500.00 req/s, 1MB/s\nrequests: 1000 total, 1000 started, 1000 done, ` +
    `${succeeded} succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: ${ok} 2xx, 0 3xx\n` +
    `traffic: 1MB (1) total, 1MB (1) headers (space savings 0.00%), 1MB (${bytes}) data\n`;
  assert.deepEqual(readH2load(output(1000, 1000, 100_000)), { requests: 1000, seconds: 2 });
  assert.throws(() => readH2load(output(1000, 900, 100_000)), /wrong answers/);
  assert.throws(() => readH2load(output(1000, 1000, 50_000)), /wrong answers/);
  assert.throws(() => readH2load('connect: refused'), /h2load: connect: refused/);
});

test('wrk is believed only when it complains of nothing', () => {
  const output = '  59798 requests in 1.10s, 14.20MB read\nRequests/sec:  54369.97\n';
  assert.deepEqual(readWrk(output), { requests: 59_798, seconds: 1.1 });
  assert.throws(() => readWrk(`${output}  Non-2xx or 3xx responses: 12\n`), /Non-2xx/);
});
