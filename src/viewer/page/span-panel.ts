/**
 * Everything about one span: its times, in words why it is as it is, and what was sent with it.
 */

import {
  type AnyValue,
  attributeText,
  type KeyValue,
  SpanKind,
  spanKindNames,
} from '../otlp-json.ts';
import { statusOf } from '../span-label.ts';
import { explainRow } from '../span-words.ts';
import type { StoredEvent, StoredLink } from '../stored-trace.ts';
import { safeText } from '../terminal-text.ts';
import { printDuration } from '../time-bar.ts';
import type { TraceLayout, TraceRow } from '../trace-layout.ts';
import { type Child, el, link } from './dom.ts';
import { printLabel } from './format.ts';
import { addressPart } from './view.ts';

export interface PanelActions {
  close(): void;
  select(index: number): void;
}

/** The panel of one row; made anew for each. */
export function spanPanel(
  row: TraceRow,
  layout: TraceLayout,
  color: string,
  actions: PanelActions,
): HTMLElement {
  const { span } = row;
  const status = statusOf(span).replace(/^! /, '');
  const kind = spanKindNames[span.kind] || 'no kind';
  return el(
    'aside',
    { class: `panel ${color}${row.isError ? ' bad' : ''}`, 'aria-label': 'span' },
    el(
      'header',
      'panel-head',
      el('i', 'dot'),
      el(
        'div',
        'panel-title',
        el('b', '', span.service === '' ? '(no service)' : span.service),
        el('span', 'label', printLabel(span)),
      ),
      status !== '' && el('span', `pill${row.isError ? ' pill-bad' : ''}`, status),
      el('button', { class: 'icon', title: 'close (Esc)', onclick: actions.close }, '✕'),
    ),
    facts(row, kind),
    reasons(row, layout),
    phases(row),
    attributeTable('Attributes', span.attributes, true),
    attributeTable('Process', span.resource, false),
    events(span.events, layout),
    links(span.links),
    relatives(row, layout, actions),
  );
}

function facts({ span, offsetNs }: TraceRow, kind: string): HTMLElement {
  const fact = (name: string, value: Child): HTMLElement =>
    el('div', 'fact', el('span', 'fact-name', name), ' ', el('span', 'fact-value', value));
  return el(
    'div',
    'facts',
    fact('took', printDuration(span.durationNs, false)),
    fact('started after', printDuration(offsetNs, false)),
    fact('kind', kind),
    fact('span', el('code', '', span.spanId)),
  );
}

function reasons(row: TraceRow, layout: TraceLayout): HTMLElement | undefined {
  const sentences = explainRow(row, layout);
  if (sentences.length === 0) return undefined;
  return el(
    'section',
    'reasons',
    el('h3', '', 'Why'),
    el(
      'dl',
      '',
      sentences.map(({ topic, text }) => [
        el('dt', topic === 'failed' ? 'bad-text' : '', topic),
        el('dd', '', keepUnits(text)),
      ]),
    ),
    comparison(row),
  );
}

/** Where a rule chose a subset, the way to all of them side by side. */
function comparison({ span }: TraceRow): HTMLElement | undefined {
  const route = attributeText(span.attributes, 'tracecar.route') ?? '';
  const subset = attributeText(span.attributes, 'tracecar.subset') ?? '';
  if (route === '' || subset === '' || span.kind !== SpanKind.Client) return undefined;
  return el('p', '', link(`/ab/${addressPart(route)}`, '', `all subsets of ${route}, A/B`));
}

/** No line ends between a number and its unit. */
function keepUnits(text: string): string {
  return text.replace(/(\d) (ns|µs|ms|s|%)(?=[ ,.)]|$)/g, '$1\u00a0$2');
}

/** Of `tracecar.time.*`, in the order in which they pass; `proxy` is a share of them, not one. */
const phaseNames: readonly (readonly [string, string])[] = [
  ['queue', 'waiting for a connection'],
  ['dns', 'looking the name up'],
  ['connect', 'connecting'],
  ['tls', 'TLS handshake'],
  ['request', 'sending the request'],
  ['ttfb', 'to the first byte'],
  ['response', 'receiving the response'],
];

function phases({ span }: TraceRow): HTMLElement | undefined {
  const known = phaseNames.flatMap(([name, says]) => {
    const text = attributeText(span.attributes, `tracecar.time.${name}_us`);
    const us = Number(text ?? Number.NaN);
    return Number.isFinite(us) && us >= 0 ? [{ name, says, us }] : [];
  });
  const sum = known.reduce((total, { us }) => total + us, 0);
  if (known.length < 2 || sum === 0) return undefined;
  const bars = known.map(({ name, us }) => {
    const bar = el('i', `phase phase-${name}`);
    bar.style.flexGrow = String(us / sum);
    return bar;
  });
  const rows = known.map(({ name, says, us }) =>
    el(
      'div',
      'phase-row',
      el('i', `phase-key phase-${name}`),
      el('span', '', says),
      el('span', 'number', printDuration(us * 1000, false)),
    ),
  );
  return el('section', '', el('h3', '', 'Phases'), el('div', 'phases', bars), rows);
}

