/**
 * The drawn parts of bench/README.md and of the project's README, in Markdown.
 *
 * Pure: reports in, text out. bench/README.md has every scenario with its conditions, tables and
 * pictures; the project's README the arms that people know, the price list and the targets.
 */

import {
  describeMachineOf,
  describeRunOf,
  howToRead,
  intervalsOf,
  notesOf,
  settingsOf,
} from './about.ts';
import { hopHeadlineRows, memoryHeadline, priceHeadlineRows } from './headline.ts';
import { outcomesOf, type Report, type Reports } from './reports.ts';
import type { Plot, Table } from './section.ts';
import { drawPlot } from './svg.ts';
import { type Cells, escapeMarkdown, markdownTable } from './table.ts';
import { countVerdicts, reasonLines, targetRows, verdictNote } from './targets-table.ts';

const begin = '<!-- drawn by node bench/report.ts --readme: begin -->';
const end = '<!-- drawn by node bench/report.ts --readme: end -->';

const nothing =
  '(No result is published yet: `npm run bench -- --full --out bench/results/published`.)';

/** `text` with the part between the marks replaced by `section`; throws when the marks are gone. */
export function replaceSection(text: string, section: string): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error('a README has lost the marks of its drawn part');
  return `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`;
}

/** Between the marks of bench/README.md; `pictures` is the way from there to the SVG files. */
export function drawBenchPart(reports: Reports, pictures: string): string {
  const { list, gaps } = reports;
  if (list.length === 0) return [nothing, ...bullets(gaps)].join('\n');
  const machines = new Set(list.map(({ result }) => describeMachineOf(result)));
  const outcomes = outcomesOf(reports);
  return [
    ...(machines.size === 1 ? [...machines, ''] : []),
    howToRead(list.map(({ result }) => result)),
    ...bullets(gaps),
    '',
    '### Targets',
    countVerdicts(outcomes),
    '',
    ...markdownTable(targetRows(outcomes)),
    '',
    verdictNote,
    '',
    '### What is missed or open: what was tried, what limits it',
    ...bullets(reasonLines(outcomes)).slice(1),
    ...list.flatMap((report) => drawSection(report, pictures, machines.size > 1)),
    '',
    '### What ran',
    ...bullets(settingsOf(list.map(({ result }) => result))).slice(1),
  ].join('\n');
}

/** Between the marks of the project's README; `pictures` is the way from there to the SVG files. */
export function drawHeadline(reports: Reports, pictures: string): string {
  if (reports.list.length === 0) return nothing;
  const find = (name: string) => reports.list.find(({ result }) => result.scenario === name);
  const outcomes = outcomesOf(reports);
  const hop = find('hop');
  const prices = find('prices');
  const lines: string[] = [];
  if (reports.list.some(({ result }) => result.tolerateNoise)) {
    lines.push('NOISE WAS TOLERATED: a smoke test of the bench, not a measurement.', '');
  }
  if (hop !== undefined) {
    lines.push(...headlineOf('One plain hop, HTTP/1.1, 100 bytes', hopHeadlineRows(hop.summary)));
    lines.push(...pictureOf(hop, 'hop-cpu', pictures));
  }
  if (prices === undefined) {
    lines.push('This run has no price list.', '');
  } else {
    lines.push(...headlineOf('The price list', priceHeadlineRows(prices.summary)));
    lines.push(...pictureOf(prices, 'prices-steps', pictures));
  }
  lines.push(...headlineOf('Targets', targetRows(outcomes)));
  const memory = find('memory');
  if (memory !== undefined) lines.push(...memoryHeadline(memory.summary));
  const commits = [...new Set(reports.list.map(({ result }) => result.commit))];
  const dates = [...new Set(reports.list.map(({ result }) => result.date.slice(0, 10)))].join(', ');
  lines.push(
    `${countVerdicts(outcomes)} ${dates}, measured at commit ${commits.join(' and ')}. ${describeMachineOf(reports.list[0]!.result)} Medians over rounds ` +
      `[bootstrap interval; ${intervalsOf(reports.list.map(({ result }) => result))}]; ` +
      '(2d) = two rounds dropped; \\* = the load was the limit, or as much of one as the proxy; what each column is, and all other figures: [bench/README.md](bench/README.md).',
  );
  return lines.join('\n');
}

/** Every picture, by the name of its file. */
export function drawPlots({ list }: Reports): ReadonlyMap<string, string> {
  const plots = list.flatMap(({ section }) => section.plots);
  return new Map(plots.map((plot) => [`${plot.name}.svg`, drawPlot(plot)]));
}

function drawSection(
  { path, result, summary, section }: Report,
  pictures: string,
  withMachine: boolean,
): readonly string[] {
  return [
    '',
    `### ${section.title}`,
    ...describeRunOf(result, path).map(escapeMarkdown),
    ...(withMachine ? [describeMachineOf(result)] : []),
    ...section.text.flatMap((text) => ['', escapeMarkdown(text)]),
    ...section.tables.flatMap(drawTable),
    ...section.plots.flatMap((plot) => ['', drawPicture(plot, pictures)]),
    ...bullets(notesOf(summary)),
  ];
}

function drawTable({ caption, columns, rows, notes }: Table): readonly string[] {
  return ['', `**${caption}**`, '', ...markdownTable([columns, ...rows]), ...bullets(notes)];
}

function headlineOf(caption: string, rows: readonly Cells[]): readonly string[] {
  return [`**${caption}**`, '', ...markdownTable(rows), ''];
}

function pictureOf({ section }: Report, name: string, pictures: string): readonly string[] {
  const plot = section.plots.find((each) => each.name === name);
  return plot === undefined ? [] : [drawPicture(plot, pictures), ''];
}

function drawPicture({ name, title }: Plot, pictures: string): string {
  return `![${escapeMarkdown(title)}](${pictures}/${name}.svg)`;
}

function bullets(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? [] : ['', ...lines.map((line) => `- ${escapeMarkdown(line)}`)];
}
