/**
 * Lines over an axis of numbers, each with the band of its interval and marks at its points.
 *
 * Pure. Series differ by colour, by dashes and by the form of their marks.
 */

import { type Scale, showNumber } from './scale.ts';
import type { Plot, PlotPoint, Series } from './section.ts';
import { at, classOf, element, type Frame, lineOf, textAt, textWidth } from './svg-text.ts';

const dashes = ['', '7 4', '2 3', '9 3 2 3'];
const tickGap = 8;

export function sizeOfLines(_plot: Plot) {
  return { left: 66, right: 24, top: 6, height: 250 };
}

export function drawLines(plot: Plot, x: Scale, y: Scale, frame: Frame): readonly string[] {
  const across = (value: number) => frame.left + x.place(value) * (frame.right - frame.left);
  const up = (value: number) => frame.bottom - y.place(value) * (frame.bottom - frame.top);
  const center = (frame.top + frame.bottom) / 2;
  const turned = `rotate(-90 14 ${at(center)})`;
  return [
    ...y.ticks.flatMap(({ value, text }) => [
      lineOf('grid', frame.left, up(value), frame.right, up(value)),
      textAt(text, frame.left - 8, up(value) + 4, 'dim', 'end'),
    ]),
    ...drawXTicks(plot, x, across, frame.bottom),
    lineOf('zero', frame.left, frame.bottom, frame.right, frame.bottom),
    textAt(plot.x.label, (frame.left + frame.right) / 2, frame.bottom + 36, 'ink', 'middle'),
    element(
      'text',
      { class: 'ink', x: '14', y: at(center + 4), 'text-anchor': 'middle', transform: turned },
      plot.y.label,
    ),
    ...plot.series.flatMap((series, index) => drawSeries(series, index, across, up)),
  ];
}

/** The points themselves are ticks where they are few; otherwise the scale's. Those that overlap go. */
function drawXTicks(
  plot: Plot,
  x: Scale,
  across: (value: number) => number,
  bottom: number,
): readonly string[] {
  const values = new Map<number, string>();
  for (const { points } of plot.series) {
    for (const point of points) values.set(point.x, point.label ?? showNumber(point.x));
  }
  const own = [...values].map(([value, text]) => ({ value, text }));
  const ticks = own.length <= 8 ? own.sort((left, right) => left.value - right.value) : x.ticks;
  const out: string[] = [];
  let taken = Number.NEGATIVE_INFINITY;
  for (const { value, text } of ticks) {
    const half = textWidth(text) / 2;
    const place = across(value);
    out.push(lineOf('zero', place, bottom, place, bottom + 4));
    if (place - half < taken + tickGap) continue;
    out.push(textAt(text, place, bottom + 18, 'dim', 'middle'));
    taken = place + half;
  }
  return out;
}

function drawSeries(
  series: Series,
  index: number,
  across: (value: number) => number,
  up: (value: number) => number,
): readonly string[] {
  const points = [...series.points].sort((left, right) => left.x - right.x);
  const path = (list: readonly PlotPoint[], read: (point: PlotPoint) => number) =>
    list.map((point) => `${at(across(point.x))},${at(up(read(point)))}`);
  const out: string[] = [];
  const bounded = points.filter(({ low }) => low !== undefined);
  if (bounded.length > 1) {
    const above = path(bounded, (point) => point.high!);
    const below = path(bounded, (point) => point.low!).reverse();
    const outline = [...above, ...below].join(' ');
    out.push(
      element('polygon', {
        class: `${classOf(index)} band`,
        'stroke-width': '0',
        points: outline,
      }),
    );
  }
  for (const point of bounded) {
    out.push(...drawWhisker(across(point.x), up(point.low!), up(point.high!), index));
  }
  const dash = dashes[index % dashes.length]!;
  out.push(
    element('polyline', {
      class: `${classOf(index)} line`,
      ...{ style: 'fill:none', points: path(points, (point) => point.y).join(' ') },
      ...(dash === '' ? {} : { 'stroke-dasharray': dash }),
    }),
  );
  return [...out, ...points.map((point) => drawMark(index, across(point.x), up(point.y)))];
}

function drawWhisker(x: number, low: number, high: number, index: number): readonly string[] {
  return [[x, low, x, high] as const].map((ends) => lineOf(classOf(index), ...ends));
}

/** A circle, a square, a triangle or a diamond about the place. */
export function drawMark(index: number, x: number, y: number): string {
  const kind = classOf(index);
  const corner = (dx: number, dy: number) => `${at(x + dx)},${at(y + dy)}`;
  switch (index % 4) {
    case 0:
      return element('circle', { class: kind, cx: at(x), cy: at(y), r: '4' });
    case 1:
      return element('rect', {
        class: kind,
        ...{ x: at(x - 4), y: at(y - 4), width: '8', height: '8' },
      });
    case 2:
      return element('polygon', {
        class: kind,
        points: [corner(0, -5), corner(5, 4), corner(-5, 4)].join(' '),
      });
    default:
      return element('polygon', {
        class: kind,
        points: [corner(0, -5), corner(5, 0), corner(0, 5), corner(-5, 0)].join(' '),
      });
  }
}
