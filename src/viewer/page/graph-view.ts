/**
 * Who calls whom, with the rates of the last minute: services as boxes, calls as lines as wide as
 * their rate. Red is the share of errors. A dashed line is known from spans only.
 *
 * Address: `/graph?seconds=60`. Drawn again every five seconds; a service leads to its traces.
 */

import { type GraphPlace, layOutGraph } from '../graph-layout.ts';
import { printRate, printShare } from '../share-text.ts';
import { printDuration } from '../time-bar.ts';
import type { GraphAnswer, GraphEdge, GraphNode, RequestFigures } from '../view-answers.ts';
import { ApiProblem, fetchGraph } from './api.ts';
import { every } from './clock.ts';
import { el, fill, keepFocus, link, noticeLine, svg } from './dom.ts';
import { printClock } from './format.ts';
import { colorServices } from './service-color.ts';
import { addressPart, navigate, type View } from './view.ts';

const refreshMs = 5_000;
const boxWidth = 176;
const boxHeight = 56;
const layerWidth = 300;
const slotHeight = 96;
const margin = 28;

export class GraphView implements View {
  readonly title = 'service graph';
  readonly element = el('main', 'graph-view', el('p', 'loading', 'Loading…'));
  readonly #seconds: number;
  #stop = (): void => {};
  #isClosed = false;
  #isDrawn = false;
  readonly #notice = el('div');

  constructor(parameters: URLSearchParams) {
    const asked = Number(parameters.get('seconds'));
    this.#seconds = asked >= 5 && asked <= 3600 ? Math.round(asked) : 60;
  }

