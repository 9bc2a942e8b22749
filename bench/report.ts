/**
 * Draws results: the table and the two numbers for the terminal, the section of bench/README.md.
 *
 *     node bench/report.ts [FILE]             prints a result, by default the newest there is
 *     node bench/report.ts --readme [FILE]    writes it into bench/README.md, by default the newest
 *                                             published one (bench/results/*.json)
 *
 * It draws from a result file and from nothing else; a file with missing rows is refused.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findHoles, type Result, type ResultArm, readResult } from './result.ts';
import { type Figure, type FigureName, Summary } from './summary.ts';
import { judgeTargets } from './targets.ts';

const root = resolve(import.meta.dirname, '..');
const results = join(import.meta.dirname, 'results');
const readme = join(import.meta.dirname, 'README.md');
const frontPage = join(root, 'README.md');
const begin = '<!-- drawn by node bench/report.ts --readme: begin -->';
const end = '<!-- drawn by node bench/report.ts --readme: end -->';

interface Column {
  readonly title: string;
  readonly figure: FigureName;
  readonly digits: number;
  /** Arms to divide by, in further columns. */
  readonly ratios: readonly string[];
}

const columns: readonly Column[] = [
  { title: 'CPU us/request', figure: 'cpuUs', digits: 1, ratios: ['envoy'] },
  { title: 'added p50 us', figure: 'addedP50Us', digits: 0, ratios: ['envoy'] },
  {
    title: 'requests/s',
    figure: 'requestsPerSecond',
    digits: 0,
    ratios: ['envoy', 'http-proxy'],
  },
  { title: 'p99 us', figure: 'p99Us', digits: 0, ratios: ['envoy'] },
  { title: 'RSS MB', figure: 'rssMb', digits: 1, ratios: [] },
  { title: 'start ms', figure: 'startMs', digits: 0, ratios: [] },
];

type Cells = readonly string[];

/** The report for the terminal; `path` is the file's name as a reader would type it. */
export function printReport(result: Result, path: string): string {
  refuseHoles(result);
  const summary = new Summary(result);
  const lines = [
    '',
    ...describeConditions(result, path),
    '',
    ...alignTable(drawArms(summary)),
    '',
    ...describeColumns(summary),
    ...noteLines(summary),
    '',
    ...alignTable(drawTargets(summary)),
    '',
    headline('cpu_us_per_request', summary, 'cpuUs', 1),
    headline('added_p50_us', summary, 'addedP50Us', 0),
    '',
  ];
  return `${lines.join('\n')}\n`;
}

/** The section of bench/README.md, in Markdown. */
export function drawSection(result: Result, path: string): string {
  refuseHoles(result);
  const summary = new Summary(result);
  return [
    ...describeConditions(result, path),
    '',
    ...markdownTable(drawArms(summary)),
    '',
    ...describeColumns(summary),
    '',
    ...markdownTable(drawTargets(summary)),
    ...bullets([
      ...noteLines(summary),
      ...result.arms
        .filter((arm) => arm.missing === undefined)
        .map((arm) => `${arm.label} ${arm.version}: ${arm.setting}`),
    ]),
  ].join('\n');
}

/** `text` with the part between the marks replaced by `section`; throws when the marks are gone. */
export function replaceSection(text: string, section: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error('a README has lost the marks of its drawn part');
  return `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`;
}

/** The newest published result, as a path from the repository's root; undefined when there is none. */
export function newestPublished(): string | undefined {
  return newestOf([results]);
}

/** What bench/README.md should hold between its marks at this moment. */
export function currentSection(path: string | undefined): string {
  if (path === undefined) {
    return '(No result is published yet: `npm run bench -- --json bench/results/NAME.json`.)';
  }
  return drawSection(readResult(join(root, path)), path);
}

/** What the project's README should hold between its marks: the arms and the targets. */
export function currentHeadline(path: string | undefined): string {
  if (path === undefined) return currentSection(path);
  const result = readResult(join(root, path));
  refuseHoles(result);
  const summary = new Summary(result);
  return [
    ...markdownTable(drawArms(summary)),
    '',
    ...markdownTable(drawTargets(summary)),
    '',
    'Medians over rounds [lowest..highest]; what each column is, on which machine, and how to repeat it:',
    '[bench/README.md](bench/README.md).',
  ].join('\n');
}

