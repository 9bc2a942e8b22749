/**
 * Draws results: sections and targets for the terminal, the READMEs, the plots.
 *
 *     node bench/report.ts [DIR|FILE...]   prints them, by default the newest run there is
 *     node bench/report.ts --plots DIR     and writes the plots beside the results
 *     node bench/report.ts --readme        writes the published run (bench/results/published) into
 *                                          bench/README.md and README.md, and its plots
 *
 * It draws from result files and from nothing else; a file with missing rows is named, not drawn.
 */

import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { drawBenchPart, drawHeadline, drawPlots, replaceSection } from './draw/readme.ts';
import { nameOf, type Reports, readReports } from './draw/reports.ts';
import { printReports } from './draw/terminal.ts';
import { readAny } from './result/result.ts';

const root = resolve(import.meta.dirname, '..');
const results = join(import.meta.dirname, 'results');
const published = join(results, 'published');

const help = `node bench/report.ts [DIR|FILE...]   draws results of npm run bench, by default the newest

  --plots    also writes the plots (SVG) beside the results
  --readme   writes the published run, bench/results/published, into the READMEs, and its plots
`;

/** The published run as it is in its folder. */
export function readPublished(): Reports {
  return readReports([published], root);
}

/** What the READMEs and the pictures of these reports should be: file name to text. */
export function drawFiles(reports: Reports): ReadonlyMap<string, string> {
  const drawn = (file: string, section: string) =>
    [file, replaceSection(readFileSync(file, 'utf8'), section)] as const;
  return new Map([
    drawn(join(root, 'bench/README.md'), drawBenchPart(reports, 'results/published')),
    drawn(join(root, 'README.md'), drawHeadline(reports, 'bench/results/published')),
    ...[...drawPlots(reports)].map(([name, text]) => [join(published, name), text] as const),
  ]);
}

/** Pictures in the folder of the published run, those that nothing draws any more too. */
export function publishedPictures(): readonly string[] {
  return readdirSync(published)
    .filter((name) => name.endsWith('.svg'))
    .map((name) => join(published, name));
}

/**
 * The report of a run for the terminal. `paths` are files or folders of results; `withPlots` writes
 * the plots into the folder of the first, and says so.
 */
export function reportRun(paths: readonly string[], withPlots: boolean): string {
  return printRun(readReports(paths, root), withPlots ? folderOf(paths[0]!) : undefined);
}

/** Plots go to `folder`; what is said of them comes first, so that the numbers are the last lines. */
function printRun(reports: Reports, folder: string | undefined): string {
  const said = folder === undefined ? '' : writePlots(reports, folder);
  return said + printReports(reports);
}

function writePlots(reports: Reports, folder: string): string {
  const plots = drawPlots(reports);
  for (const [name, text] of plots) writeFileSync(join(folder, name), text);
  const where = nameOf(folder, root);
  return plots.size === 0 ? '' : `Plots in ${where}: ${[...plots.keys()].join(' ')}\n`;
}

function writePublished(): void {
  const reports = readPublished();
  const files = drawFiles(reports);
  for (const path of publishedPictures()) if (!files.has(path)) rmSync(path);
  for (const [path, text] of files) writeFileSync(path, text);
  process.stdout.write(reports.gaps.map((gap) => `${gap}\n`).join(''));
  if (reports.gaps.some(isProblem)) process.exitCode = 2;
  const names = [...files.keys()].map((path) => relative(root, path));
  process.stdout.write(`written: ${names.join(' ')}\n`);
}

/** The published run, a run of bench/results/local, or a file there: whatever was measured last. */
function newestRun(): string | undefined {
  const local = join(results, 'local');
  const runs = existsSync(local) ? readdirSync(local).map((name) => join(local, name)) : [];
  const dated = [published, ...runs].flatMap((path) => {
    const date = newestDate(path);
    return date === undefined ? [] : [{ path, date }];
  });
  return dated.sort((left, right) => (left.date < right.date ? 1 : -1))[0]?.path;
}

/** undefined where there is no result, or only what an older bench wrote. */
function newestDate(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const files = path.endsWith('.json')
    ? [path]
    : readdirSync(path).flatMap((name) => (name.endsWith('.json') ? [join(path, name)] : []));
  const dates = files.flatMap((file) => {
    try {
      return [readAny(file).date];
    } catch {
      return [];
    }
  });
  return dates.sort().at(-1);
}

function folderOf(path: string): string {
  return path.endsWith('.json') ? dirname(path) : path;
}

/** What was typed is wrong, or is no result; the message is the whole explanation. */
class Mistake extends Error {}

const nextCommand = 'npm run bench makes results; node bench/report.ts --help';

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        plots: { type: 'boolean' },
        readme: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new Mistake((error as Error).message.split('. ', 1)[0]!);
  }
}

/** A file that could not be drawn, and not a scenario that was not measured. */
function isProblem(gap: string): boolean {
  return gap.includes(' is not drawn: ');
}

/** What can be drawn of the paths, or of the newest run where none is named. */
function readNamed(named: readonly string[]): { reports: Reports; folder: string } {
  const newest = named.length === 0 ? newestRun() : undefined;
  const paths = newest === undefined ? named.map((path) => resolve(path)) : [newest];
  const [first] = paths;
  if (first === undefined) throw new Mistake('there is no result yet');
  const gone = paths.find((path) => !existsSync(path));
  if (gone !== undefined) throw new Mistake(`${gone}: there is no such file or folder`);
  const reports = readReports(paths, root);
  if (reports.list.length > 0) return { reports, folder: folderOf(first) };
  // Of a folder, what is wrong with its files; that every scenario is missing says nothing then.
  const [problem] = reports.gaps;
  const isFile = !statSync(first).isDirectory();
  throw new Mistake(
    isFile || (problem !== undefined && isProblem(problem))
      ? problem!.replace(/\.$/, '')
      : `${nameOf(first, root)}: there is no result in it`,
  );
}

function main(): void {
  const { values, positionals } = readArguments();
  if (values.help) {
    process.stdout.write(help);
    return;
  }
  if (values.readme) {
    const only = `--readme draws ${relative(root, published)} only`;
    if (positionals.length > 0) throw new Mistake(only);
    writePublished();
    return;
  }
  const { reports, folder } = readNamed(positionals);
  process.stdout.write(printRun(reports, values.plots ? folder : undefined));
  if (reports.gaps.some(isProblem)) process.exitCode = 2;
}

if (import.meta.main) {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', () => {});
  try {
    main();
  } catch (error) {
    const isMistake = error instanceof Mistake;
    const next = isMistake ? ` (${nextCommand})` : '';
    process.stderr.write(`report: ${(error as Error).message}${next}\n`);
    process.exitCode = isMistake ? 2 : 1;
  }
}
