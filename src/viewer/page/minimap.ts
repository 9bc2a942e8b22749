/**
 * The whole trace in a strip: a line for each span, and the part of the time that is looked at.
 *
 * Dragging over it chooses a part, a double click shows all again. Drawn on a canvas once for each
 * size and theme, however many spans there are.
 */

import { printDuration } from '../time-bar.ts';
import type { TraceLayout } from '../trace-layout.ts';
import { el } from './dom.ts';
import { onTheme } from './theme.ts';
import type { TimeRange } from './waterfall-rows.ts';

const height = 56;

export class Minimap {
  readonly #canvas = el('canvas', 'minimap-canvas');
  readonly #window = el('div', 'minimap-window');
  readonly element = el(
    'div',
    { class: 'minimap', title: 'drag to zoom in, double click to see all' },
    this.#canvas,
    this.#window,
  );
  readonly #layout: TraceLayout;
  readonly #colors: ReadonlyMap<string, string>;
  readonly #choose: (range: TimeRange) => void;

  constructor(
    layout: TraceLayout,
    colors: ReadonlyMap<string, string>,
    choose: (range: TimeRange) => void,
  ) {
    this.#layout = layout;
    this.#colors = colors;
    this.#choose = choose;
    new ResizeObserver(() => this.draw()).observe(this.element);
    onTheme(this.element, () => this.draw());
    this.element.addEventListener('pointerdown', (event) => this.#drag(event));
    this.element.addEventListener('dblclick', () => choose({ fromNs: 0, toNs: layout.totalNs }));
  }

  show({ fromNs, toNs }: TimeRange): void {
    const total = Math.max(1, this.#layout.totalNs);
    this.#window.style.left = `${(fromNs / total) * 100}%`;
    this.#window.style.width = `${((toNs - fromNs) / total) * 100}%`;
    this.element.classList.toggle('zoomed', fromNs > 0 || toNs < this.#layout.totalNs);
  }

  draw(): void {
    const { clientWidth: width } = this.element;
    const context = this.#canvas.getContext('2d');
    if (context === null || width === 0) return;
    const scale = devicePixelRatio;
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    context.scale(scale, scale);
    const colorOf = this.#paints();
    const { rows, totalNs } = this.#layout;
    const step = Math.min(9, (height - 4) / Math.max(1, rows.length));
    const thickness = Math.max(1, Math.min(5, step - 1));
    const perNs = (width - 2) / Math.max(1, totalNs);
    rows.forEach((row, index) => {
      const name = row.isErrorOrigin ? 's-bad' : (this.#colors.get(row.span.service) ?? 's-none');
      context.fillStyle = colorOf(name);
      const long = Math.max(1, row.span.durationNs * perNs);
      context.fillRect(1 + row.offsetNs * perNs, 2 + index * step, long, thickness);
    });
  }

  /** A canvas knows no variables: an element says what they are in this theme. */
  #paints(): (name: string) => string {
    const known = new Map<string, string>();
    return (name) => {
      let color = known.get(name);
      if (color === undefined) {
        this.#window.style.color = `var(--${name})`;
        color = getComputedStyle(this.#window).color;
        known.set(name, color);
      }
      return color;
    };
  }

  #drag(down: PointerEvent): void {
    if (down.button !== 0) return;
    const { left, width } = this.element.getBoundingClientRect();
    const at = ({ clientX }: PointerEvent): number =>
      Math.min(1, Math.max(0, (clientX - left) / width)) * this.#layout.totalNs;
    const begin = at(down);
    const move = (event: PointerEvent): void => {
      const now = at(event);
      // A click without a move is no choice.
      if (Math.abs(now - begin) * width < 4 * this.#layout.totalNs) return;
      this.#choose({ fromNs: Math.min(begin, now), toNs: Math.max(begin, now) });
    };
    const end = (): void => {
      this.element.removeEventListener('pointermove', move);
      this.element.removeEventListener('pointerup', end);
      this.element.removeEventListener('pointercancel', end);
    };
    this.element.setPointerCapture(down.pointerId);
    this.element.addEventListener('pointermove', move);
    this.element.addEventListener('pointerup', end);
    this.element.addEventListener('pointercancel', end);
  }
}

/** Round times between the ends of a range: label and place from 0 to 1. */
export function timeTicks({ fromNs, toNs }: TimeRange, wanted: number) {
  const length = Math.max(1, toNs - fromNs);
  const rough = length / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= rough * 0.75)!;
  const ticks: { readonly label: string; readonly at: number }[] = [];
  for (let ns = Math.ceil(fromNs / step) * step; ns <= toNs; ns += step) {
    const at = (ns - fromNs) / length;
    // The last one would stand in the next column.
    if (at > 0.92) break;
    ticks.push({ label: ns === 0 ? '0' : printDuration(ns, false), at });
  }
  return ticks;
}
