/**
 * What this process has kept after the fact, for the metrics page and the admin port.
 *
 * All count since the start. Traces are counted where their verdict was given: a hop that learned it of
 * another one adds nothing, so sums over a mesh count each trace once, or twice where two hops gave one
 * at the same time.
 */

import type { MetricText } from '../metrics/metric-text.ts';
import type { SpanCounts } from '../metrics/worker-counters.ts';
import { sampledByWords } from '../record/exchange-record.ts';
import type { KeepVerdicts } from './keep-verdicts.ts';

export interface KeepReport {
  /** Traces by why they were kept here, and by why they would have been but for a budget. */
  readonly kept: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  /** Trace ids that peers asked for: taken, and of those known before; and refused over the rate. */
  readonly received: number;
  readonly known: number;
  readonly overRate: number;
  /** Traces that were kept because an upstream's answer said so; and those that were not: over the rate. */
  readonly learned: number;
  readonly learnedOverRate: number;
  /** Marks that went before their time: their traces may be incomplete. */
  readonly lostMarks: number;
  /** Trace ids that peers were told, and that did not get there. */
  readonly sent: number;
  readonly failed: number;
  /** Spans of records that ended before the verdict. */
  readonly recalled: number;
  readonly historyBytes: number;
}

export function reportOf(verdicts: KeepVerdicts, spans: SpanCounts): KeepReport {
  return {
    kept: byWord(verdicts.counts.kept),
    refused: byWord(verdicts.counts.refused),
    received: verdicts.received,
    known: verdicts.known,
    overRate: verdicts.overRate,
    learned: verdicts.learned,
    learnedOverRate: verdicts.learnedOverRate,
    lostMarks: verdicts.lostMarks,
    sent: spans.keepSent ?? 0,
    failed: spans.keepFailed ?? 0,
    recalled: spans.recalled ?? 0,
    historyBytes: spans.historyBytes ?? 0,
  };
}

/** By `sampledByWords`, without zeros. */
function byWord(counts: Float64Array): Record<string, number> {
  const words: Record<string, number> = {};
  for (const [by, count] of counts.entries()) {
    const word = sampledByWords[by];
    if (word !== undefined && count > 0) words[word] = count;
  }
  return words;
}

/** Adds the families to a page. */
export function addKeepMetrics(text: MetricText, report: KeepReport): void {
  const add = (
    name: string,
    type: 'counter' | 'gauge',
    help: string,
    samples: Readonly<Record<string, number>> | number,
    label = 'by',
  ) => {
    text.family(name, type, help);
    if (typeof samples === 'number') text.sample(name, '', samples);
    else {
      for (const [word, count] of Object.entries(samples)) {
        text.sample(name, `${label}="${word}"`, count);
      }
    }
  };
  const kept = 'Traces that a verdict after their begin has chosen here, by reason.';
  add('tracecar_kept_traces_total', 'counter', kept, report.kept);
  const refused = 'Traces that would have been but for the budget of their route, by reason.';
  add('tracecar_keep_refused_total', 'counter', refused, report.refused);
  const { received, known, overRate, sent, failed } = report;
  const messages = { received: received - known, known, refused: overRate, sent, failed };
  const ids = 'Trace ids in keep messages: of peers and to peers.';
  add('tracecar_keep_ids_total', 'counter', ids, messages, 'result');
  const answers = { taken: report.learned, refused: report.learnedOverRate };
  const learned = 'Traces that were to be kept because an answer of an upstream said so.';
  add('tracecar_keep_answers_total', 'counter', learned, answers, 'result');
  const recalled = 'Spans of requests that had ended before their trace was kept.';
  add('tracecar_spans_recalled_total', 'counter', recalled, report.recalled);
  const lost = 'Marks of kept traces that went before their time; such traces may be incomplete.';
  add('tracecar_keep_marks_lost_total', 'counter', lost, report.lostMarks);
  const bytes = 'Memory for requests of the last 30 s, from which a trace is recalled.';
  add('tracecar_history_bytes', 'gauge', bytes, report.historyBytes);
}
