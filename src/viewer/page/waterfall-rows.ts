/**
 * The rows of a waterfall, of which only those that are seen exist as elements.
 *
 *    scroller ┌──────────────────┐
 *             │ sizer: n x 26 px │  rows are placed in it absolutely; one that leaves the view is
 *             │   ▒▒▒▒▒▒▒▒▒▒▒▒   │  filled anew with the one that comes in: a trace of 10 000 spans
 *             │   ▒▒ in view ▒   │  has about 60 row elements, and scrolling moves only those
 *             └──────────────────┘
 *
 * It draws what it is told (layout, shown rows, zoom, selection) and reports clicks; it decides
 * nothing.
 */

import { statusOf } from '../span-label.ts';
import { printDuration } from '../time-bar.ts';
import type { TraceLayout, TraceRow } from '../trace-layout.ts';
import { el, setText } from './dom.ts';
import { printLabel } from './format.ts';

/** Pixels; style.css has the same number. */
export const rowHeight = 26;
const overscanRows = 6;
const indentPixels = 14;
const indentMax = 22;

/** Part of the trace's time that the bars show, in nanoseconds after its start. */
export interface TimeRange {
  readonly fromNs: number;
  readonly toNs: number;
}

export interface RowsState {
  readonly layout: TraceLayout;
  /** Indexes into `layout.rows`, in order. */
  readonly shown: readonly number[];
  readonly closed: ReadonlySet<number>;
  readonly range: TimeRange;
  /** Index into `layout.rows`, -1 for none. */
  readonly selected: number;
  /** Rows that the search in the trace found. */
  readonly found: ReadonlySet<number>;
  readonly colors: ReadonlyMap<string, string>;
}

export interface RowEvents {
  select(index: number): void;
  toggle(index: number): void;
}

export class WaterfallRows {
  /** The element that scrolls. */
  readonly element = el('div', { class: 'rows', tabindex: '-1', role: 'tree' });
  readonly #sizer = el('div', 'rows-sizer');
  readonly #events: RowEvents;
  readonly #drawn = new Map<number, RowElement>();
  #free: RowElement[] = [];
  #state: RowsState | undefined;
  #isAsked = false;

  constructor(events: RowEvents) {
    this.#events = events;
    this.element.append(this.#sizer);
    this.element.addEventListener('scroll', () => this.#ask(), { passive: true });
    new ResizeObserver(() => this.#ask()).observe(this.element);
    this.element.addEventListener('click', (event) => this.#clicked(event));
  }

  /** Draws a new state; everything is filled anew. */
  show(state: RowsState): void {
    this.#state = state;
    this.#sizer.style.height = `${state.shown.length * rowHeight}px`;
    for (const row of this.#drawn.values()) row.isStale = true;
    this.#draw();
  }

  /** Scrolls so that a row is in view, in the middle when it was not. */
  reveal(index: number): void {
    const at = this.#state?.shown.indexOf(index) ?? -1;
    if (at === -1) return;
    const { scrollTop, clientHeight } = this.element;
    const top = at * rowHeight;
    if (top >= scrollTop && top + rowHeight <= scrollTop + clientHeight) return;
    this.element.scrollTop = Math.max(0, top - clientHeight / 2 + rowHeight / 2);
    this.#draw();
  }

  /** The row at the top and how many of its pixels are out of view; undefined before any scrolling. */
  top(): { readonly index: number; readonly hidden: number } | undefined {
    const { scrollTop } = this.element;
    const index = this.#state?.shown[Math.floor(scrollTop / rowHeight)];
    return scrollTop === 0 || index === undefined
      ? undefined
      : { index, hidden: scrollTop % rowHeight };
  }

  /** Scrolls so that a row is at the top, `hidden` pixels of it above that; nothing for a closed one. */
  scrollTo(index: number, hidden: number): void {
    const at = this.#state?.shown.indexOf(index) ?? -1;
    if (at === -1) return;
    this.element.scrollTop = at * rowHeight + hidden;
    this.#draw();
  }

  #ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    requestAnimationFrame(() => {
      this.#isAsked = false;
      this.#draw();
    });
  }

  #draw(): void {
    const state = this.#state;
    if (state === undefined) return;
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / rowHeight) - overscanRows);
    const last = Math.min(
      state.shown.length,
      Math.ceil((scrollTop + clientHeight) / rowHeight) + overscanRows,
    );
    for (const [at, row] of this.#drawn) {
      if (at >= first && at < last) continue;
      this.#drawn.delete(at);
      this.#free.push(row);
    }
    for (let at = first; at < last; at++) {
      let row = this.#drawn.get(at);
      if (row?.isStale === false) continue;
      row ??= this.#take();
      this.#drawn.set(at, row);
      row.fill(state, at);
    }
    for (const row of this.#free) row.element.remove();
    this.#free = [];
  }

  #take(): RowElement {
    const row = this.#free.pop() ?? new RowElement();
    if (row.element.parentNode === null) this.#sizer.append(row.element);
    return row;
  }

  #clicked(event: MouseEvent): void {
    const target = event.target as Element;
    const index = Number(target.closest<HTMLElement>('.row')?.dataset.index ?? -1);
    if (index < 0) return;
    if (target.closest('.caret') !== null) this.#events.toggle(index);
    else this.#events.select(index);
  }
}

