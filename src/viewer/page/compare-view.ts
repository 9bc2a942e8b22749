/**
 * Two traces side by side on one time scale, span by span, with what differs between them.
 *
 * Address: `/compare/A/B`. Rows are pairs (trace-difference.ts); a pair says how much longer the
 * second one took, and where only one trace has a span.
 */

import { statusOf } from '../span-label.ts';
import { printDuration } from '../time-bar.ts';
import { matchTraces, type PairRow } from '../trace-difference.ts';
import { layOutTrace, type TraceLayout, type TraceRow } from '../trace-layout.ts';
import { ApiProblem, fetchTrace } from './api.ts';
import { el, fill, link } from './dom.ts';
import { counted, printDateTime, printLabel } from './format.ts';
import { colorServices } from './service-color.ts';
import { navigate, type View } from './view.ts';

/** More pairs than that are counted, not drawn. */
const rowsMax = 2_000;

export class CompareView implements View {
  readonly title = 'comparison';
  readonly element = el('main', 'compare-view', el('p', 'loading', 'Loading two traces…'));
  readonly #ids: readonly [string, string];

  constructor(left: string, right: string) {
    this.#ids = [left, right];
  }

  async opened(): Promise<void> {
    try {
      const [left, right] = await Promise.all(this.#ids.map((id) => fetchTrace(id)));
      this.#draw(layOutTrace(left!), layOutTrace(right!));
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      const isAbsent = error.status === 404;
      fill(
        this.element,
        el(
          'div',
          'empty',
          el('h2', '', 'These traces cannot be compared'),
          el('p', '', isAbsent ? 'One of them is not in the store (any more).' : error.message),
          el('p', '', link('/', 'button', 'All traces')),
        ),
      );
    }
  }

  onKey(key: string): boolean {
    if (key === 'x') navigate(`/compare/${this.#ids[1]}/${this.#ids[0]}`);
    else if (key === 'Escape') navigate('/');
    else return false;
    return true;
  }

  #draw(left: TraceLayout, right: TraceLayout): void {
    const colors = colorServices([...left.services, ...right.services]);
    const scaleNs = Math.max(1, left.totalNs, right.totalNs);
    const pairs = matchTraces(left, right);
    fill(
      this.element,
      el(
        'header',
        'compare-head',
        card('A', left),
        el(
          'button',
          { type: 'button', class: 'icon', title: 'swap (x)', onclick: () => this.onKey('x') },
          '⇄',
        ),
        card('B', right),
        summary(left, right, pairs),
      ),
      el(
        'div',
        'pairs',
        el(
          'div',
          'pair pair-head',
          el('div', 'row-name', 'Service and operation'),
          el('div', 'pair-time', `A: 0 to ${printDuration(scaleNs, false)}`),
          el('div', 'row-took', 'took'),
          el('div', 'pair-time', `B: 0 to ${printDuration(scaleNs, false)}`),
          el('div', 'row-took', 'took'),
          el('div', 'row-took', 'B - A'),
        ),
        pairs.slice(0, rowsMax).map((pair) => pairRow(pair, scaleNs, colors)),
        pairs.length > rowsMax && el('p', 'muted', `and ${pairs.length - rowsMax} more`),
      ),
    );
  }
}

function card(letter: string, layout: TraceLayout): HTMLElement {
  const root = layout.rows[0];
  const { errors } = layout;
  return el(
    'div',
    'card',
    el(
      'div',
      'card-title',
      el('span', 'letter', letter),
      link(
        `/trace/${layout.traceId}`,
        '',
        el('b', '', root?.span.service ?? ''),
        ` ${root === undefined ? '(no spans)' : printLabel(root.span)}`,
      ),
      errors > 0 && el('span', 'pill pill-bad', counted(errors, 'error')),
    ),
    el(
      'div',
      'muted',
      `${printDuration(layout.tookNs, false)} · ${counted(layout.rows.length, 'span')} · `,
      `${printDateTime(Number(layout.startNs / 1000n))} · `,
      el('code', '', layout.traceId.slice(0, 16)),
    ),
  );
}

