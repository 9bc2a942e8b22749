/**
 * The flags of `npm run bench`.
 *
 * Without flags the scenario hop runs quickly and prints its two numbers in under two minutes. Unknown
 * flags, arms and scenarios are one clear line and status 2, never ignored.
 */

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { arms } from './arms/arms.ts';
import type { Scale, Scenario } from './scenarios/scenario.ts';
import { findScenario, scenarios } from './scenarios/scenarios.ts';

export interface BenchOptions {
  readonly scale: Scale;
  readonly scenarios: readonly Scenario[];
  /** Only these arms, besides direct; undefined: all that the scenario has. */
  readonly arms: readonly string[] | undefined;
  /** undefined: the scenario's own pace. */
  readonly rounds: number | undefined;
  readonly seconds: number | undefined;
  /** The folder of results, a file for each scenario. */
  readonly out: string;
  /** The result's file, where only one scenario runs. */
  readonly json: string | undefined;
  readonly crossCheck: boolean;
  readonly tolerateNoise: boolean;
  readonly keepAwake: boolean;
}

/** What is to be listed; without --only all, in a quick run too. */
export interface BenchList {
  readonly list: Scale;
  readonly scenarios: readonly Scenario[];
}

/** A mistake of the caller; the message is the whole explanation. */
export class UsageError extends Error {}

export const benchHelp = `npm run bench [-- OPTIONS]   what one plain hop costs, beside its rivals, in two minutes

  --full            every scenario, 5 rounds of 2 s on reduced ladders
  --publish         the whole protocol: 21 rounds of 5 s, full ladders; hours
  --only B1,hop     these scenarios, by id or name
  --list            scenarios with their cells and minutes, and nothing is run
  --out DIR         where results go (bench/results/local/DATE); rounds that are there already,
                    of the same commit and flags, are not measured again
  --json FILE       where the result of a single scenario goes
  --rounds N        rounds, each with every cell once
  --seconds N       measured seconds of each load
  --arms a,b        only these arms, besides direct
  --cross-check     also measures saturation with wrk and h2load, one second each (hop only), once a
                    run; --full and --publish do so, --no-cross-check leaves it
  --tolerate-noise  keeps rows that noise spoilt: a smoke test on a busy machine, no measurement
  --no-keep-awake   lets the cores halt when idle: latencies then hold how late they wake up
  --help            this text

Scenarios: ${scenarios.map((each) => each.name).join(' ')}
Arms: ${arms.map((arm) => arm.name).join(' ')}
Rivals that are not installed are named as missing: npm run peers
A result drawn again: node bench/report.ts FILE
`;

/** Reads the flags; 'help' or the list when asked for it; throws UsageError. `date` names the folder. */
export function readOptions(
  args: readonly string[],
  date: string,
): BenchOptions | 'help' | BenchList {
  const values = parse(args);
  if (values.help) return 'help';
  if (values.full && values.publish) throw new UsageError('--full and --publish: choose one');
  const scale: Scale = values.publish ? 'publish' : values.full ? 'full' : 'quick';
  if (values.list) {
    return { list: scale, scenarios: readScenarios(values.only, 'publish') };
  }
  const chosen = readScenarios(values.only, scale);
  if (values.json !== undefined && chosen.length !== 1) {
    throw new UsageError('--json is for one scenario; for several there is --out DIR');
  }
  const { rounds, seconds } = values;
  return {
    scale,
    scenarios: chosen,
    arms: readArms(values.arms, chosen),
    rounds: rounds === undefined ? undefined : readWhole('--rounds', rounds, 1, 1000),
    seconds: seconds === undefined ? undefined : readNumber('--seconds', seconds, 0.1, 600),
    out: values.out ?? join('bench/results/local', date.slice(0, 19).replaceAll(':', '-')),
    json: values.json,
    crossCheck: !values['no-cross-check'] && (scale !== 'quick' || values['cross-check'] === true),
    tolerateNoise: values['tolerate-noise'] ?? false,
    keepAwake: !(values['no-keep-awake'] ?? false),
  };
}

const flags = {
  full: { type: 'boolean' },
  publish: { type: 'boolean' },
  only: { type: 'string' },
  list: { type: 'boolean' },
  out: { type: 'string' },
  json: { type: 'string' },
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  arms: { type: 'string' },
  'cross-check': { type: 'boolean' },
  'no-cross-check': { type: 'boolean' },
  'tolerate-noise': { type: 'boolean' },
  'no-keep-awake': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: joinValues(args), options: flags }).values;
  } catch (error) {
    // The first line says what is wrong; the others are about quoting in general.
    throw new UsageError((error as Error).message.split('\n', 1)[0]!);
  }
}

/** `--seconds -1` as `--seconds=-1`: parseArgs would take a number below 0 for a flag. */
function joinValues(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const [index, arg] of args.entries()) {
    const before = args[index - 1] ?? '';
    const wantsValue = Object.entries(flags).some(
      ([name, { type }]) => type === 'string' && before === `--${name}`,
    );
    if (wantsValue && /^-[\d.]/.test(arg)) joined[joined.length - 1] = `${before}=${arg}`;
    else joined.push(arg);
  }
  return joined;
}

/** A quick run without names is the plain hop; the others are all of them. */
function readScenarios(only: string | undefined, scale: Scale): readonly Scenario[] {
  if (only === undefined) return scale === 'quick' ? scenarios.slice(0, 1) : scenarios;
  const names = readNames('--only', only);
  const chosen = names.map((name) => {
    const found = findScenario(name);
    if (found !== undefined) return found;
    const known = scenarios.map((each) => `${each.id} ${each.name}`).join(', ');
    throw new UsageError(`--only: unknown scenario "${name}"; known are: ${known}`);
  });
  return scenarios.filter((each) => chosen.includes(each));
}

function readArms(
  text: string | undefined,
  chosen: readonly Scenario[],
): readonly string[] | undefined {
  if (text === undefined) return undefined;
  const known = new Set(chosen.flatMap((scenario) => scenario.arms.map((arm) => arm.name)));
  const names = readNames('--arms', text);
  for (const name of names) {
    if (known.has(name)) continue;
    throw new UsageError(`--arms: unknown arm "${name}"; known are: ${[...known].join(', ')}`);
  }
  return names;
}

function readNames(flag: string, text: string): readonly string[] {
  const names = text.split(',').filter((name) => name !== '');
  if (names.length === 0) throw new UsageError(`${flag} names nothing`);
  return names;
}

function readWhole(flag: string, text: string, least: number, most: number): number {
  const value = readNumber(flag, text, least, most);
  if (!Number.isInteger(value)) throw new UsageError(`${flag} must be a whole number`);
  return value;
}

function readNumber(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!(value >= least && value <= most)) {
    throw new UsageError(`${flag} must be a number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}
