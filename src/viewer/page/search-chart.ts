/**
 * What a search found as dots: when each trace began, and how long it took (logarithmic).
 */

import { printDuration } from '../time-bar.ts';
import type { TraceSummary } from '../view-answers.ts';
import { svg } from './dom.ts';
import { printClock } from './format.ts';
import { navigate } from './view.ts';

const height = 116;
const left = 58;
const bottom = 18;
const top = 8;

export function searchChart(traces: readonly TraceSummary[], width: number): SVGSVGElement {
  const times = traces.map(({ startUs }) => startUs);
  const took = traces.map(({ durationUs }) => Math.max(1, durationUs));
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const decades = decadesOf(Math.min(...took), Math.max(...took));
  const [low, high] = [decades[0]!, decades.at(-1)!];
  const x = (us: number): number =>
    left + ((us - first) / Math.max(1, last - first)) * (width - left - 12);
  const y = (us: number): number =>
    height - bottom - ((Math.log10(us) - low) / (high - low)) * (height - bottom - top);
  const lines = decades.map((power) => [
    svg('line', { class: 'grid', x1: left, x2: width, y1: y(10 ** power), y2: y(10 ** power) }),
    svg(
      'text',
      { class: 'axis', x: left - 8, y: y(10 ** power) + 4, 'text-anchor': 'end' },
      printDuration(10 ** power * 1000, false).replace(/\.0+ /, ' '),
    ),
  ]);
  const ends = [
    svg('text', { class: 'axis', x: left, y: height - 3 }, printClock(first)),
    svg(
      'text',
      { class: 'axis', x: width - 12, y: height - 3, 'text-anchor': 'end' },
      printClock(last),
    ),
  ];
  const dots = traces.map((trace) => {
    const { id, service, name, startUs, durationUs, errors, spans } = trace;
    return svg(
      'circle',
      {
        class: `trace-dot${errors > 0 ? ' bad' : ''}`,
        cx: x(startUs),
        cy: y(Math.max(1, durationUs)),
        r: Math.min(7, 3 + Math.log10(Math.max(1, spans))),
        onclick: () => navigate(`/trace/${id}`),
      },
      svg('title', {}, `${service} ${name}\n${printDuration(durationUs * 1000, false)}`),
    );
  });
  return svg(
    'svg',
    { width, height, role: 'img', 'aria-label': 'start and duration of the traces' },
    lines,
    first < last && ends,
    dots,
  );
}

/** Powers of ten of microseconds around all durations, at least two. */
function decadesOf(min: number, max: number): number[] {
  const low = Math.floor(Math.log10(min));
  const high = Math.max(low + 1, Math.ceil(Math.log10(max)));
  return Array.from({ length: high - low + 1 }, (_, index) => low + index);
}
