/**
 * What a scenario's report is made of before it is drawn: text, tables and plots as plain data.
 *
 * The terminal, Markdown and SVG are drawn from it elsewhere; here are only the types and the one way
 * to write a figure.
 */

import type { Figure } from '../result/summary.ts';

export interface Section {
  readonly title: string;
  /** Paragraphs before the tables. */
  readonly text: readonly string[];
  readonly tables: readonly Table[];
  readonly plots: readonly Plot[];
}

export interface Table {
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** What a reader must know beside the figures, a sentence each. */
  readonly notes: readonly string[];
}

export interface Plot {
  /** The file is NAME.svg. */
  readonly name: string;
  readonly title: string;
  readonly kind: 'lines' | 'bars';
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

export interface Axis {
  readonly label: string;
  readonly log?: boolean;
  readonly from?: number;
  readonly to?: number;
}

export interface Series {
  readonly label: string;
  readonly points: readonly PlotPoint[];
}

export interface PlotPoint {
  readonly x: number;
  readonly y: number;
  /** The interval of y. */
  readonly low?: number;
  readonly high?: number;
  /** Instead of x's number, where x is only a place. */
  readonly label?: string;
}

/** A counted figure of `Summary.count`: its range only where its rounds differ at these digits. */
export function showCount(figure: Figure, digits: number): string {
  const text = showFigure(figure, digits);
  if (figure.state !== 'measured') return text;
  const { low, high } = figure.spread;
  return low.toFixed(digits) === high.toFixed(digits) ? text.replace(/ \[[^\]]*\]/, '') : text;
}

/** '20.0 [18.8..27.0]' is the median and its bootstrap interval; ' (2d)' says how many rounds were dropped. */
export function showFigure(figure: Figure, digits: number): string {
  if (figure.state === 'absent') return '-';
  if (figure.state === 'unproven') return `UNPROVEN (${figure.dropped}/${figure.rounds})`;
  const { median, low, high } = figure.spread;
  const range = `[${low.toFixed(digits)}..${high.toFixed(digits)}]`;
  return `${median.toFixed(digits)} ${range}${figure.dropped > 0 ? ` (${figure.dropped}d)` : ''}`;
}
