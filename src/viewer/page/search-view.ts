/**
 * The list of traces: a form, a picture of what was found (time against duration), and a table.
 *
 * Address: `/?service=&operation=&tags=&min=&max=&error=true`. A change of the form searches at
 * once; while nothing older is looked at, new traces come by themselves.
 */

import type { SearchAnswer, StatusAnswer, TraceSummary } from '../view-answers.ts';
import { ApiProblem, fetchServices, fetchStatus, type SearchQuery, search } from './api.ts';
import { calmly, every } from './clock.ts';
import { compareMark, onMark } from './compare-mark.ts';
import { el, fill, keepFocus, noticeLine } from './dom.ts';
import { searchChart } from './search-chart.ts';
import { SearchForm } from './search-form.ts';
import { traceTable } from './trace-table.ts';
import { navigate, rewriteAddress, type View } from './view.ts';

const pageTraces = 100;
const refreshMs = 3_000;

export class SearchView implements View {
  readonly title = 'traces';
  readonly #form: SearchForm;
  readonly #chart = el('div', 'search-chart');
  readonly #notice = el('div');
  readonly #results = el('div', 'results');
  readonly #store = el('footer', 'store');
  readonly element: HTMLElement;
  #traces: readonly TraceSummary[] = [];
  /** Of the last answer; 0 when it said that there are no older ones. */
  #next = 0;
  #selected = -1;
  #isOlder = false;
  #isDrawn = false;
  #turn = 0;
  /** The turn whose answer is waited for; 0 for none. */
  #asked = 0;
  #isClosed = false;
  readonly #changed = calmly(200, () => void this.#search());
  #stop = (): void => {};

  constructor(parameters: URLSearchParams) {
    this.#form = new SearchForm(parameters, () => this.#changed.call());
    this.element = el(
      'main',
      'search-view',
      this.#form.element,
      this.#notice,
      this.#chart,
      this.#results,
      this.#store,
    );
  }

  opened(): void {
    const stopTimer = every(refreshMs, async () => {
      if (!this.#isOlder && this.#asked === 0) await this.#search();
    });
    const stopMarks = onMark(() => this.#draw());
    this.#stop = () => {
      stopTimer();
      stopMarks();
      this.#changed.cancel();
    };
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
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
        if (this.#selected >= 0) navigate(`/trace/${this.#traces[this.#selected]!.id}`);
        return this.#selected >= 0;
      case 'c':
        if (this.#selected >= 0) compareMark(this.#traces[this.#selected]!.id);
        return this.#selected >= 0;
      case '/':
        this.#form.focus();
        return true;
      default:
        return false;
    }
  }

  #move(by: number): boolean {
    const last = this.#traces.length - 1;
    this.#selected = Math.min(last, Math.max(0, this.#selected + by));
    this.#draw();
    this.#results.querySelector('.selected')?.scrollIntoView({ block: 'nearest' });
    return true;
  }

  async #search(): Promise<void> {
    const turn = this.#begin();
    const query = this.#query(0);
    rewriteAddress(`/${this.#form.address()}`);
    try {
      const [answer, services, status] = await Promise.all([
        search(query),
        fetchServices(),
        fetchStatus(),
      ]);
      if (!this.#isCurrent(turn)) return;
      this.#form.offer(services.services);
      this.#isOlder = false;
      this.#take(answer, []);
      this.#drawStore(status);
    } catch (error) {
      if (this.#isCurrent(turn)) this.#complain(error);
    } finally {
      this.#end(turn);
    }
  }

  #begin(): number {
    this.#asked = ++this.#turn;
    return this.#asked;
  }

  #end(turn: number): void {
    if (this.#asked === turn) this.#asked = 0;
  }

  /** Whether no other search has begun since, and the view is still there. */
  #isCurrent(turn: number): boolean {
    return turn === this.#turn && !this.#isClosed;
  }

