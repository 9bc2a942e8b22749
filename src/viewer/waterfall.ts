/**
 * One trace as text: a line for each span with its place in the tree, its end and its bar.
 *
 *    trace 4bf9...  2.31 ms  5 spans  3 services
 *    service span                      status │0                 2.31 ms│     took  proxy
 *    web GET /productpage              200    │██████████████████████████│  2.31 ms  11.0 µs 0.5 %
 *    └─ web GET -> reviews v1 60 %     200    │  ▐███████████████████▍   │  2.01 ms  9.00 µs 0.4 %
 *
 * The same trace and options give the same text, on any machine. Everything that comes from spans
 * is made harmless for terminals; for HTML it still has to be escaped.
 */

import { findClockSkew } from './network-gap.ts';
import { skewWords } from './skew-words.ts';
import { isError, labelOf, proxyShareOf, statusOf } from './span-label.ts';
import { type PlacedSpan, placeSpans } from './span-tree.ts';
import type { StoredTrace } from './stored-trace.ts';
import { columnsOf, fitText, safeText } from './terminal-text.ts';
import { drawBar, printDuration } from './time-bar.ts';
import { timeSpan, timeTaken } from './trace-layout.ts';

export interface WaterfallOptions {
  /** Columns of the whole picture; below 60 it is drawn as for 60, and at most 500. */
  readonly width: number;
  readonly color: boolean;
  /** Nothing but printable ASCII, for terminals without UTF-8. */
  readonly ascii?: boolean;
}

const widthMin = 60;
const widthMax = 500;
const barColumnsMin = 16;
const leftColumnsMin = 18;
const statusColumnsMax = 26;
/** Deeper spans say their depth instead of drawing it. */
const drawnDepthMax = 12;

