/**
 * The result of bench/interception.ts as a file and as a table with limits and verdicts.
 *
 * It is pure but for reading and writing the file. Differences and ratios are taken inside a round, then
 * the median over rounds; a row that others disturbed takes its round out of a figure and is counted.
 * The interval is the bootstrap's of result/statistics.ts, and a verdict needs three rounds.
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { alignTable, markdownTable } from './draw/table.ts';
import { Histogram, type SparseCounts } from './load/histogram.ts';
import { type Spread, spreadOf } from './result/statistics.ts';
import type { chooseCores, describeMachine } from './stage/machine.ts';

export type Cores = NonNullable<ReturnType<typeof chooseCores>>;

/** The result that bench/README.md shows. */
export const publishedInterception = join(
  import.meta.dirname,
  'results/interception/interception.json',
);
const schema = 'tracecar-interception-bench-1';
const begin = '<!-- drawn by node bench/interception.ts --readme: begin -->';
const end = '<!-- drawn by node bench/interception.ts --readme: end -->';
/** What Linux tells of cores is of this resolution, twice. */
const resolutionUs = 20_000;
const disturbedShareMax = 0.05;
/** Packets of a stream are also moved in interrupts on the proxy's core, and those are nobody's time. */
const disturbedStreamMax = 0.1;
/** A core this busy is what limits. */
const fullCore = 0.95;

export const interceptionArms = ['direct', 'tracecar', 'haproxy'] as const;
export type InterceptionArm = (typeof interceptionArms)[number];

/** One load on one arm in one round. */
export interface InterceptionRow {
  readonly arm: InterceptionArm;
  readonly load: 'first byte' | 'greeting' | 'cold greeting' | 'stream' | 'idle';
  readonly round: number;
  readonly wallUs: number;
  /** Of the proxy, all its threads. */
  readonly cpuUs: number;
  /** Taken by the hypervisor from both cores. */
  readonly stolenUs: number;
  /** Used on the proxy's core by others than the proxy. */
  readonly foreignUs: number;
  /** Share of the load's core that was used, 0 to 1. */
  readonly loadBusy: number;
  /** Nanoseconds from the dial to the first byte. */
  readonly times?: SparseCounts;
  readonly bytes?: number;
  readonly streamUs?: number;
  /** Idle: redirected connections, and the private memory that they added. */
  readonly connections?: number;
  readonly privateBytes?: number;
}

export interface InterceptionResult {
  readonly schema: typeof schema;
  /** Of its start, ISO 8601. */
  readonly date: string;
  readonly commit: string;
  readonly options: { readonly rounds: number; readonly idleRounds: number };
  readonly machine: Awaited<ReturnType<typeof describeMachine>>;
  readonly haproxy: string;
  readonly pinning: Cores | 'none';
  readonly rows: readonly InterceptionRow[];
}

export type Verdict = 'met' | 'missed' | 'open' | '-';

export interface Limit {
  readonly kind: '<=' | '>=';
  readonly value: number;
}

export function writeInterceptionResult(
  path: string,
  conditions: Omit<InterceptionResult, 'schema' | 'rows'>,
  rows: readonly InterceptionRow[],
): InterceptionResult {
  mkdirSync(dirname(path), { recursive: true });
  const head = JSON.stringify({ schema, ...conditions }, undefined, 2).slice(0, -2);
  const lines = rows.map((row) => `    ${JSON.stringify(row)}`).join(',\n');
  writeFileSync(path, `${head},\n  "rows": [\n${lines}\n  ]\n}\n`);
  return { schema, ...conditions, rows };
}

/** Throws with the path when the file is no result of this bench. */
export function readInterceptionResult(path: string): InterceptionResult {
  const value = JSON.parse(readFileSync(path, 'utf8')) as InterceptionResult;
  if (value.schema !== schema) throw new Error(`${path}: no result of the interception's bench`);
  return value;
}

