/**
 * The subsets of a route against each other, from what the sidecars counted: rate, errors, latency.
 *
 * Address: `/ab` lists the routes, `/ab/ROUTE?seconds=300` shows one. Figures come from counters and
 * histograms of every request, so sampling does not bend them; traces are only linked as examples.
 */

import { subsetName, verdictOf } from '../ab-verdict.ts';
import { printRate, printShare } from '../share-text.ts';
import { printDuration } from '../time-bar.ts';
import type { AbAnswer, AbSubset, RouteSummary } from '../view-answers.ts';
import { errorIntervals, latencyShapes, stepLines } from './ab-charts.ts';
import { ApiProblem, fetchAb, fetchRoutes } from './api.ts';
import { every } from './clock.ts';
import { el, fill, keepFocus, link, noticeLine } from './dom.ts';
import { printClock } from './format.ts';
import { addressPart, navigate, type View } from './view.ts';

const refreshMs = 5_000;
const spans: readonly (readonly [number, string])[] = [
  [60, '1 min'],
  [300, '5 min'],
  [900, '15 min'],
  [3600, '1 h'],
];

export class AbView implements View {
  readonly title: string;
  readonly element = el('main', 'ab-view', el('p', 'loading', 'Loading…'));
  readonly #route: string;
  readonly #seconds: number;
  #stop = (): void => {};
  #isClosed = false;
  readonly #notice = el('div');
  readonly #place = el('div');
  #headKey = '';
  /** Of the table of all routes: the chosen one, empty for none. */
  #selected = '';

  constructor(route: string, parameters: URLSearchParams) {
    const asked = Number(parameters.get('seconds'));
    this.#route = route;
    this.#seconds = spans.some(([seconds]) => seconds === asked) ? asked : 300;
    this.title = route === '' ? 'A/B' : `A/B ${route}`;
  }

