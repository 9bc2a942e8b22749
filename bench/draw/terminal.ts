/**
 * Reports for the terminal: every section with its conditions, then the targets.
 *
 * Pure: a text comes out.
 */

import { hopHeadlines } from '../scenarios/hop-report.ts';
import { describeMachineOf, describeRunOf, howToRead, notesOf } from './about.ts';
import { outcomesOf, type Report, type Reports } from './reports.ts';
import { alignTable } from './table.ts';
import { countVerdicts, reasonLines, targetRows, verdictNote } from './targets-table.ts';

/** The two numbers are its last lines where it is of the plain hop alone. */
export function printReports(reports: Reports): string {
  const { list, gaps } = reports;
  const lines = list.length === 0 ? [''] : ['', howToRead(list.map(({ result }) => result)), ''];
  for (const report of list) lines.push(...printSection(report));
  lines.push(...gaps);
  const outcomes = outcomesOf(reports);
  if (outcomes.length > 0) {
    lines.push('', 'Targets', ...alignTable(targetRows(outcomes)), '');
    lines.push(countVerdicts(outcomes), verdictNote, ...reasonLines(outcomes));
  }
  const [only] = list;
  if (list.length === 1 && only!.result.scenario === 'hop') {
    lines.push('', ...hopHeadlines(only!.summary));
  }
  return `${lines.join('\n')}\n\n`;
}

function printSection({ path, result, summary, section }: Report): readonly string[] {
  const lines = [section.title, '='.repeat(section.title.length)];
  lines.push(...describeRunOf(result, path), describeMachineOf(result), '', ...section.text);
  if (section.text.length > 0) lines.push('');
  for (const { caption, columns, rows, notes } of section.tables) {
    lines.push(caption, ...alignTable([columns, ...rows]), '');
    if (notes.length > 0) lines.push(...notes, '');
  }
  return [...lines, ...notesOf(summary), ''];
}