/** The whole interval of three rounds or more says so, or it is open; without a limit '-'. */
export function verdictOf(spread: Spread | undefined, limit: Limit | undefined): Verdict {
  if (limit === undefined) return '-';
  if (spread === undefined || spread.rounds < 3) return 'open';
  const [good, bad] =
    limit.kind === '<='
      ? [spread.high <= limit.value, spread.low > limit.value]
      : [spread.low >= limit.value, spread.high < limit.value];
  return good ? 'met' : bad ? 'missed' : 'open';
}

/** The report for the terminal. */
export function printInterceptionReport(result: InterceptionResult): string {
  const lines = [...conditionsOf(result), '', ...alignTable(tableOf(result)), '', ...notes];
  return `\n${lines.join('\n')}\n`;
}

/** `text`, which is bench/README.md, with the drawn part renewed; throws when its marks are gone. */
export function withInterceptionSection(text: string, result: InterceptionResult): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error("bench/README.md has lost the interception's marks");
  const section = [...conditionsOf(result), '', ...markdownTable(tableOf(result)), '', ...notes];
  return `${text.slice(0, from + begin.length)}\n\n${section.join('\n')}\n\n${text.slice(to)}`;
}

const notes = [
  'Medians over rounds [bootstrap interval]; (1d) = one round dropped. met, missed: the whole interval of three rounds or more says so; open: neither is proven; - = no target.',
];