  opened(): void {
    this.#stop = every(refreshMs, () => this.#load());
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  onKey(key: string): boolean {
    if (key !== 'Escape') return false;
    navigate('/');
    return true;
  }

  async #load(): Promise<void> {
    try {
      const answer = await fetchGraph(this.#seconds);
      if (this.#isClosed) return;
      const { scrollLeft = 0, scrollTop = 0 } =
        this.element.querySelector('.graph-scroll') ?? ({} as Partial<Element>);
      this.#isDrawn = true;
      fill(this.#notice);
      keepFocus(this.element, () =>
        fill(this.element, this.#head(answer), this.#notice, body(answer)),
      );
      this.element.querySelector('.graph-scroll')?.scrollTo(scrollLeft, scrollTop);
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      if (this.#isClosed) return;
      // What was seen stays: the next answer mends it.
      if (this.#isDrawn) fill(this.#notice, noticeLine(error.message));
      else fill(this.element, el('div', 'empty', el('p', 'bad-text', error.message)));
    }
  }

  #head({ untilUs, edges }: GraphAnswer): HTMLElement {
    const isDashed = edges.some(({ source }) => source === 'spans');
    return el(
      'header',
      'view-head',
      el('h1', '', 'Service graph'),
      el(
        'div',
        { class: 'switch', role: 'group', 'aria-label': 'time' },
        [60, 300, 3600].map((seconds) =>
          el(
            'button',
            {
              type: 'button',
              'aria-pressed': String(seconds === this.#seconds),
              onclick: () => navigate(`/graph?seconds=${seconds}`),
            },
            seconds === 3600 ? '1 h' : `${seconds / 60} min`,
          ),
        ),
      ),
      el('span', 'grow'),
      isDashed && el('span', 'muted', 'dashed: known from spans, not counted'),
      untilUs !== null && el('span', 'muted', `counts until ${printClock(untilUs)}`),
    );
  }
}

function body(answer: GraphAnswer): HTMLElement {
  if (answer.nodes.length === 0 && answer.edges.length === 0) {
    return el(
      'div',
      'empty',
      el('h2', '', 'Nobody has called anybody yet'),
      el('p', '', 'Services appear when their sidecars have counted requests, or sent spans:'),
      el('pre', '', 'OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318'),
    );
  }
  return el('div', 'graph-body', graphPicture(answer), edgeTable(answer));
}

function graphPicture({ nodes, edges }: GraphAnswer): Node {
  const layout = layOutGraph({ nodes: nodes.map(({ service }) => service), edges });
  const width = margin * 2 + (layout.layers - 1) * layerWidth + boxWidth;
  const height = margin * 2 + (layout.slots - 1) * slotHeight + boxHeight;
  const figures = new Map(nodes.map((node) => [node.service, node]));
  const colors = colorServices([...layout.nodes.keys()]);
  const fastest = Math.max(1e-9, ...edges.map(({ ratePerSecond }) => ratePerSecond));
  return el(
    'div',
    'graph-scroll',
    svg(
      'svg',
      { width, height, role: 'img', 'aria-label': 'who calls whom' },
      edges.map((edge, index) => edgeLine(edge, layout.ways[index]!, fastest)),
      // After all lines, so that none crosses a label.
      edges.map((edge, index) => edgeLabel(edge, layout.ways[index]!)),
      [...layout.nodes].map(([service, place]) =>
        serviceBox(service, place, figures.get(service), colors.get(service) ?? ''),
      ),
    ),
  );
}

function centerOf({ layer, slot }: GraphPlace): readonly [number, number] {
  return [margin + layer * layerWidth + boxWidth / 2, margin + slot * slotHeight + boxHeight / 2];
}

function edgeLine(edge: GraphEdge, way: readonly GraphPlace[], fastest: number): SVGGElement {
  const thick = 1.5 + 4.5 * Math.sqrt(edge.ratePerSecond / fastest);
  return svg(
    'g',
    { class: edgeClass(edge) },
    svg('title', {}, `${edge.from} calls ${edge.to}\n${figuresText(edge)}`),
    svg('path', { d: curve(way)[0], 'stroke-width': thick.toFixed(1) }),
  );
}

function edgeLabel(edge: GraphEdge, way: readonly GraphPlace[]): SVGGElement {
  const [, x, y] = curve(way);
  const share = (edge.errorShare ?? 0) > 0 ? ` · ${printShare(edge.errorShare)}` : '';
  const label =
    edge.source === 'counters'
      ? `${printRate(edge.ratePerSecond)}${share}`
      : `${edge.requests.toLocaleString('en')} traced`;
  const text = svg('text', { x, y: y - 7, 'text-anchor': 'middle' }, label);
  return svg('g', { class: edgeClass(edge) }, text);
}

function edgeClass({ errorShare, source }: GraphEdge): string {
  return `edge${(errorShare ?? 0) > 0 ? ' bad' : ''}${source === 'spans' ? ' dashed' : ''}`;
}

/** A line through the places, and where its label stands; a call to itself is a loop above. */
function curve(way: readonly GraphPlace[]): readonly [path: string, x: number, y: number] {
  const points = way.map(centerOf);
  const [x0, y0] = points[0]!;
  if (points.length === 1) {
    const top = y0 - boxHeight / 2;
    const loop = `M${x0 - 24},${top} C${x0 - 24},${top - 34} ${x0 + 24},${top - 34} ${x0 + 24},${top}`;
    return [loop, x0, top - 22];
  }
  const isForward = points.at(-1)![0] >= x0;
  const edge = (isForward ? 1 : -1) * (boxWidth / 2);
  let [fromX, fromY] = [x0 + edge, y0];
  let path = `M${fromX},${fromY}`;
  points.slice(1).forEach(([x, y], index) => {
    const isLast = index === points.length - 2;
    const toX = isLast ? x - edge : x;
    const middle = (fromX + toX) / 2;
    path += ` C${middle},${fromY} ${middle},${y} ${toX},${y}`;
    [fromX, fromY] = [toX, y];
  });
  const [x1, y1] = points[1]!;
  const firstX = points.length === 2 ? x1 - edge : x1;
  return [path, (x0 + edge + firstX) / 2, (y0 + y1) / 2];
}

function serviceBox(
  service: string,
  place: GraphPlace,
  figures: GraphNode | undefined,
  color: string,
): SVGGElement {
  const [x, y] = centerOf(place);
  const [left, top] = [x - boxWidth / 2, y - boxHeight / 2];
  const hasCounts = figures !== undefined && figures.requests > 0;
  const isBad = hasCounts && (figures.errorShare ?? 0) > 0;
  const says = hasCounts
    ? `${printRate(figures.ratePerSecond)} · ${printShare(figures.errorShare)} errors`
    : 'nothing counted';
  const shown = service === '' ? '(no name)' : service;
  const name = shown.length > 22 ? `${shown.slice(0, 21)}…` : shown;
  return svg(
    'g',
    {
      class: `node ${color}${isBad ? ' bad' : ''}`,
      tabindex: '0',
      role: 'link',
      'data-key': `service ${service}`,
      onclick: () => navigate(`/?service=${addressPart(service)}`),
      onkeydown: (event: KeyboardEvent) => {
        if (event.key === 'Enter') navigate(`/?service=${addressPart(service)}`);
      },
    },
    svg('title', {}, `${service}\n${hasCounts ? figuresText(figures) : says}`),
    svg('rect', { class: 'box', x: left, y: top, width: boxWidth, height: boxHeight, rx: 6 }),
    svg('rect', { class: 'stripe', x: left, y: top, width: 4, height: boxHeight, rx: 2 }),
    svg('text', { class: 'node-name', x: left + 14, y: top + 23 }, name),
    svg('text', { class: 'node-says', x: left + 14, y: top + 42 }, says),
  );
}

function figuresText({ requests, errors, p50Ms, p95Ms, p99Ms }: RequestFigures): string {
  const ms = (value: number | null): string =>
    value === null ? '–' : printDuration(value * 1e6, false);
  return `${requests.toLocaleString('en')} requests, ${errors.toLocaleString('en')} failed\np50 ${ms(p50Ms)}, p95 ${ms(p95Ms)}, p99 ${ms(p99Ms)}`;
}

function edgeTable({ edges }: GraphAnswer): HTMLElement {
  const ms = (value: number | null): string =>
    value === null ? '–' : printDuration(value * 1e6, false);
  const number = (text: string, kind = ''): HTMLElement => el('td', `number ${kind}`, text);
  return el(
    'table',
    'traces edges',
    el(
      'thead',
      '',
      el(
        'tr',
        '',
        el('th', '', 'calls'),
        ['rate', 'requests', 'errors', 'p50', 'p95', 'p99'].map((name) => el('th', 'number', name)),
      ),
    ),
    el(
      'tbody',
      '',
      edges.map((edge) =>
        el(
          'tr',
          '',
          el(
            'td',
            '',
            link(`/?service=${addressPart(edge.from)}`, '', edge.from),
            ' → ',
            link(`/?service=${addressPart(edge.to)}`, '', edge.to),
          ),
          number(edge.source === 'counters' ? printRate(edge.ratePerSecond) : 'traced'),
          number(edge.requests.toLocaleString('en')),
          number(printShare(edge.errorShare), (edge.errorShare ?? 0) > 0 ? 'bad-text' : ''),
          number(ms(edge.p50Ms)),
          number(ms(edge.p95Ms)),
          number(ms(edge.p99Ms)),
        ),
      ),
    ),
  );
}