/** One row's elements, filled again and again. */
class RowElement {
  isStale = true;
  readonly #indent = el('span', 'indent');
  readonly #caret = el('button', { class: 'caret', type: 'button', tabindex: '-1' });
  readonly #dot = el('i', 'dot');
  readonly #service = el('b');
  readonly #label = el('span', 'label');
  readonly #status = el('span', 'status');
  readonly #bar = el('div', 'bar');
  readonly #inner = el('div', 'bar-inner');
  readonly #path: HTMLElement[] = [];
  readonly #time = el('div', 'row-time', this.#bar, this.#inner);
  readonly #took = el('div', 'row-took');
  readonly #proxy = el('div', 'row-proxy');
  readonly element = el(
    'div',
    { class: 'row', role: 'treeitem' },
    el(
      'div',
      'row-name',
      this.#indent,
      this.#caret,
      this.#dot,
      this.#service,
      this.#label,
      this.#status,
    ),
    this.#time,
    this.#took,
    this.#proxy,
  );

  fill(state: RowsState, at: number): void {
    const { layout, closed, colors } = state;
    const row = layout.rows[state.shown[at]!]!;
    const { span, index } = row;
    const color = colors.get(span.service) ?? 's-none';
    this.isStale = false;
    this.element.dataset.index = String(index);
    this.element.style.transform = `translateY(${at * rowHeight}px)`;
    this.element.className = rowClass(row, state, color);
    this.element.ariaSelected = String(index === state.selected);
    this.element.ariaLevel = String(row.depth + 1);
    this.#indent.style.width = `${Math.min(row.depth, indentMax) * indentPixels}px`;
    setText(this.#caret, row.below === 0 ? '' : closed.has(index) ? `+${row.below}` : '▾');
    this.#caret.className = `caret${row.below === 0 ? ' leaf' : closed.has(index) ? ' closed' : ''}`;
    setText(this.#service, span.service === '' ? '(no service)' : span.service);
    setText(this.#label, printLabel(span));
    setText(this.#status, statusOf(span).replace(/^! /, ''));
    setText(this.#took, printDuration(span.durationNs, false));
    setText(this.#proxy, row.proxyNs === undefined ? '' : printDuration(row.proxyNs, false));
    this.#drawBars(row, state);
  }

  #drawBars(row: TraceRow, { layout, range }: RowsState): void {
    const { offsetNs, span, gap } = row;
    place(this.#bar, offsetNs, offsetNs + span.durationNs, range);
    this.#inner.hidden = gap === undefined;
    if (gap !== undefined) {
      const server = layout.rows[gap.server]!;
      place(this.#inner, server.offsetNs, server.offsetNs + server.span.durationNs, range);
    }
    const segments = row.pathNs > 0 ? pathOf(layout, row.index) : [];
    while (this.#path.length < segments.length) this.#path.push(el('div', 'path'));
    this.#path.forEach((element, index) => {
      const segment = segments[index];
      if (segment === undefined) {
        element.remove();
        return;
      }
      if (element.parentNode === null) this.#time.append(element);
      place(element, segment.fromNs, segment.toNs, range);
    });
  }
}

function rowClass(row: TraceRow, { selected, found }: RowsState, color: string): string {
  const words = ['row', color];
  if (row.isError) words.push('bad');
  if (row.isErrorOrigin) words.push('began');
  if (row.isOrphan) words.push('orphan');
  if (row.gap !== undefined) words.push('has-inner');
  if (row.index === selected) words.push('selected');
  if (found.has(row.index)) words.push('found');
  return words.join(' ');
}

/** Segments by span, made once for each layout; neighbours that touch are one. */
const pathsByLayout = new WeakMap<TraceLayout, Map<number, { fromNs: number; toNs: number }[]>>();
/** A span with more than that many calls gets one mark for the rest. */
const segmentsMax = 24;

function pathOf(layout: TraceLayout, index: number): readonly TimeRange[] {
  let paths = pathsByLayout.get(layout);
  if (paths === undefined) {
    paths = new Map();
    for (const segment of layout.path) {
      const { fromNs, toNs } = segment;
      const list = paths.get(segment.index);
      if (list === undefined) paths.set(segment.index, [{ fromNs, toNs }]);
      else if (list.length >= segmentsMax) list[list.length - 1]!.toNs = toNs;
      else list.push({ fromNs, toNs });
    }
    pathsByLayout.set(layout, paths);
  }
  return paths.get(index) ?? [];
}

/** Places a bar by parts of the range; what is outside is hidden, what is short stays visible. */
function place(element: HTMLElement, fromNs: number, toNs: number, range: TimeRange): void {
  const length = Math.max(1, range.toNs - range.fromNs);
  const left = (fromNs - range.fromNs) / length;
  const right = (toNs - range.fromNs) / length;
  element.hidden = right < 0 || left > 1;
  if (element.hidden) return;
  const from = Math.max(0, left);
  const to = Math.min(1, right);
  element.style.left = `${(from * 100).toFixed(3)}%`;
  element.style.width = `${((to - from) * 100).toFixed(3)}%`;
}
