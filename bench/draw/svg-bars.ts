/**
 * Bars on their side, a row for each place and one bar in it for each series, with intervals.
 *
 * Pure. Where Tracecar stands beside others in a single series, its bars are in colour and theirs are
 * not.
 */

import type { Scale } from './scale.ts';
import type { PlotPoint, Series } from './section.ts';
import {
  at,
  classOf,
  element,
  type Frame,
  lineOf,
  textAt,
  textWidth,
  wrapText,
} from './svg-text.ts';

const barHeight = 15;
const rowGap = 9;
const lineHeight = 14;
const labelChars = 34;
/** Beside the bars, for their numbers. */
const valueWidth = 64;

interface Place {
  readonly x: number;
  readonly lines: readonly string[];
  /** In the order of the series. */
  readonly points: readonly (PlotPoint | undefined)[];
}

export function sizeOfBars(series: readonly Series[]) {
  const places = placesOf(series);
  const widest = Math.max(0, ...places.flatMap(({ lines }) => lines.map(textWidth)));
  const height = places.reduce((sum, place) => sum + heightOf(place), 0);
  return { left: widest + 12, right: valueWidth, top: 4, height: Math.max(height, 60) };
}

export function drawBars(
  series: readonly Series[],
  scale: Scale,
  axisLabel: string,
  frame: Frame,
): readonly string[] {
  const across = (value: number) => frame.left + scale.place(value) * (frame.right - frame.left);
  const places = placesOf(series);
  const beside = series.length === 1 ? besideOf(series[0]!) : () => false;
  const out = scale.ticks.flatMap(({ value, text }) => [
    lineOf('grid', across(value), frame.top, across(value), frame.bottom),
    textAt(text, across(value), frame.bottom + 16, 'dim', 'middle'),
  ]);
  const middle = (frame.left + frame.right) / 2;
  out.push(textAt(axisLabel, middle, frame.bottom + 36, 'ink', 'middle'));
  let top = frame.top;
  for (const place of places) {
    const height = heightOf(place);
    const center = top + height / 2;
    out.push(...drawLabel(place.lines, frame.left - 10, center));
    const firstTop = center - (barHeight * series.length) / 2;
    for (const [index, point] of place.points.entries()) {
      if (point === undefined) continue;
      const kind = beside(point) ? 'beside' : classOf(index);
      out.push(...drawBar(point, kind, firstTop + index * barHeight, scale, across));
    }
    top += height;
  }
  const zero = across(scale.contains(0) ? 0 : scale.low);
  out.push(lineOf('zero', zero, frame.top, zero, frame.bottom));
  return out;
}

function drawBar(
  { y, low, high }: PlotPoint,
  kind: string,
  top: number,
  scale: Scale,
  across: (value: number) => number,
): readonly string[] {
  const zero = across(0);
  const end = across(y);
  const middle = top + barHeight / 2;
  const box = {
    ...{ x: at(Math.min(zero, end)), y: at(top + 1) },
    ...{ width: at(Math.abs(end - zero)), height: at(barHeight - 2) },
  };
  const out = [element('rect', { class: kind, 'stroke-width': '0', ...box })];
  let beyond = Math.max(end, zero);
  if (low !== undefined && high !== undefined) {
    out.push(lineOf('whisker', across(low), middle, across(high), middle));
    for (const value of [low, high]) {
      if (!scale.contains(value)) continue;
      out.push(lineOf('whisker', across(value), middle - 3, across(value), middle + 3));
    }
    beyond = Math.max(beyond, across(high));
  }
  out.push(textAt(showShort(y), beyond + 6, middle + 4, 'ink', 'start'));
  return out;
}

function drawLabel(lines: readonly string[], right: number, center: number): readonly string[] {
  const first = center - ((lines.length - 1) * lineHeight) / 2 + 4;
  return lines.map((line, index) => textAt(line, right, first + index * lineHeight, 'ink', 'end'));
}

/** One for each place on the axis, in its order. */
function placesOf(series: readonly Series[]): readonly Place[] {
  const xs = new Set(series.flatMap(({ points }) => points.map((point) => point.x)));
  return [...xs]
    .sort((left, right) => left - right)
    .map((x) => {
      const points = series.map((each) => each.points.find((point) => point.x === x));
      const named = points.find((point) => point?.label !== undefined)?.label;
      return { x, points, lines: wrapText(named ?? String(x), labelChars) };
    });
}

function heightOf({ lines, points }: Place): number {
  return Math.max(points.length * barHeight, lines.length * lineHeight) + rowGap;
}

function besideOf({ points }: Series): (point: PlotPoint) => boolean {
  const isOwn = ({ label = '' }: PlotPoint) => label.startsWith('Tracecar');
  return points.some(isOwn) ? (point) => !isOwn(point) : () => false;
}

/** Three digits that mean something. */
function showShort(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return value.toFixed(digits).replace('-', '\u2212');
}
