/**
 * A trace as it is looked at: the strip, the waterfall, the panel of the chosen span, and what the
 * reader did with them.
 */

import { statusOf } from '../span-label.ts';
import { shownRows, type TraceLayout, type TraceRow } from '../trace-layout.ts';
import { compareMark } from './compare-mark.ts';
import { el, fill, keepFocus } from './dom.ts';
import { printLabel } from './format.ts';
import { Minimap, timeTicks } from './minimap.ts';
import { colorServices } from './service-color.ts';
import { spanPanel } from './span-panel.ts';
import { traceHead } from './trace-head.ts';
import { navigate, rewriteAddress } from './view.ts';
import { type TimeRange, WaterfallRows } from './waterfall-rows.ts';

/** The drawn trace with its state: what is closed, zoomed, chosen and found. */
export class TracePicture {
  /** To be put into the document, in this order. */
  readonly elements: readonly HTMLElement[];
  #layout: TraceLayout;
  #colors: ReadonlyMap<string, string>;
  readonly #rows: WaterfallRows;
  #minimap: Minimap;
  readonly #top = el('div', 'trace-top');
  readonly #ticks = el('div', 'ticks');
  readonly #side = el('div', 'side');
  readonly #found = el('span', 'muted found-count');
  readonly #find: HTMLInputElement;
  #closed = new Set<number>();
  #shown: number[];
  #range: TimeRange;
  #selected = -1;
  #hasChosen = false;
  #matches: readonly number[] = [];

