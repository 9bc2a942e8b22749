/**
 * What a list says of a trace, from the rows of the index alone.
 */

import { RowCursor } from './span-row.ts';
import type { TraceEntry } from './trace-index.ts';
import type { TraceStore } from './trace-store.ts';
import type { TraceSummary } from './view-answers.ts';

/** The trace's first span is its root, or its earliest when it has none. */
export function summarizeTrace(store: TraceStore, trace: TraceEntry): TraceSummary {
  const row = new RowCursor(store.index.arena);
  const services = new Map<string, number>();
  let service = '';
  let name = '';
  let hasRoot = false;
  let firstUs = Number.POSITIVE_INFINITY;
  let startUs = Number.POSITIVE_INFINITY;
  let endUs = 0;
  for (let more = row.first(trace); more; more = row.next()) {
    const owner = store.origins.byId(row.originId).service;
    services.set(owner, (services.get(owner) ?? 0) + 1);
    startUs = Math.min(startUs, row.startUs);
    endUs = Math.max(endUs, row.startUs + row.durationNs / 1000);
    const isRoot = !row.hasParent;
    if (isRoot === hasRoot ? row.startUs < firstUs : isRoot) {
      hasRoot = isRoot;
      firstUs = row.startUs;
      service = owner;
      name = store.names.textOf(row.nameId);
    }
  }
  return {
    id: trace.traceId,
    service,
    name,
    startUs,
    durationUs: endUs - startUs,
    spans: trace.spans,
    errors: trace.errors,
    services: [...services].map(([each, spans]) => ({ service: each, spans })),
    hasRoot,
  };
}
