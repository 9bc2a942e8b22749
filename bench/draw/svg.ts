/**
 * A plot as an SVG file: title, legend, axes with units, marks with their intervals.
 *
 * Pure and stable: the same plot gives the same bytes. The picture brings its own background, and text
 * and background change together in the dark, so that it is readable on any page. Colours are Okabe and
 * Ito's, which the colour-blind tell apart; lines also differ by dashes and marks. Bars lie on their
 * side, because their names are long.
 */

import { scaleOf } from './scale.ts';
import type { Plot, PlotPoint, Series } from './section.ts';
import { drawBars, sizeOfBars } from './svg-bars.ts';
import { drawLines, drawMark, sizeOfLines } from './svg-lines.ts';
import { at, classOf, element, type Frame, fontSize, textAt, textWidth } from './svg-text.ts';

const width = 760;
const margin = 16;
const titleHeight = 26;
const legendHeight = 22;
const axisHeight = 46;

const styles = `
.back{fill:#ffffff}.ink{fill:#24292f}.dim{fill:#57606a}.grid{stroke:#d8dee4;stroke-width:1}
.zero{stroke:#57606a;stroke-width:1}.whisker{stroke:#24292f;stroke-width:1.2;fill:none}
text{font-family:system-ui,"Segoe UI","DejaVu Sans",sans-serif;font-size:${fontSize}px}
.title{font-size:15px;font-weight:600}.line{fill:none;stroke-width:2}.band{opacity:.16}
${paint(['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#57606a'], '#9aa4af')}
@media (prefers-color-scheme:dark){
.back{fill:#0d1117}.ink{fill:#e6edf3}.dim{fill:#9da7b3}.grid{stroke:#2b323b}
.zero{stroke:#9da7b3}.whisker{stroke:#e6edf3}
${paint(['#4ba6e0', '#f2894b', '#2fc79b', '#e5a5c8', '#f0bc45', '#9ad4f7', '#9da7b3'], '#6e7781')}
}
`;

/** The text of NAME.svg, one line feed at its end. */
export function drawPlot(plot: Plot): string {
  const series = plot.series.map(keepFinite);
  const isEmpty = series.every(({ points }) => points.length === 0);
  const legend = series.length > 1 && !isEmpty ? drawLegend(series, plot.kind) : [];
  const legendRows = legend.length === 0 ? 0 : rowsOfLegend(series);
  const inner = plot.kind === 'bars' ? sizeOfBars(series) : sizeOfLines(plot);
  const top = margin + titleHeight + legendRows * legendHeight + inner.top;
  const height = top + inner.height + axisHeight + margin / 2;
  const frame: Frame = {
    left: margin + inner.left,
    right: width - margin - inner.right,
    top,
    bottom: top + inner.height,
  };
  const body = isEmpty
    ? [textAt('nothing was measured', width / 2, top + inner.height / 2, 'dim', 'middle')]
    : drawBody({ ...plot, series }, frame);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${at(height)}" ` +
      `width="${width}" height="${at(height)}" role="img">`,
    element('title', {}, plot.title),
    `<style>${styles}</style>`,
    element('rect', { class: 'back', width: String(width), height: at(height), rx: '6' }),
    element('text', { class: 'ink title', x: '16', y: at(margin + 12) }, plot.title),
    ...legend,
    ...body,
    '</svg>',
  ].join('\n')}\n`;
}

function drawBody(plot: Plot, frame: Frame): readonly string[] {
  const values = valuesOf(plot.series);
  if (plot.kind === 'bars') {
    // A bar begins at zero, or at the axis's own start; the longest one fills the width.
    const shown = plot.y.log === true ? values : [0, ...values];
    const ends = plot.y.log === true ? {} : { from: Math.min(...shown), to: Math.max(...shown) };
    const scale = scaleOf({ ...ends, ...plot.y }, shown);
    return drawBars(plot.series, scale, plot.y.label, frame);
  }
  const xs = plot.series.flatMap(({ points }) => points.map((point) => point.x));
  // The first and the last point are the ends: a ladder has no room beyond its steps.
  const x = scaleOf({ from: Math.min(...xs), to: Math.max(...xs), ...plot.x }, xs);
  return drawLines(plot, x, scaleOf(plot.y, values), frame);
}

/**
 * What an axis must show. An interval far beyond all medians does not squeeze them: it is cut at the
 * edge, and drawn without its end.
 */
function valuesOf(series: readonly Series[]): readonly number[] {
  const points = series.flatMap((each) => each.points);
  const most = Math.max(...points.map((point) => Math.abs(point.y)));
  const limit = 1.5 * most;
  return points.flatMap(({ y, low = y, high = y }) => [
    y,
    Math.max(low, -limit),
    Math.min(high, limit),
  ]);
}

/** JSON has no NaN, but a division may have made one. */
function keepFinite({ label, points }: Series): Series {
  const kept = points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y));
  return {
    label,
    points: kept.map(({ low, high, ...point }: PlotPoint) =>
      Number.isFinite(low) && Number.isFinite(high)
        ? { ...point, low: low!, high: high! }
        : { ...point },
    ),
  };
}

/** Where each entry begins, row by row. */
function placeLegend(series: readonly Series[]): readonly { left: number; row: number }[] {
  let left = margin;
  let row = 0;
  return series.map(({ label }) => {
    const entry = 26 + textWidth(label) + 20;
    if (left > margin && left + entry > width - margin) {
      left = margin;
      row++;
    }
    const place = { left, row };
    left += entry;
    return place;
  });
}

function rowsOfLegend(series: readonly Series[]): number {
  return (placeLegend(series).at(-1)?.row ?? 0) + 1;
}

function drawLegend(series: readonly Series[], kind: Plot['kind']): readonly string[] {
  return placeLegend(series).flatMap(({ left, row }, index) => {
    const y = margin + titleHeight + row * legendHeight + 4;
    const sign =
      kind === 'bars'
        ? element('rect', {
            class: classOf(index),
            ...{ x: at(left), y: at(y - 6), width: '16', height: '12' },
          })
        : drawMark(index, left + 8, y);
    return [sign, textAt(series[index]!.label, left + 24, y + 4, 'ink', 'start')];
  });
}

/** Fill and stroke of each series, and of bars that stand beside the emphasised ones. */
function paint(colours: readonly string[], beside: string): string {
  const rules = colours.map((colour, index) => `.s${index}{fill:${colour};stroke:${colour}}`);
  return [...rules, `.beside{fill:${beside};stroke:${beside}}`].join('');
}