  opened(): void {
    this.#stop = every(refreshMs, () => this.#load());
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
        if (this.#selected !== '') navigate(this.#addressOf(this.#selected));
        return this.#selected !== '';
      case 'Escape':
        navigate(this.#route === '' ? '/' : '/ab');
        return true;
      default:
        return false;
    }
  }

  /** To the next row of the table of routes; where there is none the page scrolls as it does. */
  #move(by: number): boolean {
    const rows = [...this.#place.querySelectorAll<HTMLElement>('.trace-row')];
    if (rows.length === 0) return false;
    const at = rows.findIndex(({ dataset }) => dataset.route === this.#selected);
    const to = Math.min(rows.length - 1, Math.max(0, at + by));
    this.#selected = rows[to]!.dataset.route ?? '';
    rows.forEach((row, index) => {
      row.classList.toggle('selected', index === to);
    });
    rows[to]!.scrollIntoView({ block: 'nearest' });
    return true;
  }

  #addressOf(route: string): string {
    return `/ab/${addressPart(route)}?seconds=${this.#seconds}`;
  }

  async #load(): Promise<void> {
    try {
      const routes = await fetchRoutes(this.#seconds);
      const answer = this.#route === '' ? undefined : await fetchAb(this.#route, this.#seconds);
      if (this.#isClosed) return;
      // The head stays while it is the same: its list may be open.
      const key = JSON.stringify(routes.routes.map(({ route }) => route));
      if (key !== this.#headKey) {
        this.#headKey = key;
        const head = this.#head(routes.routes);
        keepFocus(this.element, () => fill(this.element, head, this.#notice, this.#place));
      }
      fill(this.#notice);
      const body = this.#body(routes.routes, answer);
      keepFocus(this.#place, () => fill(this.#place, body));
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      if (!this.#isClosed) this.#complain(error.message);
    }
  }

  /** What was seen stays: the next answer mends it. */
  #complain(message: string): void {
    if (this.#headKey === '') fill(this.element, el('div', 'empty', el('p', 'bad-text', message)));
    else fill(this.#notice, noticeLine(message));
  }

  #head(routes: readonly RouteSummary[]): HTMLElement {
    const go = (route: string, seconds: number): void => {
      navigate(`/ab${route === '' ? '' : `/${addressPart(route)}`}?seconds=${seconds}`);
    };
    const list = el('select', {
      'aria-label': 'route',
      onchange: () => go(list.value, this.#seconds),
    });
    const names = routes.map(({ route }) => route);
    if (this.#route !== '' && !names.includes(this.#route)) names.unshift(this.#route);
    fill(
      list,
      el('option', { value: '' }, 'all routes'),
      names.map((name) => el('option', { value: name }, name)),
    );
    list.value = this.#route;
    return el(
      'header',
      'view-head',
      el('h1', '', 'A/B'),
      list,
      el(
        'div',
        { class: 'switch', role: 'group', 'aria-label': 'time' },
        spans.map(([seconds, says]) =>
          el(
            'button',
            {
              type: 'button',
              'aria-pressed': String(seconds === this.#seconds),
              onclick: () => go(this.#route, seconds),
            },
            says,
          ),
        ),
      ),
      el('span', 'grow'),
      el('span', 'muted', 'every request counted by the sidecars, sampled or not'),
    );
  }

  #body(routes: readonly RouteSummary[], answer: AbAnswer | undefined): HTMLElement {
    if (answer === undefined) return routes.length === 0 ? noCounts() : this.#routeTable(routes);
    if (answer.subsets.length === 0) return noCounts(this.#route);
    return routePage(answer);
  }

  #routeTable(routes: readonly RouteSummary[]): HTMLElement {
    const rows = routes.map((each) => {
      const href = this.#addressOf(each.route);
      const subsets = each.subsets.map((subset) => (subset === '' ? 'no subset' : subset));
      return el(
        'tr',
        {
          class: `trace-row${each.route === this.#selected ? ' selected' : ''}`,
          'data-route': each.route,
          onclick: (event: MouseEvent) => {
            if ((event.target as Element).closest('a') === null) navigate(href);
          },
        },
        el('td', '', link(href, '', el('b', '', each.route))),
        el('td', '', each.callers.join(', ')),
        el('td', '', each.peers.join(', ')),
        el('td', '', subsets.join(' · ')),
        el('td', 'number', printRate(each.ratePerSecond)),
        el('td', 'number', each.requests.toLocaleString('en')),
        el(
          'td',
          `number${(each.errorShare ?? 0) > 0 ? ' bad-text' : ''}`,
          printShare(each.errorShare),
        ),
      );
    });
    const heads = ['route', 'callers', 'to', 'subsets'].map((name) => el('th', '', name));
    const numbers = ['rate', 'requests', 'errors'].map((name) => el('th', 'number', name));
    return el(
      'table',
      'traces',
      el('thead', '', el('tr', '', heads, numbers)),
      el('tbody', '', rows),
    );
  }
}

function noCounts(route = ''): HTMLElement {
  return el(
    'div',
    'empty',
    el('h2', '', route === '' ? 'No counts yet' : `No counts of ${route} yet`),
    el(
      'p',
      '',
      'Sidecars send what they counted every five seconds, as OTLP metrics, to where their traces go. ' +
        'If traces arrive and counts do not, these say why not:',
    ),
    el('pre', '', 'OTEL_METRICS_EXPORTER=otlp\nOTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318'),
    el('p', '', 'A route has an A and a B when a VirtualService gives two subsets a weight.'),
  );
}

function routePage(answer: AbAnswer): HTMLElement {
  const { subsets, untilUs } = answer;
  const figure = (title: string, says: string, picture: Node): HTMLElement =>
    el(
      'figure',
      'figure',
      el('figcaption', '', el('b', '', title), el('span', 'muted', says)),
      picture,
    );
  return el(
    'div',
    'ab-page',
    el('p', 'verdict', verdictOf(subsets)),
    el('div', 'subset-cards', subsets.map(subsetCard)),
    el(
      'div',
      'figures',
      figure('Errors', 'share of requests, with its 95 % interval', errorIntervals(subsets)),
      figure('Latency', 'share of requests by duration', latencyShapes(subsets)),
      figure(
        'Requests',
        'a second',
        stepLines(subsets, (step, seconds) => step.requests / seconds, printRate),
      ),
      figure(
        'p95',
        'of each step',
        stepLines(
          subsets,
          (step) => step.p95Ms,
          (ms) => printDuration(ms * 1e6, false),
        ),
      ),
    ),
    el('div', 'examples', subsets.map(exemplarList)),
    untilUs !== null && el('p', 'muted', `counts until ${printClock(untilUs)}`),
  );
}

function subsetCard(subset: AbSubset, index: number): HTMLElement {
  const ms = (value: number | null): string =>
    value === null ? '–' : printDuration(value * 1e6, false);
  const fact = (name: string, value: string, kind = ''): HTMLElement =>
    el('div', 'fact', el('span', 'fact-name', name), ' ', el('span', `fact-value ${kind}`, value));
  const { weight, share, errors, errorShare, errorShareLow, errorShareHigh, clientErrors } = subset;
  const statuses = subset.statuses
    .slice(0, 5)
    .map(
      ({ status, requests }) =>
        `${status === '' ? 'no answer' : status}: ${requests.toLocaleString('en')}`,
    );
  return el(
    'section',
    `card subset ab${index % 6}`,
    el(
      'div',
      'card-title',
      el('i', 'dot'),
      el('b', '', subsetName(subset)),
      el('span', 'muted', weight === null ? '' : `weight ${weight}`),
    ),
    el(
      'div',
      'facts',
      fact('share', printShare(share)),
      fact('rate', printRate(subset.ratePerSecond)),
      fact('errors', `${printShare(errorShare)}`, errors > 0 ? 'bad-text' : ''),
      fact('p50', ms(subset.p50Ms)),
      fact('p95', ms(subset.p95Ms)),
      fact('p99', ms(subset.p99Ms)),
    ),
    el(
      'div',
      'muted',
      `${errors.toLocaleString('en')} of ${subset.requests.toLocaleString('en')} failed`,
      errorShareLow !== null && errorShareHigh !== null
        ? ` (${printShare(errorShareLow)} to ${printShare(errorShareHigh)})`
        : '',
      clientErrors > 0 ? `, ${clientErrors.toLocaleString('en')} with 4xx` : '',
      statuses.length > 0 ? ` · ${statuses.join(', ')}` : '',
    ),
  );
}

function exemplarList(subset: AbSubset, index: number): HTMLElement {
  return el(
    'section',
    `card ab${index % 6}`,
    el('div', 'card-title', el('i', 'dot'), el('b', '', `Traces of ${subsetName(subset)}`)),
    subset.exemplars.length === 0 && el('p', 'muted', 'None was exported in this time.'),
    subset.exemplars.map(({ traceId, spanId, startUs, durationUs, isError }) =>
      el(
        'div',
        'example',
        link(`/trace/${traceId}?span=${spanId}`, '', el('code', '', traceId.slice(0, 16))),
        el('span', 'muted', printClock(startUs)),
        el('span', 'grow'),
        isError && el('span', 'pill pill-bad', 'error'),
        el('span', 'number', printDuration(durationUs * 1000, false)),
      ),
    ),
  );
}
