/**
 * One trace: what it is in a line, the whole in a strip, and its waterfall with a panel for the
 * chosen span.
 *
 * Address: `/trace/ID?span=ID`. The element is there at once; the trace is drawn when it has come.
 */

import { statusOf } from '../span-label.ts';
import { printDuration } from '../time-bar.ts';
import { layOutTrace, shownRows, type TraceLayout } from '../trace-layout.ts';
import { ApiProblem, fetchTrace } from './api.ts';
import { every, wallMs } from './clock.ts';
import { compareMark } from './compare-mark.ts';
import { el, fill, link } from './dom.ts';
import { counted, printAgo, printDateTime, printLabel } from './format.ts';
import { Minimap, timeTicks } from './minimap.ts';
import { colorServices } from './service-color.ts';
import { spanPanel } from './span-panel.ts';
import { navigate, rewriteAddress, type View } from './view.ts';
import { type TimeRange, WaterfallRows } from './waterfall-rows.ts';

/** Spans of one trace come from several senders, each of which sends every few seconds. */
const youngMs = 30_000;
const refreshMs = 2_000;
const refreshesMax = 15;

export class TraceView implements View {
  readonly title: string;
  readonly element = el('main', 'trace-view');
  readonly #id: string;
  #wantedSpan: string;
  #picture: TracePicture | undefined;
  #stop = (): void => {};
  #isClosed = false;

  constructor(id: string, parameters: URLSearchParams) {
    this.#id = id;
    this.#wantedSpan = parameters.get('span') ?? '';
    this.title = `trace ${id.slice(0, 8)}`;
    fill(this.element, el('p', 'loading', 'Loading the trace…'));
  }