function refuseHoles(result: Result): void {
  const holes = findHoles(result);
  if (holes.length > 0) throw new Error(`rows are missing: ${holes.slice(0, 5).join('; ')}`);
}

function describeConditions(result: Result, path: string): readonly string[] {
  const { machine, options, pinning } = result;
  const pinned =
    pinning === 'none'
      ? 'nothing pinned'
      : `proxy alone on core ${pinning.proxy}, load and backend on core ${pinning.load}`;
  const lines = [
    `${path}: ${result.date.slice(0, 16)}Z, commit ${result.commit}, ${options.rounds} rounds, ` +
      `${options.seconds} s a load, ${Math.round(result.durationSeconds)} s in all.`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; ` +
      `${pinned}; backend ${result.backend}; ` +
      `${(machine.idleBusy * 100).toFixed(1)} % busy before the first round.`,
  ];
  if (options.tolerateNoise) {
    lines.push('NOISE WAS TOLERATED: this is a smoke test of the bench, not a measurement.');
  }
  return lines;
}

function describeColumns(summary: Summary): readonly string[] {
  const { spansCollected } = summary.result;
  const noise = show(summary.noiseP50Us(), 0);
  return [
    'Medians over rounds [lowest..highest]; (d) = rounds dropped. CPU: utime + stime of the proxy, all',
    'threads, 16 keep-alive connections, closed loop. Added p50: over direct, 1 connection, 1000/s. p99:',
    '16 connections, 2000/s, Poisson arrivals. Both from the time a request was due. RSS: 0.5 s after the',
    `first answer. Start: exec to first proxied 200. Spans collected: ${spansCollected}.`,
    `The two direct arms of a round differ by ${noise} us at p50: less than that means nothing.`,
    '* = the proxy used less than 90 % of its core: the load was the limit, it can do more.',
  ];
}

function drawArms(summary: Summary): readonly Cells[] {
  const rows: Cells[] = [
    ['arm', ...columns.flatMap(({ title, ratios }) => [title, ...ratios.map(titleOfRatio)])],
  ];
  for (const arm of summary.result.arms) {
    const cells = columns.flatMap(({ figure, digits, ratios }) => {
      if (arm.missing !== undefined) return ['-', ...ratios.map(() => '-')];
      const text = show(summary.figure(arm.name, figure), digits);
      const limited = figure === 'requestsPerSecond' && isLoadLimited(summary, arm);
      return [
        limited ? `${text} *` : text,
        ...ratios.map((rival) => showMedian(summary.ratio(arm.name, rival, figure))),
      ];
    });
    rows.push([arm.missing === undefined ? arm.label : `${arm.label}: missing`, ...cells]);
  }
  return rows;
}

function titleOfRatio(rival: string): string {
  return `x ${rival}`;
}

function isLoadLimited(summary: Summary, arm: ResultArm): boolean {
  const share = summary.saturation(arm.name);
  return share.state === 'measured' && share.spread.median < 0.9 && !arm.name.startsWith('direct');
}

function drawTargets(summary: Summary): readonly Cells[] {
  const rows: Cells[] = [['target', 'limit', 'measured', 'verdict']];
  for (const { target, measured, verdict } of judgeTargets(summary)) {
    const sign = target.atLeast ? '>=' : '<=';
    const digits = target.rival === undefined ? 0 : 2;
    const cells = [`${sign} ${target.limit} ${target.unit}`, show(measured, digits), verdict];
    rows.push([target.what, ...cells]);
  }
  return rows;
}

/** What a reader must know beside the figures. */
function noteLines(summary: Summary): readonly string[] {
  const { result } = summary;
  return [
    ...missingLines(result),
    ...tracecarLines(result),
    ...faultLines(summary),
    ...crossCheckLines(result),
  ];
}

function tracecarLines(result: Result): readonly string[] {
  const own = result.arms.find((arm) => arm.name === 'tracecar' && arm.missing === undefined);
  if (own === undefined) return [];
  const lines: string[] = [];
  if (own.program !== 'dist/tracecar') {
    lines.push(`Tracecar ran as ${own.program}: slower to start and larger than the bundle.`);
  }
  if (result.spansCollected === 0) lines.push('NO SPAN REACHED THE COLLECTOR: tracing was off.');
  return lines;
}

function missingLines(result: Result): readonly string[] {
  return result.arms
    .filter((arm) => arm.missing !== undefined)
    .map((arm) => `${arm.label} is missing: ${arm.missing}; to have it: ${arm.install}`);
}

function faultLines(summary: Summary): readonly string[] {
  const { rows, kinds } = summary.faults();
  if (rows === 0) return [];
  const each = [...kinds].map(([kind, count]) => `${kind} (${count})`).join(', ');
  return [`${rows} of ${summary.result.rows.length} rows have a fault: ${each}`];
}

function crossCheckLines(result: Result): readonly string[] {
  return result.crossChecks.map(
    (check) =>
      `cross-check ${check.tool} ${check.version}, ${check.arm}: ` +
      `${Math.round(check.requestsPerSecond)} requests/s, ` +
      `${check.cpuUsPerRequest.toFixed(1)} us CPU a request`,
  );
}

function headline(name: string, summary: Summary, figure: FigureName, digits: number): string {
  const own = show(summary.figure('tracecar', figure), digits);
  const ratio = show(summary.ratio('tracecar', 'envoy', figure), 2);
  return `${name.padEnd(20)} ${own}   ${ratio} x Envoy`;
}

function show(figure: Figure, digits: number): string {
  if (figure.state === 'absent') return '-';
  if (figure.state === 'unproven') return `UNPROVEN (${figure.dropped}/${figure.rounds})`;
  const { median, lowest, highest } = figure.spread;
  const range = `[${lowest.toFixed(digits)}..${highest.toFixed(digits)}]`;
  return `${median.toFixed(digits)} ${range}${figure.dropped > 0 ? ` (${figure.dropped}d)` : ''}`;
}

/** A ratio without its range, which the targets' table has. */
function showMedian(figure: Figure): string {
  return figure.state === 'measured' ? figure.spread.median.toFixed(2) : '-';
}

function alignTable(rows: readonly Cells[]): readonly string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  );
}

function markdownTable(rows: readonly Cells[]): readonly string[] {
  const [head, ...body] = rows as [Cells, ...Cells[]];
  const line = (cells: Cells) =>
    `| ${cells.map((cell) => cell.replaceAll('*', '\\*')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...body.map(line)];
}

function bullets(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', ...lines.map((line) => `- ${line}`)];
}

function newestOf(folders: readonly string[]): string | undefined {
  const found = folders
    .filter((folder) => existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => name.endsWith('.json'))
        .map((name) => relative(root, join(folder, name))),
    )
    .map((path) => ({ path, date: readResult(join(root, path)).date }))
    .sort((left, right) => (left.date < right.date ? 1 : -1));
  return found[0]?.path;
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { readme: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    process.stdout.write(
      'node bench/report.ts [--readme] [FILE]: draws a result of npm run bench\n',
    );
    return;
  }
  const given = positionals[0] === undefined ? undefined : relative(root, resolve(positionals[0]));
  if (values.readme) {
    const path = given ?? newestPublished();
    const draw = (file: string, section: string) =>
      writeFileSync(file, replaceSection(readFileSync(file, 'utf8'), section));
    draw(readme, currentSection(path));
    draw(frontPage, currentHeadline(path));
    return;
  }
  const path = given ?? newestOf([results, join(results, 'local')]);
  if (path === undefined) throw new Error('there is no result yet: npm run bench');
  process.stdout.write(printReport(readResult(join(root, path)), path));
}

if (import.meta.main) {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', () => {});
  try {
    main();
  } catch (error) {
    process.stderr.write(`report: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