function summary(left: TraceLayout, right: TraceLayout, pairs: readonly PairRow[]): HTMLElement {
  const differenceNs = right.tookNs - left.tookNs;
  const onlyLeft = pairs.filter((pair) => pair.right === undefined).length;
  const onlyRight = pairs.filter((pair) => pair.left === undefined).length;
  const grown = pairs
    .filter((pair) => pair.left !== undefined && pair.right !== undefined)
    .map((pair) => ({ pair, byNs: ownTime(pair.right!, right) - ownTime(pair.left!, left) }))
    .sort((one, other) => Math.abs(other.byNs) - Math.abs(one.byNs))[0];
  const words = [
    differenceNs === 0
      ? 'Both took as long.'
      : `B took ${printDuration(Math.abs(differenceNs), false)} ${differenceNs > 0 ? 'longer' : 'less'}.`,
  ];
  if (grown !== undefined && Math.abs(grown.byNs) > Math.abs(differenceNs) / 10) {
    const { span } = grown.pair.right!;
    words.push(
      `Most of it in ${span.service} ${printLabel(span)} itself: ${printDuration(Math.abs(grown.byNs), false)} ` +
        `${grown.byNs > 0 ? 'more' : 'less'}.`,
    );
  }
  if (onlyLeft > 0) words.push(`Only A has ${counted(onlyLeft, 'span')}.`);
  if (onlyRight > 0) words.push(`Only B has ${counted(onlyRight, 'span')}.`);
  return el('p', 'verdict', words.join(' '));
}

/** A span's time without that of its direct children, at least 0. */
function ownTime(row: TraceRow, { rows }: TraceLayout): number {
  let ownNs = row.span.durationNs;
  for (let index = row.index + 1; index <= row.index + row.below; index++) {
    if (rows[index]!.parent === row.index) ownNs -= rows[index]!.span.durationNs;
  }
  return Math.max(0, ownNs);
}

function pairRow(
  { depth, left, right }: PairRow,
  scaleNs: number,
  colors: ReadonlyMap<string, string>,
): HTMLElement {
  const { span } = (left ?? right)!;
  const indent = el('span', 'indent');
  indent.style.width = `${Math.min(depth, 22) * 14}px`;
  const byNs =
    left === undefined || right === undefined
      ? undefined
      : right.span.durationNs - left.span.durationNs;
  const isSame = byNs !== undefined && Math.abs(byNs) < scaleNs / 100;
  const tone = byNs === undefined || isSame ? 'muted' : byNs > 0 ? 'worse' : 'better';
  return el(
    'div',
    `pair ${colors.get(span.service) ?? 's-none'}${byNs === undefined ? ' lone' : ''}`,
    el(
      'div',
      'row-name',
      indent,
      el('i', 'dot'),
      el('b', '', span.service),
      el('span', 'label', labelText(left, right)),
      statusText(left, right),
    ),
    side(left, scaleNs),
    el('div', 'row-took', left === undefined ? '' : printDuration(left.span.durationNs, false)),
    side(right, scaleNs),
    el('div', 'row-took', right === undefined ? '' : printDuration(right.span.durationNs, false)),
    el('div', `row-took ${tone}`, differenceText(byNs, left === undefined)),
  );
}

function differenceText(byNs: number | undefined, isOnlyRight: boolean): string {
  if (byNs === undefined) return isOnlyRight ? 'only B' : 'only A';
  if (byNs === 0) return '=';
  return `${byNs > 0 ? '+' : '−'}${printDuration(Math.abs(byNs), false)}`;
}

/** `200`, or `200 → 502` where they ended differently. */
function statusText(left: TraceRow | undefined, right: TraceRow | undefined): HTMLElement {
  const rows = [left, right].filter((row) => row !== undefined);
  const words = rows.map(({ span }) => statusOf(span).replace(/^! /, ''));
  const isBad = rows.some(({ isError }) => isError);
  const differs = new Set(words).size > 1;
  return el(
    'span',
    `pair-status${isBad ? ' bad' : ''}`,
    differs ? words.map((word) => word || 'none').join(' → ') : words[0],
  );
}

/** One label when both say the same, else both: `GET -> reviews v1 60 % | GET -> reviews v2 40 %`. */
function labelText(left: TraceRow | undefined, right: TraceRow | undefined): string {
  const labels = [left, right]
    .filter((row) => row !== undefined)
    .map(({ span }) => printLabel(span));
  return [...new Set(labels)].join(' | ');
}

function side(row: TraceRow | undefined, scaleNs: number): HTMLElement {
  if (row === undefined) return el('div', 'pair-time');
  const bar = el('div', `bar${row.isErrorOrigin ? ' bad' : ''}`);
  bar.style.left = `${(row.offsetNs / scaleNs) * 100}%`;
  bar.style.width = `${(row.span.durationNs / scaleNs) * 100}%`;
  return el('div', 'pair-time', bar);
}
