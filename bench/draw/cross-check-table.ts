/**
 * The tables of cross-checks: other people's load generators beside ours, at saturation.
 *
 * Pure. They say whether our generator can be believed, and in a sentence drawn from the figures where a
 * tool disagrees with ours; no other figure rests on them.
 */

import type { CrossCheck } from '../result/row.ts';
import { type Figure, read, type Summary } from '../result/summary.ts';
import { showFigure, type Table } from './section.ts';

/** Whom CPU is divided by, beside each tool's figure. */
const rivals = [
  { arm: 'envoy', label: 'Envoy' },
  { arm: 'haproxy', label: 'HAProxy' },
] as const;

/** Nothing where the run had no cross-check. */
export function crossCheckTables(summary: Summary): readonly Table[] {
  const { crossChecks } = summary.result;
  if (crossChecks.length === 0) return [];
  const tools = [...new Set(crossChecks.map(toolOf))];
  const arms = [...new Set(crossChecks.map(({ arm }) => arm))];
  return [ratesTable(summary, tools, arms), cpuTable(summary, tools, arms)];
}

function ratesTable(summary: Summary, tools: readonly string[], arms: readonly string[]): Table {
  const { crossChecks, seconds } = summary.result;
  const failed = crossChecks.flatMap(({ arm, tool, failed: why }) =>
    why === undefined ? [] : [`${tool}, ${summary.label(arm)}: no figure, ${why}`],
  );
  return {
    caption: 'Cross-check: saturation as other load generators see it',
    columns: ['arm', ...['ours', ...tools].map((name) => `requests/s, ${name}`)],
    rows: arms.map((arm) => [
      summary.label(arm),
      showFigure(summary.figure(arm, 'saturation', read.requestsPerSecond), 0),
      ...tools.map((tool) => checkOf(summary, tool, arm)?.requestsPerSecond.toFixed(0) ?? '-'),
    ]),
    notes: [
      `Ours: ${seconds} s in each round, every answer compared. The others: one second once, after the ` +
        'last round, 16 connections on one thread of the same core; no interval, and nothing dropped.',
      ...failed,
    ],
  };
}

function cpuTable(summary: Summary, tools: readonly string[], arms: readonly string[]): Table {
  const ratioNames = rivals.map(({ label }) => `x ${label}`);
  return {
    caption: 'Cross-check: CPU of a request as other load generators see it',
    columns: [
      'arm',
      ...['ours', ...tools].flatMap((tool) =>
        ['CPU us/request', ...ratioNames].map((name) => `${name}, ${tool}`),
      ),
    ],
    rows: arms.map((arm) => [
      summary.label(arm),
      showFigure(summary.figure(arm, 'saturation', read.cpuUsPerRequest), 1),
      ...rivals.map((rival) => showMedian(ownRatio(summary, arm, rival.arm))),
      ...tools.flatMap((tool) => [
        cpuOf(summary, tool, arm)?.toFixed(1) ?? '-',
        ...rivals.map((rival) => toolRatio(summary, tool, arm, rival.arm)?.toFixed(2) ?? '-'),
      ]),
    ]),
    notes: disagreements(summary, tools),
  };
}

/** Each tool whose ratio of Tracecar to a rival lies outside the interval of ours, and by how much. */
function disagreements(summary: Summary, tools: readonly string[]): readonly string[] {
  const judged = tools.flatMap((tool) =>
    rivals.flatMap(({ arm, label }) => {
      const ours = ownRatio(summary, 'tracecar', arm);
      const theirs = toolRatio(summary, tool, 'tracecar', arm);
      if (ours.state !== 'measured' || theirs === undefined) return [];
      const { low, high } = ours.spread;
      const text = `${tool} has ${theirs.toFixed(2)} x ${label} where ours is ${showFigure(ours, 2)}`;
      return [{ text, isOutside: theirs < low || theirs > high }];
    }),
  );
  if (judged.length === 0) return [];
  const outside = judged.filter(({ isOutside }) => isOutside).map(({ text }) => text);
  return [
    outside.length === 0
      ? "CPU of Tracecar against its rivals: every tool's ratio lies inside the interval of ours."
      : `CPU of Tracecar against its rivals: ${outside.join('; ')}: outside our interval, in one ` +
        'second, measured once.',
  ];
}

function ownRatio(summary: Summary, arm: string, rival: string): Figure {
  return summary.ratio(arm, rival, 'saturation', read.cpuUsPerRequest);
}

function toolRatio(summary: Summary, tool: string, arm: string, rival: string): number | undefined {
  const above = cpuOf(summary, tool, arm);
  const below = cpuOf(summary, tool, rival);
  return above === undefined || below === undefined ? undefined : above / below;
}

/** Direct has no process of a proxy. */
function cpuOf(summary: Summary, tool: string, arm: string): number | undefined {
  const cpu = checkOf(summary, tool, arm)?.cpuUsPerRequest;
  return cpu === 0 ? undefined : cpu;
}

/** Undefined where it failed, too. */
function checkOf({ result }: Summary, tool: string, arm: string): CrossCheck | undefined {
  return result.crossChecks.find(
    (each) => each.arm === arm && each.failed === undefined && toolOf(each) === tool,
  );
}

function toolOf({ tool, version }: CrossCheck): string {
  return version.startsWith(tool) ? version : `${tool} ${version}`;
}

function showMedian(figure: Figure): string {
  return figure.state === 'measured' ? figure.spread.median.toFixed(2) : '-';
}