  async opened(): Promise<void> {
    if (!(await this.#load()) || this.#isClosed) return;
    let left = refreshesMax;
    this.#stop = every(refreshMs, async () => {
      if (left-- <= 0 || !(await this.#load())) this.#stop();
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  onKey(key: string): boolean {
    return this.#picture?.onKey(key) ?? false;
  }

  /** Draws the trace if it has other spans than before; whether more of it may be on the way. */
  async #load(): Promise<boolean> {
    try {
      const trace = await fetchTrace(this.#id);
      if (this.#isClosed) return false;
      if (trace.spans.length === 0) throw new ApiProblem('The trace has no spans.', 404);
      if (trace.spans.length !== this.#picture?.spans) this.#draw(layOutTrace(trace));
      const ageMs = wallMs() - Number((trace.spans[0]?.startNs ?? 0n) / 1_000_000n);
      return ageMs >= 0 && ageMs < youngMs;
    } catch (error) {
      if (this.#isClosed) return false;
      this.#complain(error);
      return error instanceof ApiProblem && error.status === 404;
    }
  }

  #draw(layout: TraceLayout): void {
    const chosen = this.#picture?.selectedSpan ?? this.#wantedSpan;
    this.#picture = new TracePicture(layout, this.element);
    const wanted = layout.rows.find(({ span }) => span.spanId === chosen);
    if (wanted === undefined) return;
    this.#picture.select(wanted.index);
    this.#wantedSpan = '';
  }

  #complain(error: unknown): void {
    if (!(error instanceof ApiProblem)) throw error;
    const isAbsent = error.status === 404;
    fill(
      this.element,
      el(
        'div',
        'empty',
        el('h2', '', isAbsent ? 'This trace is not here' : 'The trace cannot be shown'),
        isAbsent
          ? el(
              'p',
              '',
              'Not sampled, not exported yet (senders do it every few seconds), or dropped for ' +
                'newer ones: ',
              el('code', '', this.#id.slice(0, 64)),
            )
          : el('p', '', error.message),
        el('p', '', link('/', 'button', 'All traces')),
      ),
    );
  }
}

/** The drawn trace with its state: what is closed, zoomed, chosen and found. */
class TracePicture {
  readonly #layout: TraceLayout;
  readonly #colors: ReadonlyMap<string, string>;
  readonly #rows: WaterfallRows;
  readonly #minimap: Minimap;
  readonly #ticks = el('div', 'ticks');
  readonly #side = el('div', 'side');
  readonly #found = el('span', 'muted found-count');
  readonly #find: HTMLInputElement;
  readonly #closed = new Set<number>();
  #shown: number[];
  #range: TimeRange;
  #selected = -1;
  #hasChosen = false;
  #matches: readonly number[] = [];

  constructor(layout: TraceLayout, into: HTMLElement) {
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
    fill(
      into,
      this.#head(),
      this.#minimap.element,
      el(
        'div',
        'waterfall',
        el(
          'div',
          'waterfall-main',
          el(
            'div',
            'columns',
            el('div', 'row-name', 'Service and operation', this.#find, this.#found),
            el('div', 'row-time', this.#ticks),
            el('div', 'row-took', 'took'),
            el('div', { class: 'row-proxy', title: "the sidecar's own time" }, 'proxy'),
          ),
          this.#rows.element,
        ),
        this.#side,
      ),
    );
    new ResizeObserver(() => this.#drawTicks()).observe(this.#ticks);
    this.#draw();
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
    if (row === undefined) {
      fill(this.#side);
    } else {
      for (let above = row.parent; above >= 0; above = this.#layout.rows[above]!.parent) {
        this.#closed.delete(above);
      }
      const color = this.#colors.get(row.span.service) ?? 's-none';
      const actions = {
        close: () => this.select(this.#selected),
        select: (to: number) => this.select(to),
      };
      fill(this.#side, spanPanel(row, this.#layout, color, actions));
    }
    const span = row === undefined ? '' : `?span=${row.span.spanId}`;
    rewriteAddress(`${location.pathname}${span}`);
    this.#draw();
    if (row !== undefined) this.#rows.reveal(row.index);
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
    const word = this.#find.value.trim().toLowerCase();
    this.#matches =
      word === ''
        ? []
        : this.#layout.rows
            .filter(({ span }) =>
              `${span.service} ${printLabel(span)} ${statusOf(span)}`.toLowerCase().includes(word),
            )
            .map(({ index }) => index);
    this.#found.textContent = word === '' ? '' : `${this.#matches.length}`;
    this.#draw();
    if (this.#matches.length > 0) this.#rows.reveal(this.#matches[0]!);
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

  #head(): HTMLElement {
    const { rows, services, errors, totalNs, traceId, proxyNs, gapNs } = this.#layout;
    const root = rows.find(({ depth, isOrphan }) => depth === 0 && !isOrphan) ?? rows[0]!;
    const startUs = Number(this.#layout.startNs / 1000n);
    const orphans = rows.filter(({ isOrphan }) => isOrphan).length;
    const measured = rows.some((row) => row.proxyNs !== undefined);
    const fact = (name: string, value: string, title = ''): HTMLElement =>
      el(
        'div',
        { class: 'fact', title },
        el('span', 'fact-name', name),
        ' ',
        el('span', 'fact-value', value),
      );
    return el(
      'header',
      'trace-head',
      el(
        'div',
        'trace-title',
        el('h1', '', el('b', '', root.span.service), ` ${printLabel(root.span)}`),
        errors > 0 && el('span', 'pill pill-bad', counted(errors, 'error')),
        el('span', 'grow'),
        el(
          'button',
          {
            type: 'button',
            title: 'compare with another trace (c)',
            onclick: () => compareMark(traceId),
          },
          'Compare…',
        ),
        el('a', { class: 'button', href: `/api/v3/traces/${traceId}`, target: '_blank' }, 'JSON'),
      ),
      el(
        'div',
        'facts',
        fact('took', printDuration(totalNs, false)),
        fact('spans', rows.length.toLocaleString('en')),
        fact('services', String(services.length)),
        fact('started', printDateTime(startUs), printAgo(startUs)),
        measured && fact('sidecars', printDuration(proxyNs, false), 'own time of all sidecars'),
        gapNs > 0 && fact('network', printDuration(gapNs, false), 'calls minus what callees took'),
        orphans > 0 &&
          fact('without parent', String(orphans), 'not exported, not sampled, or not here'),
        fact('trace', traceId),
      ),
      el(
        'div',
        'legend',
        services
          .slice(0, 12)
          .map((service) => el('span', this.#colors.get(service) ?? '', el('i', 'dot'), service)),
        services.length > 12 && el('span', 'muted', `and ${services.length - 12} more`),
        el('span', 'grow'),
        errors > 0 && el('span', 'muted', el('i', 'key-began'), 'where an error began'),
        el('span', 'muted', el('i', 'key-path'), 'critical path'),
        el('span', 'muted', el('i', 'key-gap'), 'network'),
      ),
    );
  }
}