function attributeTable(
  title: string,
  attributes: readonly KeyValue[],
  isSearchable: boolean,
): HTMLElement | undefined {
  if (attributes.length === 0) return undefined;
  const rows = [...attributes]
    .sort((one, other) => (one.key < other.key ? -1 : 1))
    .map(({ key, value }) => {
      const text = valueText(value);
      const word = isSearchable ? tagWord(key, value) : undefined;
      return el(
        'tr',
        '',
        el('th', { scope: 'row' }, breakable(key)),
        el(
          'td',
          '',
          text.includes('\n') ? el('pre', '', text) : text,
          word !== undefined &&
            link(
              `/?tags=${addressPart(word)}`,
              { class: 'find', title: 'traces with this' },
              'find',
            ),
        ),
      );
    });
  return el(
    'section',
    '',
    el('h3', '', title, el('span', 'count', String(attributes.length))),
    el('table', 'attributes', el('tbody', '', rows)),
  );
}

/** A key may be broken after its dots. */
function breakable(key: string): Child[] {
  return key.split(/(?<=[._])/).flatMap((part) => [part, el('wbr')]);
}

/**
 * What finds this attribute, as the search form reads it: either side is quoted when there is a blank,
 * a quote or an equals sign in it. Undefined for what the form cannot hold (lists, line ends and what
 * safeText replaces), for what is long, and for names that mean something else there.
 */
function tagWord(key: string, value: AnyValue): string | undefined {
  const text = valueText(value);
  const isSearched = value.stringValue ?? value.intValue ?? value.boolValue ?? value.doubleValue;
  if (isSearched === undefined || wordsOfSearch.has(key)) return undefined;
  const whole = key + text;
  if (whole.length > findMax || safeText(whole, false) !== whole) return undefined;
  return `${quoted(key)}=${quoted(text)}`;
}

/** trace-search.ts takes these for properties of the span itself. */
const wordsOfSearch: ReadonlySet<string> = new Set([
  'error',
  'span.kind',
  'span.status',
  'scope.name',
  'scope.version',
]);
const findMax = 200;

function quoted(text: string): string {
  return text === '' || /[\s"=]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text;
}

/** A value as a person reads it; lists and maps as JSON. */
function valueText(value: AnyValue): string {
  return (
    value.stringValue ??
    value.intValue ??
    (value.boolValue === undefined ? undefined : String(value.boolValue)) ??
    (value.doubleValue === undefined ? undefined : String(value.doubleValue)) ??
    (value.bytesValue === undefined ? undefined : `${value.bytesValue} (base64)`) ??
    (value.arrayValue === undefined
      ? undefined
      : (value.arrayValue.values ?? []).map(valueText).join(', ')) ??
    (value.kvlistValue === undefined ? '' : JSON.stringify(value.kvlistValue.values ?? []))
  );
}

function events(list: readonly StoredEvent[], { startNs }: TraceLayout): HTMLElement | undefined {
  if (list.length === 0) return undefined;
  return el(
    'section',
    '',
    el('h3', '', 'Events', el('span', 'count', String(list.length))),
    list.map(({ name, timeNs, attributes }) => [
      el(
        'div',
        'event',
        el('b', '', name === '' ? '(no name)' : name),
        timeNs > 0n && el('span', 'muted', ` at ${printDuration(Number(timeNs - startNs), false)}`),
      ),
      attributeTable('', attributes, false),
    ]),
  );
}

function links(list: readonly StoredLink[]): HTMLElement | undefined {
  if (list.length === 0) return undefined;
  return el(
    'section',
    '',
    el('h3', '', 'Links', el('span', 'count', String(list.length))),
    list.map(({ traceId, spanId }) =>
      el('div', 'event', link(`/trace/${traceId}?span=${spanId}`, '', el('code', '', traceId))),
    ),
  );
}

/** Its parent and its direct children, as ways to walk. */
function relatives(row: TraceRow, { rows }: TraceLayout, actions: PanelActions): HTMLElement {
  const way = (index: number): HTMLElement => {
    const { span } = rows[index]!;
    return el(
      'button',
      { class: 'way', type: 'button', onclick: () => actions.select(index) },
      `${span.service} ${printLabel(span)}`,
    );
  };
  const children: number[] = [];
  for (let index = row.index + 1; index <= row.index + row.below; index++) {
    if (rows[index]!.parent === row.index) children.push(index);
    if (children.length >= relativesMax) break;
  }
  return el(
    'section',
    'relatives',
    row.parent >= 0 && el('div', '', el('span', 'fact-name', 'called by '), way(row.parent)),
    children.length > 0 && el('div', '', el('span', 'fact-name', 'below '), children.map(way)),
  );
}

const relativesMax = 20;
