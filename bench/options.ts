/**
 * The flags of `npm run bench`.
 *
 * Defaults give the two headline numbers in under two minutes. Unknown flags and arms are one clear
 * line and status 2, never ignored.
 */

import { parseArgs } from 'node:util';
import { arms } from './arms.ts';

export interface BenchOptions {
  readonly rounds: number;
  /** In how many of the rounds starts are measured. */
  readonly startRounds: number;
  /** Measured time of each load, in seconds. */
  readonly seconds: number;
  readonly arms: readonly string[];
  /** Where the result goes; undefined: bench/results/local, named after the date. */
  readonly json: string | undefined;
  readonly crossCheck: boolean;
  readonly tolerateNoise: boolean;
}

/** A mistake of the caller; the message is the whole explanation. */
export class UsageError extends Error {}

export const benchHelp = `npm run bench [-- OPTIONS]   what one plain hop costs, beside its rivals

  --rounds N        rounds, each with every arm once and direct twice (5)
  --seconds N       measured seconds of each load in a round (0.6)
  --arms a,b        only these arms, besides direct; of: ${arms.map((arm) => arm.name).join(' ')}
  --json FILE       where the result goes (bench/results/local/DATE.json)
  --cross-check     also measures saturation with wrk and h2load, one second each
  --tolerate-noise  keeps rows that noise spoilt: a smoke test on a busy machine, no measurement
  --help            this text

Rivals that are not installed are named as missing: npm run peers
A result drawn again: node bench/report.ts FILE
`;

/** Reads the flags; 'help' when asked for it; throws UsageError. */
export function readOptions(args: readonly string[]): BenchOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  const rounds = readNumber('--rounds', values.rounds ?? '5', 1, 1000);
  if (!Number.isInteger(rounds)) throw new UsageError('--rounds must be a whole number');
  const chosen = values.arms?.split(',').filter((name) => name !== '');
  for (const name of chosen ?? []) {
    if (arms.every((arm) => arm.name !== name)) {
      const known = arms.map((arm) => arm.name).join(', ');
      throw new UsageError(`--arms: unknown arm "${name}"; known are: ${known}`);
    }
  }
  return {
    rounds,
    startRounds: Math.min(rounds, 3),
    seconds: readNumber('--seconds', values.seconds ?? '0.6', 0.1, 600),
    arms: arms.map((arm) => arm.name).filter((name) => chosen?.includes(name) ?? true),
    json: values.json,
    crossCheck: values['cross-check'] ?? false,
    tolerateNoise: values['tolerate-noise'] ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        arms: { type: 'string' },
        json: { type: 'string' },
        'cross-check': { type: 'boolean' },
        'tolerate-noise': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function readNumber(flag: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!(value >= least && value <= most)) {
    throw new UsageError(`${flag} must be a number from ${least} to ${most}, not "${text}"`);
  }
  return value;
}