export function conditionsOf(result: InterceptionResult): string[] {
  const { date, commit, options, machine, haproxy, pinning, rows } = result;
  const dropped = rows.filter(isDisturbed).length;
  const pinned =
    pinning === 'none'
      ? 'nothing pinned'
      : `proxies on core ${pinning.proxy}, both ends of the load on core ${pinning.load}`;
  return [
    `${date.slice(0, 16)}Z, commit ${commit}, ${options.rounds} rounds, ${options.idleRounds} of them with idle connections; ` +
      `${dropped} of ${rows.length} rows dropped because others disturbed them.`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}, HAProxy ${haproxy}; ${pinned}; ` +
      `${(machine.idleBusy * 100).toFixed(1)} % busy before the first round.`,
  ];
}

interface Figure {
  readonly name: string;
  readonly digits: number;
  readonly limit?: Limit;
  readonly unit: string;
  /** Of one round; undefined when a row of it is missing or was dropped. */
  readonly of: (round: Round) => number | undefined;
  /** The true figure may be worse: being within the limit proves nothing. */
  readonly isFlattered?: boolean;
}

/** The good rows of one round. */
class Round {
  readonly #rows: readonly InterceptionRow[];

  constructor(rows: readonly InterceptionRow[]) {
    this.#rows = rows;
  }

  find(arm: InterceptionArm, load: InterceptionRow['load']): InterceptionRow | undefined {
    return this.#rows.find((row) => row.arm === arm && row.load === load);
  }

  /** What an arm adds to a percentile of direct's, in us. */
  added(arm: InterceptionArm, load: InterceptionRow['load'], share: number): number | undefined {
    const [ours, direct] = [this.find(arm, load), this.find('direct', load)];
    if (ours === undefined || direct === undefined) return undefined;
    return (percentileNs(ours, share) - percentileNs(direct, share)) / 1000;
  }

  /** MB a second. */
  rate(arm: InterceptionArm): number | undefined {
    const row = this.find(arm, 'stream');
    return row === undefined ? undefined : row.bytes! / row.streamUs!;
  }

  msPerGb(arm: InterceptionArm): number | undefined {
    const row = this.find(arm, 'stream');
    return row === undefined ? undefined : row.cpuUs / 1000 / (row.bytes! / 1e9);
  }
}

function percentileNs({ times }: InterceptionRow, share: number): number {
  const histogram = new Histogram();
  histogram.add(times!);
  return histogram.percentile(share);
}

function ratio(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined ? undefined : above / below;
}

const proxied = [
  ['tracecar', 'Tracecar'],
  ['haproxy', 'HAProxy, TCP mode'],
] as const;

/** Tracecar's alone has a limit. */
function addedFigures(
  what: string,
  load: InterceptionRow['load'],
  share: number,
  most?: number,
): Figure[] {
  return proxied.map(([arm, label]) => ({
    name: `${what}, added p${share * 100}, ${label}`,
    digits: 0,
    unit: 'us',
    of: (round) => round.added(arm, load, share),
    ...(most !== undefined && arm === 'tracecar' ? { limit: { kind: '<=', value: most } } : {}),
  }));
}

function figuresOf(result: InterceptionResult): Figure[] {
  // A load that is full, and a HAProxy that is not, hide how fast HAProxy could be.
  const isFlattered = result.rows.some(
    ({ arm, load, loadBusy, cpuUs, streamUs }) =>
      arm === 'haproxy' &&
      load === 'stream' &&
      loadBusy >= fullCore &&
      cpuUs / streamUs! < fullCore,
  );
  return [
    ...addedFigures('connect and first byte', 'first byte', 0.5, 60),
    ...addedFigures('connect and first byte', 'first byte', 0.99),
    ...addedFigures('greeting of the server', 'greeting', 0.5),
    ...addedFigures('greeting of the server', 'greeting', 0.99, 5000),
    ...addedFigures('greeting, destination never seen', 'cold greeting', 0.5),
    ...addedFigures('greeting, destination never seen', 'cold greeting', 0.99, 5000),
    {
      name: `opaque throughput, Tracecar / HAProxy${isFlattered ? " (the load's core was full)" : ''}`,
      digits: 2,
      unit: 'x',
      limit: { kind: '>=', value: 0.8 },
      of: (round) => ratio(round.rate('tracecar'), round.rate('haproxy')),
      isFlattered,
    },
    ...interceptionArms.map((arm) => ({
      name: `opaque throughput, ${arm}`,
      digits: 0,
      unit: 'MB/s',
      of: (round: Round) => round.rate(arm),
    })),
    ...proxied.map(([arm, label]) => ({
      name: `CPU of the proxy for a GB, ${label}`,
      digits: 0,
      unit: 'ms',
      of: (round: Round) => round.msPerGb(arm),
    })),
    {
      name: 'private memory a socket, idle (two sockets a connection)',
      digits: 0,
      unit: 'bytes',
      limit: { kind: '<=', value: 4096 },
      of: (round) => {
        const row = round.find('tracecar', 'idle');
        return row === undefined ? undefined : row.privateBytes! / (2 * row.connections!);
      },
    },
  ];
}

/** The first row is the head. */
export function tableOf(result: InterceptionResult): string[][] {
  const figures = figuresOf(result).map((figure) => {
    const { name, digits, unit, limit } = figure;
    const { spread, dropped } = overRounds(result, figure);
    const proven = verdictOf(spread, limit);
    const verdict = proven === 'met' && figure.isFlattered ? 'open' : proven;
    const asked = limit === undefined ? '-' : `${limit.kind} ${limit.value} ${unit}`;
    return [name, asked, `${shown(spread, digits, unit)}${dropped}`, verdict];
  });
  return [['figure', 'limit', 'measured', 'verdict'], ...figures];
}

function overRounds({ rows }: InterceptionResult, { of }: Figure) {
  const values: number[] = [];
  let lost = 0;
  for (const round of new Set(rows.map((row) => row.round))) {
    const all = rows.filter((row) => row.round === round);
    const value = of(new Round(all.filter((row) => !isDisturbed(row))));
    if (value !== undefined) values.push(value);
    else if (of(new Round(all)) !== undefined) lost += 1;
  }
  const dropped = lost === 0 ? '' : ` (${lost}d)`;
  return { spread: values.length === 0 ? undefined : spreadOf(values), dropped };
}

function shown(spread: Spread | undefined, digits: number, unit: string): string {
  if (spread === undefined) return '-';
  const [middle, low, high] = [spread.median, spread.low, spread.high].map((value) =>
    value.toFixed(digits),
  );
  return `${middle} [${low}..${high}] ${unit}`;
}

/** Memory does not depend on who else had the core. */
function isDisturbed({ load, stolenUs, foreignUs, wallUs }: InterceptionRow): boolean {
  if (load === 'idle') return false;
  const share = load === 'stream' ? disturbedStreamMax : disturbedShareMax;
  return stolenUs + foreignUs > Math.max(resolutionUs, wallUs * share);
}