  constructor(layout: TraceLayout) {
    this.#layout = layout;
    this.#colors = colorServices(layout.services);
    this.#range = { fromNs: 0, toNs: layout.totalNs };
    this.#shown = shownRows(layout, this.#closed);
    this.#rows = new WaterfallRows({
      select: (index) => this.select(index),
      toggle: (index) => this.#toggle(index),
    });
    this.#minimap = new Minimap(layout, this.#colors, (range) => this.#zoom(range));
    this.#find = el('input', {
      class: 'find-field',
      type: 'search',
      placeholder: 'find in this trace',
      'aria-label': 'find in this trace',
      oninput: () => this.#search(),
      onkeydown: (event: KeyboardEvent) => this.#findKey(event),
    });
    fill(this.#top, traceHead(this.#layout, this.#colors), this.#minimap.element);
    this.elements = [
      this.#top,
      el(
        'div',
        'waterfall',
        el(
          'div',
          'waterfall-main',
          el(
            'div',
            'columns',
            el('div', 'row-name', el('span', '', 'Service and operation'), this.#find, this.#found),
            el('div', 'row-time', this.#ticks),
            el('div', 'row-took', 'took'),
            el('div', { class: 'row-proxy', title: "the sidecar's own time" }, 'proxy'),
          ),
          this.#rows.element,
        ),
        this.#side,
      ),
    ];
    new ResizeObserver(() => this.#drawTicks()).observe(this.#ticks);
  }

  /** Its elements are in the document now, and have a size. */
  opened(): void {
    this.#draw();
  }

  /**
   * Shows the same trace with other spans. What the reader did stays: rows that are closed, the chosen
   * one, the zoom, the row at the top, what was typed, the focus.
   */
  update(layout: TraceLayout): void {
    const before = this.#layout;
    const top = this.#rows.top();
    const indexes = new Map(layout.rows.map(({ span, index }) => [span.spanId, index]));
    const moved = (index: number): number =>
      indexes.get(before.rows[index]?.span.spanId ?? '') ?? -1;
    const laterNs = Number(before.startNs - layout.startNs);
    const zoomed = { fromNs: this.#range.fromNs + laterNs, toNs: this.#range.toNs + laterNs };
    this.#range = this.#isZoomed ? zoomed : { fromNs: 0, toNs: layout.totalNs };
    this.#layout = layout;
    this.#colors = colorServices(layout.services);
    this.#closed = new Set([...this.#closed].map(moved).filter((index) => index >= 0));
    this.#selected = moved(this.#selected);
    this.#matches = this.#findMatches();
    this.#minimap = new Minimap(layout, this.#colors, (range) => this.#zoom(range));
    keepFocus(this.#top, () =>
      fill(this.#top, traceHead(this.#layout, this.#colors), this.#minimap.element),
    );
    const { scrollTop } = this.#side;
    keepFocus(this.#side, () => this.#drawSide());
    this.#side.scrollTop = scrollTop;
    this.#draw();
    if (top !== undefined) this.#rows.scrollTo(moved(top.index), top.hidden);
  }

  get spans(): number {
    return this.#layout.rows.length;
  }

  /** Undefined before one was chosen; empty when the choice was taken back. */
  get selectedSpan(): string | undefined {
    if (!this.#hasChosen) return undefined;
    return this.#layout.rows[this.#selected]?.span.spanId ?? '';
  }

  select(index: number): void {
    this.#hasChosen = true;
    this.#selected = index === this.#selected ? -1 : index;
    const row = this.#layout.rows[this.#selected];
    let above = row?.parent ?? -1;
    for (; above >= 0; above = this.#layout.rows[above]!.parent) this.#closed.delete(above);
    this.#drawSide();
    const span = row === undefined ? '' : `?span=${row.span.spanId}`;
    rewriteAddress(`${location.pathname}${span}`);
    this.#draw();
    if (row !== undefined) this.#rows.reveal(row.index);
  }

  #drawSide(): void {
    const row = this.#layout.rows[this.#selected];
    if (row === undefined) {
      fill(this.#side);
      return;
    }
    const color = this.#colors.get(row.span.service) ?? 's-none';
    const actions = {
      close: () => this.select(this.#selected),
      select: (to: number) => this.select(to),
    };
    fill(this.#side, spanPanel(row, this.#layout, color, actions));
  }

  onKey(key: string): boolean {
    switch (key) {
      case 'j':
      case 'ArrowDown':
        return this.#move(1);
      case 'k':
      case 'ArrowUp':
        return this.#move(-1);
      case 'Enter':
      case 'ArrowLeft':
      case 'ArrowRight':
        if (this.#selected >= 0) this.#toggle(this.#selected);
        return true;
      case '/':
        this.#find.focus();
        return true;
      case 'e':
        return this.#nextError();
      case 'c':
        compareMark(this.#layout.traceId);
        return true;
      case 'Escape':
        return this.#escape();
      default:
        return false;
    }
  }

  #escape(): boolean {
    if (this.#selected >= 0) this.select(this.#selected);
    else if (this.#isZoomed) this.#zoom({ fromNs: 0, toNs: this.#layout.totalNs });
    else navigate('/');
    return true;
  }

  get #isZoomed(): boolean {
    return this.#range.fromNs > 0 || this.#range.toNs < this.#layout.totalNs;
  }

  #move(by: number): boolean {
    const at = this.#shown.indexOf(this.#selected);
    const to = at === -1 ? (by > 0 ? 0 : this.#shown.length - 1) : at + by;
    const index = this.#shown[to];
    if (index !== undefined) this.select(index);
    return true;
  }

  #nextError(): boolean {
    const { rows } = this.#layout;
    const next =
      rows.find((row) => row.isError && row.index > this.#selected) ??
      rows.find((row) => row.isError);
    if (next !== undefined && next.index !== this.#selected) this.select(next.index);
    return true;
  }

  #toggle(index: number): void {
    if (this.#layout.rows[index]!.below === 0) return;
    if (!this.#closed.delete(index)) this.#closed.add(index);
    this.#draw();
  }

  #zoom(range: TimeRange): void {
    this.#range = range;
    this.#draw();
  }

  #search(): void {
    this.#matches = this.#findMatches();
    this.#draw();
    if (this.#matches.length > 0) this.#rows.reveal(this.#matches[0]!);
  }

  /** Indexes of the rows that have what is typed, and says how many. */
  #findMatches(): number[] {
    const word = this.#find.value.trim().toLowerCase();
    const has = ({ span }: TraceRow): boolean =>
      `${span.service} ${printLabel(span)} ${statusOf(span)}`.toLowerCase().includes(word);
    const matches = word === '' ? [] : this.#layout.rows.filter(has).map(({ index }) => index);
    this.#found.textContent = word === '' ? '' : `${matches.length}`;
    return matches;
  }

  #findKey(event: KeyboardEvent): void {
    if (event.key === 'Escape') {
      this.#find.value = '';
      this.#search();
      this.#find.blur();
    } else if (event.key === 'Enter' && this.#matches.length > 0) {
      const next = this.#matches.find((index) => index > this.#selected) ?? this.#matches[0]!;
      if (next !== this.#selected) this.select(next);
    } else {
      return;
    }
    event.preventDefault();
  }

  #draw(): void {
    this.#shown = shownRows(this.#layout, this.#closed);
    this.#rows.show({
      layout: this.#layout,
      shown: this.#shown,
      closed: this.#closed,
      range: this.#range,
      selected: this.#selected,
      found: new Set(this.#matches),
      colors: this.#colors,
    });
    this.#minimap.show(this.#range);
    this.#drawTicks();
  }

  /** As many as there is room for. */
  #drawTicks(): void {
    const wanted = Math.min(8, Math.max(2, Math.floor(this.#ticks.clientWidth / 90)));
    const ticks = timeTicks(this.#range, wanted).map(({ label, at }) => {
      const tick = el('span', 'tick', label);
      tick.style.left = `${at * 100}%`;
      return tick;
    });
    fill(this.#ticks, ticks);
  }
}
