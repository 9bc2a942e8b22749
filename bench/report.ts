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
import type { Section, Table } from './draw/section.ts';
import { showFigure } from './draw/section.ts';
import { findHoles, readAny, readResult } from './result/result.ts';
import type { Result } from './result/row.ts';
import { Summary } from './result/summary.ts';
import { judgeTargets } from './result/targets.ts';
import { hopHeadlines } from './scenarios/hop-report.ts';
import { findScenario } from './scenarios/scenarios.ts';

const root = resolve(import.meta.dirname, '..');
const results = join(import.meta.dirname, 'results');
const readme = join(import.meta.dirname, 'README.md');
const frontPage = join(root, 'README.md');
const begin = '<!-- drawn by node bench/report.ts --readme: begin -->';
const end = '<!-- drawn by node bench/report.ts --readme: end -->';

type Cells = readonly string[];

/** The report for the terminal; `path` is the file's name as a reader would type it. */
export function printReport(result: Result, path: string): string {
  refuseHoles(result);
  const summary = new Summary(result);
  const lines = ['', ...describeConditions(result, path), ''];
  for (const table of sectionOf(summary).tables) {
    lines.push(table.caption, ...alignTable([table.columns, ...table.rows]), '');
    if (table.notes.length > 0) lines.push(...table.notes, '');
  }
  lines.push(...noteLines(summary));
  const targets = drawTargets(summary);
  if (targets.length > 1) lines.push('', ...alignTable(targets));
  if (result.scenario === 'hop') lines.push('', ...hopHeadlines(summary));
  return `${lines.join('\n')}\n\n`;
}

/** The section of bench/README.md, in Markdown. */
export function drawSection(result: Result, path: string): string {
  refuseHoles(result);
  const summary = new Summary(result);
  return [
    ...describeConditions(result, path),
    '',
    ...sectionOf(summary).tables.flatMap(drawTable),
    ...markdownTable(drawTargets(summary)),
    ...bullets([
      ...noteLines(summary),
      ...result.arms
        .filter((arm) => arm.missing === undefined)
        .map((arm) => `${arm.label} ${arm.version}: ${arm.setting}`),
    ]),
  ].join('\n');
}

function sectionOf(summary: Summary): Section {
  const scenario = findScenario(summary.result.scenario);
  if (scenario === undefined) throw new Error(`no scenario "${summary.result.scenario}"`);
  return scenario.report(summary);
}

function drawTable({ columns, rows, notes }: Table): readonly string[] {
  return [...markdownTable([columns, ...rows]), '', ...notes, ''];
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
  const summary = new Summary(result);
  const [table] = sectionOf(summary).tables as [Table, ...Table[]];
  return [
    ...markdownTable([table.columns, ...table.rows]),
    '',
    ...markdownTable(drawTargets(summary)),
    '',
    'Medians over rounds [95 % interval]; what each column is, on which machine, and how to repeat it:',
    '[bench/README.md](bench/README.md).',
  ].join('\n');
}

function refuseHoles(result: Result): void {
  const holes = findHoles(result);
  if (holes.length > 0) throw new Error(`rows are missing: ${holes.slice(0, 5).join('; ')}`);
}

function describeConditions(result: Result, path: string): readonly string[] {
  const { machine, pinning } = result;
  const pinned =
    pinning === 'none'
      ? 'nothing pinned'
      : `proxy alone on core ${pinning.proxy}, load and backend on core ${pinning.load}`;
  const lines = [
    `${path}: ${result.date.slice(0, 16)}Z, commit ${result.commit}, ${result.rounds} rounds, ` +
      `${result.seconds} s a load, ${Math.round(result.durationSeconds)} s in all.`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; ` +
      `${pinned}; backend ${result.backend}; ` +
      `${(machine.idleBusy * 100).toFixed(1)} % busy before the first round.`,
    `Medians over rounds [95 % bootstrap interval over rounds]; (d) = rounds dropped. Cores ` +
      `${result.keptAwake ? 'kept awake' : 'free to halt when idle'}.`,
  ];
  if (result.tolerateNoise) {
    lines.push('NOISE WAS TOLERATED: this is a smoke test of the bench, not a measurement.');
  }
  return lines;
}

function drawTargets(summary: Summary): readonly Cells[] {
  const rows: Cells[] = [['target', 'limit', 'measured', 'verdict']];
  const outcomes = judgeTargets(new Map([[summary.result.scenario, summary]]));
  for (const { target, measured, verdict } of outcomes) {
    if (target.scenario !== summary.result.scenario) continue;
    const limit = `<= ${target.limit} ${target.unit}`;
    rows.push([target.what, limit, showFigure(measured, target.digits), verdict]);
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
    .flatMap((path) => {
      const date = dateOf(join(root, path));
      return date === undefined ? [] : [{ path, date }];
    })
    .sort((left, right) => (left.date < right.date ? 1 : -1));
  return found[0]?.path;
}

/** undefined for what an older bench wrote. */
function dateOf(path: string): string | undefined {
  try {
    return readAny(path).date;
  } catch {
    return undefined;
  }
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
