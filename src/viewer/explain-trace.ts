/**
 * A trace explained: the waterfall, where an error began, where the time went, and for each hop why
 * it was routed, tried again, denied, joined and sampled.
 *
 * The sentences are those of span-words.ts, which the page shows too. The same trace and options
 * give the same text; everything that comes from spans is made harmless for terminals.
 */

import { type TimeShare, timeShares } from './blame.ts';
import { attributeText, spanKindNames } from './otlp-json.ts';
import { skewWords } from './skew-words.ts';
import { labelOf, statusOf } from './span-label.ts';
import { explainRow, type SpanSentence } from './span-words.ts';
import type { StoredTrace } from './stored-trace.ts';
import { columnsOf, safeText } from './terminal-text.ts';
import { printDuration } from './time-bar.ts';
import { layOutTrace, type TraceLayout, type TraceRow } from './trace-layout.ts';
import { printWaterfall, type WaterfallOptions } from './waterfall.ts';

/** More hops than that are counted, not printed; `--json` has them all. */
const hopsMax = 200;
const topicColumns = 13;
/** Of those who had a part of the time, beside networks and sidecars. */
const othersShown = 4;

/** Text, each line ended by a line feed. */
export function explainAsText(trace: StoredTrace, options: Required<WaterfallOptions>): string {
  const layout = layOutTrace(trace);
  const { ascii, color } = options;
  const width = Math.min(Math.max(Math.floor(options.width), 60), 500);
  const bold = (text: string): string => (color ? `\u001b[1m${text}\u001b[22m` : text);
  const red = (text: string): string => (color ? `\u001b[31m${text}\u001b[39m` : text);
  const lines = [printWaterfall(trace, options).trimEnd(), ''];
  for (const sentence of summaryOf(layout, ascii)) lines.push(...wrap(sentence, width));
  for (const row of layout.rows.slice(0, hopsMax)) {
    const sentences = explainRow(row, layout, ascii);
    const status = statusOf(row.span);
    const head = `${row.index + 1}. ${row.span.service || '(no service)'} ${labelOf(row.span)}`;
    const end = safeText(`${status === '' ? '' : `  ${status}`}`, ascii);
    lines.push('', `${bold(safeText(head, ascii))}${row.isError ? red(end) : end}`);
    for (const { topic, text } of sentences) {
      const lead = `   ${topic.padEnd(topicColumns)}`;
      const [first, ...rest] = wrap(safeText(text, ascii), width - lead.length);
      lines.push(`${lead}${first ?? ''}`, ...rest.map((line) => ' '.repeat(lead.length) + line));
    }
    if (sentences.length === 0) lines.push('   It says nothing of itself: not a span of Tracecar.');
  }
  const more = layout.rows.length - hopsMax;
  if (more > 0) lines.push('', `${more} more spans; \`--json\` explains them all.`);
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** What a tool gets from `--json`. Times in nanoseconds, but for `startUnixNano`, which is a text. */
export interface ExplainedTrace {
  readonly traceId: string;
  readonly startUnixNano: string;
  /** The root's own; without one root as `spreadNs`. */
  readonly durationNs: number;
  /** From the first start to the last end, by all clocks. */
  readonly spreadNs: number;
  /** The most that a callee is outside of its caller's time; null below 1 ms. */
  readonly clockSkewNs: number | null;
  /** Span ids where an error began: no span below them has one. */
  readonly errorsBegan: readonly string[];
  readonly spans: readonly ExplainedSpan[];
}

export interface ExplainedSpan {
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly service: string;
  readonly name: string;
  readonly kind: string;
  readonly isError: boolean;
  readonly status: string;
  readonly offsetNs: number;
  readonly durationNs: number;
  /** Of the whole trace's critical path, what this span itself had. */
  readonly criticalPathNs: number;
  /** Null where no SERVER span is below this one. */
  readonly networkGapNs: number | null;
  readonly proxyNs: number | null;
  /** Attributes that decide, by their keys without `tracecar.`; absent ones are absent. */
  readonly decided: Readonly<Record<string, string>>;
  readonly why: readonly SpanSentence[];
}

const decidingKeys = [
  'route',
  'rule',
  'rule.origin',
  'subset',
  'weight',
  'cluster',
  'endpoint',
  'generation',
  'peer.identity',
  'peer.expected',
  'policy',
  'policy.reason',
  'policy.would',
  'policy.audit',
  'policy.origin',
  'cause',
  'detail',
  'attempt.reason',
  'join',
  'sampled_by',
] as const;

export function explainAsJson(trace: StoredTrace): ExplainedTrace {
  const layout = layOutTrace(trace);
  return {
    traceId: trace.traceId,
    startUnixNano: String(layout.startNs),
    durationNs: layout.tookNs,
    spreadNs: layout.totalNs,
    clockSkewNs: layout.skew?.ns ?? null,
    errorsBegan: layout.rows
      .filter(({ isErrorOrigin }) => isErrorOrigin)
      .map(({ span }) => span.spanId),
    spans: layout.rows.map((row) => explainSpan(row, layout)),
  };
}

function explainSpan(row: TraceRow, layout: TraceLayout): ExplainedSpan {
  const { span } = row;
  const decided = decidingKeys.flatMap((key) => {
    const text = attributeText(span.attributes, `tracecar.${key}`);
    return text === undefined ? [] : [[key, text] as const];
  });
  return {
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    service: span.service,
    name: span.name,
    kind: spanKindNames[span.kind] || 'unspecified',
    isError: row.isError,
    status: statusOf(span).replace(/^! /, ''),
    offsetNs: row.offsetNs,
    durationNs: span.durationNs,
    criticalPathNs: row.pathNs,
    networkGapNs: row.gap?.gapNs ?? null,
    proxyNs: row.proxyNs ?? null,
    decided: Object.fromEntries(decided),
    why: explainRow(row, layout),
  };
}

/** Where errors began, and who had most of the time. */
function summaryOf(layout: TraceLayout, ascii: boolean): string[] {
  const lines: string[] = [];
  const nameOf = ({ span }: TraceRow): string =>
    safeText(`${span.service || '(no service)'} ${labelOf(span)}`, ascii);
  for (const row of layout.rows.filter(({ isErrorOrigin }) => isErrorOrigin).slice(0, 5)) {
    const status = safeText(statusOf(row.span).replace(/^! /, ''), ascii);
    lines.push(`The error began in ${nameOf(row)}${status === '' ? '' : `: ${status}`}.`);
  }
  const words = shareWords(timeShares(layout), ascii);
  if (words !== '') lines.push(`The answer waited for ${words}.`);
  const skew = skewWords(layout.rows, layout.skew, ascii);
  if (skew !== '') lines.push(safeText(skew, ascii));
  return lines;
}

/** The longest shares, and always what networks and sidecars had: that is what a mesh costs. */
function shareWords(shares: readonly TimeShare[], ascii: boolean): string {
  const totalNs = shares.reduce((sum, { ns }) => sum + ns, 0);
  const isMesh = ({ who }: TimeShare): boolean => who === 'networks' || who === 'sidecars';
  const others = shares.filter((share) => !isMesh(share));
  const shown = new Set([...shares.filter(isMesh), ...others.slice(0, othersShown)]);
  const restNs = totalNs - [...shown].reduce((sum, { ns }) => sum + ns, 0);
  const parts = shares.filter((share) => shown.has(share));
  if (restNs > 0) parts.push({ who: 'others', ns: restNs });
  return parts
    .map(({ who, ns }) => {
      const percent = Math.round((ns / Math.max(1, totalNs)) * 100);
      return `${safeText(who, ascii)} ${printDuration(ns, ascii)} (${percent} %)`;
    })
    .join(', ');
}

/** A blank, but not the one between a number and its unit. */
const breakable = / (?!(?:ns|µs|us|ms|s|min|%)(?:[ ,.)]|$))/;

/** Lines of at most `width` columns, cut at blanks; a longer word stands alone. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(breakable)) {
    const next = line === '' ? word : `${line} ${word}`;
    if (line !== '' && columnsOf(next) > width) {
      lines.push(line);
      line = word;
    } else {
      line = next;
    }
  }
  if (line !== '') lines.push(line);
  return lines;
}