  async #older(): Promise<void> {
    const turn = this.#begin();
    try {
      const answer = await search(this.#query(this.#next));
      if (!this.#isCurrent(turn)) return;
      this.#isOlder = true;
      this.#take(answer, this.#traces);
    } catch (error) {
      if (this.#isCurrent(turn)) this.#complain(error);
    } finally {
      this.#end(turn);
    }
  }

  #query(before: number): SearchQuery {
    return { ...this.#form.values(), limit: pageTraces, before };
  }

  #take({ traces, more, next }: SearchAnswer, before: readonly TraceSummary[]): void {
    fill(this.#notice);
    const chosen = this.#traces[this.#selected]?.id;
    const now = [...before, ...traces];
    this.#next = more ? next : 0;
    // What is the same stays: a button that is pointed at, a text that is selected.
    const isSame = this.#isDrawn && JSON.stringify(now) === JSON.stringify(this.#traces);
    this.#traces = now;
    if (isSame) return;
    this.#selected = this.#traces.findIndex(({ id }) => id === chosen);
    this.#draw();
  }

  #draw(): void {
    this.#isDrawn = true;
    if (this.#traces.length === 0) {
      fill(this.#chart);
      fill(this.#results, this.#form.isEmpty ? noTraces() : noneFound());
      return;
    }
    fill(this.#chart, searchChart(this.#traces, Math.max(320, this.element.clientWidth - 40)));
    const older = el('button', { class: 'more', onclick: () => void this.#older() }, 'Older');
    keepFocus(this.#results, () =>
      fill(this.#results, traceTable(this.#traces, this.#selected), this.#next > 0 && older),
    );
  }

  #drawStore({ store, receiver }: StatusAnswer): void {
    const mib = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);
    const parts = [
      `${store.traces.toLocaleString('en')} traces, ${store.spans.toLocaleString('en')} spans`,
      `${mib(store.bytes)} of ${mib(store.bytesMax)} MiB`,
      store.file === '' ? 'in memory' : store.file,
      store.evictedTraces > 0 &&
        `${store.evictedTraces.toLocaleString('en')} older traces dropped for newer ones`,
      receiver.rejectedSpans > 0 && `${receiver.rejectedSpans.toLocaleString('en')} spans refused`,
    ].filter((part) => part !== false);
    fill(
      this.#store,
      el('span', 'muted', parts.join(' · ')),
      store.problem !== '' && el('span', 'bad-text', ` ${store.problem}`),
    );
  }

  #complain(error: unknown): void {
    if (!(error instanceof ApiProblem)) throw error;
    const isAway = error.status === 0 || error.status >= 500;
    if (isAway && this.#isDrawn && this.#traces.length > 0) {
      // What was seen stays: the next answer mends it.
      fill(this.#notice, noticeLine(error.message));
      return;
    }
    fill(this.#notice);
    this.#isDrawn = false;
    fill(this.#chart);
    fill(this.#results, el('div', 'empty', el('p', 'bad-text', error.message)));
  }
}

function noTraces(): HTMLElement {
  return el(
    'div',
    'empty',
    el('h2', '', 'No traces yet'),
    el('p', '', 'They appear here by themselves. Point any OpenTelemetry sender at this viewer:'),
    el('pre', '', 'OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318'),
    el(
      'p',
      '',
      'A sidecar on this machine sends there already. It traces one request in a hundred; for every one: ',
    ),
    el(
      'pre',
      '',
      'OTEL_TRACES_SAMPLER=always_on tracecar proxy --config mesh.yaml --labels app=web',
    ),
    el('p', '', 'Three services to try it with, sidecars included:'),
    el('pre', '', 'npm run demo'),
  );
}

function noneFound(): HTMLElement {
  return el(
    'div',
    'empty',
    el('h2', '', 'No trace fits'),
    el(
      'p',
      '',
      'All conditions but “errors only” hold on one span of a trace; tags are written key=value.',
    ),
  );
}
