/**
 * The pages for a browser: what this is, the latest traces, and one trace as a text waterfall.
 *
 * Plain HTML without script; the web page proper comes later. Every text that came from a span goes
 * through `escapeHtml`, and the content security policy forbids whatever would slip through.
 */

import type { ServerResponse } from 'node:http';
import { answer } from './http-listener.ts';
import type { DecodedSpan } from './otlp-decode.ts';
import { statusError } from './otlp-json.ts';
import { traceJson } from './query-api.ts';
import { readStoredTrace } from './stored-trace.ts';
import { safeText } from './terminal-text.ts';
import { printDuration } from './time-bar.ts';
import type { StoreCounts, TraceEntry, TraceStore } from './trace-store.ts';
import { printWaterfall } from './waterfall.ts';

const listedTracesMax = 50;
const waterfallColumns = 150;

/** `GET /`: the latest traces, newest first. */
export function answerIndex(response: ServerResponse, store: TraceStore): void {
  const rows = store.newestFirst().slice(0, listedTracesMax).map(traceRow);
  const table =
    rows.length === 0
      ? '<p>No traces yet. Point a sender here: <code>OTEL_EXPORTER_OTLP_ENDPOINT</code> of a ' +
        'sidecar is <code>http://localhost:4318</code> by default, where this program listens ' +
        'by default.</p>'
      : `<table><tr><th>trace<th>begins with<th>started<th>took<th>spans<th>errors</tr>
${rows.join('\n')}</table>`;
  const body = `<h1>Traces</h1>
<p>This is <code>tracecar view</code>: it receives traces (OTLP over HTTP, JSON), keeps them in
memory and answers Jaeger's query API v3 (<a href="/api/v3/services">/api/v3/services</a>). In a
terminal: <code>tracecar view --trace ID</code>.</p>
${table}
<p>${escapeHtml(storeSentence(store.counts()))}</p>`;
  answerHtml(response, 200, 'traces', body);
}

/** `GET /trace/ID`: the waterfall, or a page that says why there is none. */
export function answerTracePage(
  response: ServerResponse,
  traceId: string,
  trace: TraceEntry | undefined,
): void {
  if (trace === undefined) {
    const body =
      `<h1>Not here</h1><p>The store has no trace <code>${escapeHtml(traceId.slice(0, 64))}</code>: ` +
      'not sampled, not exported yet, or dropped for newer ones.</p><p><a href="/">Traces</a></p>';
    answerHtml(response, 404, 'no such trace', body);
    return;
  }
  const stored = readStoredTrace(trace.traceId, JSON.parse(traceJson([trace], 0).toString()));
  const options = { width: waterfallColumns, color: false };
  const picture = stored === undefined ? '' : printWaterfall(stored, options);
  const body = `<p><a href="/">Traces</a> &middot;
<a href="/api/v3/traces/${trace.traceId}">as OTLP JSON</a></p>
<pre>${escapeHtml(picture)}</pre>`;
  answerHtml(response, 200, `trace ${trace.traceId}`, body);
}

/** Text for HTML, between tags or in a quoted attribute; control characters are replaced. */
function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function traceRow(trace: TraceEntry): string {
  const { first, service, startUs, endUs, spans, errors } = summarize(trace);
  const name = escapeHtml(safeText(`${service} ${first.name}`, false).slice(0, 200));
  const started = startUs > 0 && startUs < 8e18 ? new Date(startUs / 1000).toISOString() : '';
  return (
    `<tr><td><a href="/trace/${trace.traceId}"><code>${trace.traceId}</code></a><td>${name}` +
    `<td>${started}<td>${printDuration((endUs - startUs) * 1000, false)}<td>${spans}` +
    `<td>${errors === 0 ? '' : errors}</tr>`
  );
}

/** What the list says of a trace: `first` is its root, or its earliest span when it has none. */
function summarize(trace: TraceEntry) {
  let first: DecodedSpan | undefined;
  let service = '';
  let startUs = Number.POSITIVE_INFINITY;
  let endUs = 0;
  let errors = 0;
  for (const [origin, spans] of trace.groups) {
    for (const span of spans) {
      startUs = Math.min(startUs, span.startUs);
      endUs = Math.max(endUs, span.startUs + span.durationNs / 1000);
      if (span.statusCode === statusError) errors++;
      if (first === undefined || comesBefore(span, first)) {
        first = span;
        service = origin.service;
      }
    }
  }
  return { first: first!, service, startUs, endUs, spans: trace.spanIds.size, errors };
}

function comesBefore(span: DecodedSpan, other: DecodedSpan): boolean {
  const isRoot = span.parentSpanId === '';
  if (isRoot !== (other.parentSpanId === '')) return isRoot;
  return span.startUs < other.startUs;
}

function storeSentence(counts: StoreCounts): string {
  const mib = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
  const dropped =
    counts.evictedTraces === 0
      ? 'nothing has been dropped'
      : `${counts.evictedTraces} older traces (${counts.evictedSpans} spans) have been dropped`;
  return (
    `${counts.traces} traces, ${counts.spans} spans, about ${mib(counts.bytes)} of ` +
    `${mib(counts.bytesMax)}; ${dropped}.`
  );
}

const style =
  'body{font:14px system-ui,sans-serif;margin:2em;max-width:110em}' +
  'pre,code{font-family:ui-monospace,monospace}pre{line-height:1.2;overflow-x:auto}' +
  'table{border-collapse:collapse}th,td{text-align:left;padding:.2em 1em .2em 0}';

function answerHtml(response: ServerResponse, status: number, title: string, body: string): void {
  const html = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)} - tracecar view</title>
<style>${style}</style></head><body>
${body}
</body></html>
`;
  answer(response, status, 'text/html; charset=utf-8', html, {
    'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    'referrer-policy': 'no-referrer',
  });
}
