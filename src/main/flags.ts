/**
 * Flags of a program: one table says how they are read, explained and completed.
 *
 * A flag is `--name VALUE` or `--name=VALUE`, and always also an environment variable
 * `TRACECAR_NAME`; what is typed wins. Nothing is guessed: an unknown flag is a problem in one line.
 */

import { parseArgs } from 'node:util';
import { nearestName } from '../config/syntax/nearest-name.ts';
import { problemKind } from './problem-kind.ts';

export interface Flag {
  /** Without the dashes: `drain-seconds`. */
  readonly name: string;
  /** What stands for the value in help: `PATH`; empty for a switch. */
  readonly value: string;
  /** May be given more than once; in the environment its values are separated. */
  readonly repeatable?: boolean;
  /** Between values in the environment; `:` when absent. */
  readonly separator?: string;
  /** The only values that are accepted; completion offers them. */
  readonly choices?: readonly string[];
  /** What holds when it is not given, for help; empty when that is nothing. */
  readonly otherwise: string;
  readonly help: string;
  /** Completion offers files for it. */
  readonly isPath?: boolean;
  /** Not read from the environment. */
  readonly typedOnly?: boolean;
  /** Its environment variable where that is not made from the name. */
  readonly variable?: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** A mistake of the person who started the program: one line, status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly [problemKind] = 'usage';
}

export interface FlagValues {
  /** Every value by flag name, in order; a switch holds `true`. Absent flags are absent. */
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly operands: readonly string[];
}

/** The environment variable of a flag: `TRACECAR_DRAIN_SECONDS`. */
export function variableOf(flag: Flag): string {
  return flag.variable ?? `TRACECAR_${flag.name.toUpperCase().replaceAll('-', '_')}`;
}

/**
 * Reads `args` and `environment` by the table. Throws UsageError for an unknown flag, a missing or
 * superfluous value, a value outside the choices, and for operands beyond `operandsMax`.
 */
export function readFlags(
  flags: readonly Flag[],
  args: readonly string[],
  environment: Environment,
  operandsMax = 0,
): FlagValues {
  const values = new Map<string, string[]>();
  const operands: string[] = [];
  const byName = new Map(flags.map((flag) => [flag.name, flag]));
  for (const token of tokensOf(flags, args)) {
    if (token.kind === 'positional') operands.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = token.rawName.startsWith('--') ? byName.get(token.name) : undefined;
    if (flag === undefined) throw unknownFlag(token.rawName, flags);
    const value = checkedValue(flag, token.value, token.inlineValue === true);
    const held = values.get(flag.name);
    if (held === undefined) values.set(flag.name, [value]);
    else if (flag.repeatable === true) held.push(value);
    else throw new UsageError(`--${flag.name} is given twice; it takes one value`);
  }
  if (operands.length > operandsMax) {
    throw new UsageError(`unexpected argument '${operands[operandsMax]}'`);
  }
  for (const flag of flags) addFromEnvironment(flag, environment, values);
  return { values, operands };
}

function tokensOf(flags: readonly Flag[], args: readonly string[]) {
  const options = Object.fromEntries(
    flags.map((flag) => [
      flag.name,
      { type: flag.value === '' ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  return parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

function checkedValue(flag: Flag, value: string | undefined, isInline: boolean): string {
  if (flag.value === '') {
    if (isInline) throw new UsageError(`--${flag.name} takes no value`);
    return 'true';
  }
  // `--config --admin X`: the next flag is not the value of this one.
  if (value === undefined || value === '' || (!isInline && value.startsWith('--'))) {
    throw new UsageError(`--${flag.name} needs a value: --${flag.name} ${flag.value}`);
  }
  checkChoice(flag, value, `--${flag.name}`);
  return value;
}

function checkChoice(flag: Flag, value: string, where: string): void {
  if (flag.choices === undefined || flag.choices.includes(value)) return;
  throw new UsageError(`${where} is one of ${flag.choices.join(', ')}, not '${value}'`);
}

function unknownFlag(typed: string, flags: readonly Flag[]): UsageError {
  const name = typed.replace(/^-+/, '');
  const close = nearestName(
    name,
    flags.map((flag) => flag.name),
  );
  const guess = close === undefined ? '' : `; did you mean --${close}?`;
  return new UsageError(`unknown flag ${typed}${guess}`);
}

function addFromEnvironment(
  flag: Flag,
  environment: Environment,
  values: Map<string, string[]>,
): void {
  if (flag.typedOnly === true || values.has(flag.name)) return;
  const variable = variableOf(flag);
  const text = environment[variable];
  if (text === undefined || text === '') return;
  if (flag.value === '') {
    if (text === 'true' || text === '1') values.set(flag.name, ['true']);
    else if (text !== 'false' && text !== '0') {
      throw new UsageError(`${variable} is true or false, not '${text}'`);
    }
    return;
  }
  const parts = () => text.split(flag.separator ?? ':').filter((part) => part !== '');
  const list = flag.repeatable === true ? parts() : [text];
  for (const value of list) checkChoice(flag, value, variable);
  values.set(flag.name, list);
}
