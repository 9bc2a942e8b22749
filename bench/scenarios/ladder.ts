/**
 * Tables and plots of a ladder: one row for each arm, one column for each step.
 *
 * Pure. What a figure is, and which arms and steps there are, is the caller's.
 */

import { type Axis, type Plot, type Series, showFigure, type Table } from '../draw/section.ts';
import type { Figure, Summary } from '../result/summary.ts';

/** One step of a ladder: connections, requests a second, bytes of a body. */
export interface Step {
  readonly point: string;
  readonly number: number;
}

export interface LadderRow {
  readonly label: string;
  cell(step: Step): string;
}

/** The steps `prefix=NUMBER` that a result has, from the lowest. */
export function stepsOf(summary: Summary, prefix: string): readonly Step[] {
  const points = new Set(summary.result.cells.map((cell) => cell.point));
  return [...points]
    .filter((point) => point.startsWith(`${prefix}=`))
    .map((point) => ({ point, number: Number(point.slice(prefix.length + 1)) }))
    .sort((left, right) => left.number - right.number);
}

/** The arms of a result that have a cell at one of the steps, in the order of the result. */
export function armsAt(summary: Summary, steps: readonly Step[]): readonly string[] {
  const points = new Set(steps.map((step) => step.point));
  return summary.result.arms
    .map((arm) => arm.name)
    .filter((name) => summary.points(name).some((point) => points.has(point)));
}

export function figureRow(
  label: string,
  digits: number,
  figure: (point: string) => Figure,
): LadderRow {
  return { label, cell: ({ point }) => showFigure(figure(point), digits) };
}

/** `corner` stands above the labels; `unit` follows each step's number in the heading. */
export function ladderTable(
  caption: string,
  [corner, unit]: readonly [string, string],
  steps: readonly Step[],
  rows: readonly LadderRow[],
  notes: readonly string[] = [],
): Table {
  return {
    caption,
    columns: [corner, ...steps.map(({ number }) => `${number} ${unit}`)],
    rows: rows.map((row) => [row.label, ...steps.map((step) => row.cell(step))]),
    notes,
  };
}

/** One line of a plot; steps without a number are left out. */
export function ladderSeries(
  label: string,
  steps: readonly Step[],
  figure: (point: string) => Figure,
): Series {
  const points = steps.flatMap(({ point, number: x }) => {
    const found = figure(point);
    if (found.state !== 'measured') return [];
    const { median: y, low, high } = found.spread;
    return [{ x, y, low, high }];
  });
  return { label, points };
}

/** A plot of lines without the series that have no point at all. */
export function ladderPlot(
  name: string,
  title: string,
  x: Axis,
  y: Axis,
  series: readonly Series[],
): Plot {
  const drawn = series.filter((each) => each.points.length > 0);
  return { name, title, kind: 'lines', x, y, series: drawn };
}