/** The picture, each line ended by a line feed. */
export function printWaterfall(trace: StoredTrace, options: WaterfallOptions): string {
  const ascii = options.ascii === true;
  const placed = placeSpans(trace.spans);
  const rows = placed.map((each) => rowOf(each, ascii));
  const span = timeSpan(trace.spans);
  const painter = new Painter(options.color);
  const took = printTaken(timeTaken(placed, span.totalNs), span.totalNs, ascii);
  const header = headerOf(trace, took, painter);
  if (rows.length === 0) return `${header.trimEnd()}\nThe trace has no spans.\n`;
  const columns = layOut(rows, options.width);
  const lines = [header, '', painter.dim(titleLine(columns, span.totalNs, ascii))];
  for (const row of rows) lines.push(spanLine(row, columns, span, ascii, painter));
  lines.push(...orphanLines(rows), ...circleLines(rows), ...skewLines(placed, ascii));
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

interface Row {
  readonly placed: PlacedSpan;
  readonly tree: string;
  readonly service: string;
  readonly label: string;
  readonly status: string;
  readonly took: string;
  readonly proxy: string;
}

interface Columns {
  readonly left: number;
  readonly status: number;
  readonly bar: number;
  readonly took: number;
  readonly proxy: number;
}

interface TimeSpan {
  readonly startNs: bigint;
  readonly totalNs: number;
}

/** Puts escape sequences around text, or does not. */
class Painter {
  readonly #isOn: boolean;

  constructor(isOn: boolean) {
    this.#isOn = isOn;
  }

  bold(text: string): string {
    return this.#paint(text, '1', '22');
  }

  dim(text: string): string {
    return this.#paint(text, '2', '22');
  }

  red(text: string): string {
    return this.#paint(text, '31', '39');
  }

  cyan(text: string): string {
    return this.#paint(text, '36', '39');
  }

  #paint(text: string, on: string, off: string): string {
    return this.#isOn && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  }
}

function rowOf(placed: PlacedSpan, ascii: boolean): Row {
  const { span } = placed;
  return {
    placed,
    tree: treeOf(placed, ascii),
    service: safeText(span.service === '' ? '(no service)' : span.service, ascii),
    label: safeText(labelOf(span), ascii),
    status: safeText(statusOf(span), ascii),
    took: printDuration(span.durationNs, ascii),
    proxy: proxyShareOf(span, ascii),
  };
}

/** The lines that lead to a span: `│  └─ `. */
function treeOf(placed: PlacedSpan, ascii: boolean): string {
  if (placed.depth === 0) return placed.isOrphan ? '? ' : placed.isCircular ? '@ ' : '';
  const [through, last, branch] = ascii ? ['|  ', '`- ', '|- '] : ['│  ', '└─ ', '├─ '];
  if (placed.depth > drawnDepthMax) return `${ascii ? '..' : '…'}${placed.depth} ${last}`;
  let lines = placed.isLastSibling ? last! : branch!;
  for (let above = placed.parent; above !== undefined && above.depth > 0; above = above.parent) {
    lines = (above.isLastSibling ? '   ' : through!) + lines;
  }
  return lines;
}

function headerOf(trace: StoredTrace, took: string, painter: Painter): string {
  const named = trace.spans.filter((span) => span.service !== '');
  const services = new Set(named.map((span) => span.service)).size;
  const errors = trace.spans.filter(isError).length;
  const facts = [took, counted(trace.spans.length, 'span'), counted(services, 'service')];
  const started = trace.spans[0]?.startNs ?? 0n;
  const text = `trace ${painter.bold(trace.traceId)}  ${facts.join('  ')}`;
  const errorText = errors === 0 ? '' : `  ${painter.red(counted(errors, 'error'))}`;
  return `${text}${errorText}  ${printTime(started)}`;
}

/** `10.0 ms`, or `10.0 ms (spread over 60 min 00 s)` where the spans lie further apart. */
function printTaken(tookNs: number, totalNs: number, ascii: boolean): string {
  const took = printDuration(tookNs, ascii);
  const total = printDuration(totalNs, ascii);
  return took === total ? took : `${took} (spread over ${total})`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** `2026-11-25T17:31:53.000Z`; a date that JavaScript cannot name is left out. */
function printTime(ns: bigint): string {
  const ms = Number(ns / 1_000_000n);
  return ms === 0 || ms > 8.64e15 ? '' : new Date(ms).toISOString();
}

/** Shares the width: the bar gets what is left, and never less than its least. */
function layOut(rows: readonly Row[], width: number): Columns {
  const total = Math.min(Math.max(Math.floor(width), widthMin), widthMax);
  const widest = (of: (row: Row) => string, least: number): number =>
    rows.reduce((most, row) => Math.max(most, columnsOf(of(row))), least);
  const took = widest((row) => row.took, 4);
  const proxyWanted = widest((row) => row.proxy, 0);
  const status = Math.min(
    widest((row) => row.status, 6),
    Math.min(statusColumnsMax, Math.floor(total / 5)),
  );
  // Between the columns: one before the status, one before and one after the bar's two edges, and
  // two before each column on the right.
  const fixed = (proxy: number): number => status + took + 6 + (proxy === 0 ? 0 : proxy + 2);
  const hasRoom = total - fixed(proxyWanted) >= leftColumnsMin + barColumnsMin;
  const proxy = hasRoom ? proxyWanted : 0;
  const room = total - fixed(proxy);
  const leftWanted = widest((row) => `${row.tree}${row.service} ${row.label}`, leftColumnsMin);
  const leftMax = Math.max(leftColumnsMin, Math.min(room - barColumnsMin, Math.floor(room * 0.6)));
  const left = Math.min(leftWanted, leftMax);
  return { left, status, bar: room - left, took, proxy };
}

function titleLine(columns: Columns, totalNs: number, ascii: boolean): string {
  const total = printDuration(totalNs, ascii);
  const axis = `0${total.padStart(columns.bar - 1)}`;
  const edge = ascii ? '|' : '│';
  const proxy = columns.proxy === 0 ? '' : '  proxy';
  return (
    `${fitText('service span', columns.left, ascii)} ${fitText('status', columns.status, ascii)} ` +
    `${edge}${axis}${edge}  ${'took'.padStart(columns.took)}${proxy}`
  );
}

function spanLine(
  row: Row,
  columns: Columns,
  { startNs, totalNs }: TimeSpan,
  ascii: boolean,
  painter: Painter,
): string {
  const { span } = row.placed;
  const isBad = isError(span);
  const offset = Math.max(0, Number(span.startNs - startNs));
  const scale = totalNs === 0 ? 0 : 1 / totalNs;
  const bar = drawBar(offset * scale, (offset + span.durationNs) * scale, columns.bar, ascii);
  const status = fitText(row.status, columns.status, ascii);
  const edge = painter.dim(ascii ? '|' : '│');
  // Right-aligned by columns: `µ` is one column, as every character of a duration is.
  const took = row.took.padStart(columns.took);
  const proxy = columns.proxy === 0 || row.proxy === '' ? '' : `  ${painter.dim(row.proxy)}`;
  return (
    `${paintLeft(row, columns.left, ascii, painter)} ${isBad ? painter.red(status) : status} ` +
    `${edge}${isBad ? painter.red(bar) : painter.cyan(bar)}${edge}  ${took}${proxy}`
  );
}

/** Cut as a whole first, painted afterwards, so that a cut never splits a sequence. */
function paintLeft(row: Row, columns: number, ascii: boolean, painter: Painter): string {
  const text = fitText(`${row.tree}${row.service} ${row.label}`, columns, ascii);
  const plainStart = `${row.tree}${row.service} `;
  if (!text.startsWith(plainStart)) return text;
  return painter.dim(row.tree) + painter.bold(row.service) + text.slice(plainStart.length - 1);
}

function orphanLines(rows: readonly Row[]): string[] {
  const orphans = rows.filter((row) => row.placed.isOrphan).length;
  if (orphans === 0) return [];
  return [
    '',
    `? ${counted(orphans, 'span')} whose parent is not in this trace: not exported, not sampled, ` +
      'or outside of the mesh.',
  ];
}

function circleLines(rows: readonly Row[]): string[] {
  const circles = rows.filter((row) => row.placed.isCircular).length;
  if (circles === 0) return [];
  return [
    '',
    `@ ${counted(circles, 'circle')} of parents (a span that is its own parent is one too): ` +
      'whoever sent these spans is wrong.',
  ];
}

function skewLines(placed: readonly PlacedSpan[], ascii: boolean): string[] {
  const sentence = skewWords(placed, findClockSkew(placed), ascii);
  return sentence === '' ? [] : ['', safeText(sentence, ascii)];
}
