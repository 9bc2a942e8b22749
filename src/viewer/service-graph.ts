/**
 * The service graph: edges from the callers' counters, nodes from the callees' own; where there are no
 * counters, what spans say.
 *
 * A callee has two names: what its caller calls it (the Kubernetes service `reviews`) and what it calls
 * itself (the deployment `reviews-v1`). Spans that were exported show which belong together; then the
 * second is part of the first.
 */

import { metricAttributes } from '../model/metric-names.ts';
import { tokenOf } from './attribute-tokens.ts';
import { type Dependency, findDependencies } from './dependencies.ts';
import type { MetricStore } from './metric-store.ts';
import { figuresOf, RequestTally } from './request-tally.ts';
import { RowCursor } from './span-row.ts';
import type { TraceStore } from './trace-store.ts';
import type { GraphAnswer, GraphEdge, GraphNode } from './view-answers.ts';

/** Everything that was called in the last `seconds`. */
export function drawGraph(metrics: MetricStore, store: TraceStore, seconds: number): GraphAnswer {
  const window = metrics.window(seconds);
  const counted = [...metrics.rows()]
    .map((row) => ({ row, tally: row.tally(window.from, window.to) }))
    .filter(({ tally }) => tally.requests > 0);
  const aliases = new AliasFinder(
    new Set(counted.filter(({ row }) => row.kind === 'client').map(({ row }) => row.peer)),
  );
  const bySpans = findSpanEdges(store, metrics, seconds, aliases);
  const nodes = new TallyMap();
  const edges = new TallyMap();
  for (const { row, tally } of counted) {
    const service = aliases.nameOf(row.service);
    if (row.kind === 'server') nodes.add([service], tally);
    else if (row.peer !== '') edges.add([service, row.peer], tally);
  }
  const spanEdges = new TallyMap();
  for (const { parent, child, calls, errors } of bySpans) {
    const tally = new RequestTally();
    tally.requests = calls;
    tally.errors = errors;
    const ends = [aliases.nameOf(parent), aliases.nameOf(child)];
    if (!edges.has(ends)) spanEdges.add(ends, tally);
  }
  for (const { names } of [...edges.entries(), ...spanEdges.entries()]) {
    for (const name of names) nodes.add([name], noRequests);
  }
  const edgeOf = ({ names, tally }: NamedTally, source: GraphEdge['source']): GraphEdge => ({
    from: names[0]!,
    to: names[1]!,
    source,
    ...figuresOf(tally, source === 'counters' ? window.seconds : 0),
    ...(source === 'counters' ? {} : { meanMs: null }),
  });
  return {
    seconds,
    untilUs: metrics.untilUs,
    nodes: nodes
      .entries()
      .map(
        ({ names, tally }): GraphNode => ({
          service: names[0]!,
          ...figuresOf(tally, window.seconds),
        }),
      )
      .sort((one, other) => compare(one.service, other.service)),
    edges: [
      ...edges.entries().map((entry) => edgeOf(entry, 'counters')),
      ...spanEdges.entries().map((entry) => edgeOf(entry, 'spans')),
    ].sort((one, other) => compare(one.from, other.from) || compare(one.to, other.to)),
  };
}

const noRequests = new RequestTally();

interface NamedTally {
  readonly names: readonly string[];
  readonly tally: RequestTally;
}

/** Tallies by one or two names. */
class TallyMap {
  readonly #entries = new Map<string, NamedTally>();

  add(names: readonly string[], tally: RequestTally): void {
    const key = JSON.stringify(names);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { names, tally: new RequestTally() };
      this.#entries.set(key, entry);
    }
    entry.tally.add(tally);
  }

  has(names: readonly string[]): boolean {
    return this.#entries.has(JSON.stringify(names));
  }

  entries(): readonly NamedTally[] {
    return [...this.#entries.values()];
  }
}

/** Learns while spans are walked over which peer's name a CLIENT span used. */
class AliasFinder {
  /** Own name to the name that callers use, where they differ. */
  readonly #names = new Map<string, string>();
  /** By the token of its attribute. */
  readonly #peersByToken: ReadonlyMap<number, string>;
  readonly #peers: ReadonlySet<string>;

  constructor(peers: ReadonlySet<string>) {
    this.#peers = peers;
    this.#peersByToken = new Map(
      [...peers].map((peer) => [tokenOf(metricAttributes.peerService, peer), peer]),
    );
  }

  /** The peer that this CLIENT span called by its name; undefined: none that has counters. */
  peerOf(client: RowCursor): string | undefined {
    return client.firstOf(this.#peersByToken);
  }

  learn(own: string, peer: string): void {
    // A name that others call it by too is no other name: two routes may lead to one service.
    if (own !== peer && !this.#peers.has(own)) this.#names.set(own, peer);
  }

  /** What a service is called in the graph. */
  nameOf(own: string): string {
    return this.#names.get(own) ?? own;
  }
}

/** Pairs that only spans know: their caller has no counters of them. Learns aliases on the way. */
function findSpanEdges(
  store: TraceStore,
  metrics: MetricStore,
  seconds: number,
  aliases: AliasFinder,
): readonly Dependency[] {
  const fromUs =
    metrics.untilUs === null
      ? newestStartUs(store) - seconds * 1e6
      : metrics.slotStartUs(metrics.window(seconds).from);
  return findDependencies(store, fromUs, Number.POSITIVE_INFINITY, (client, child) => {
    const peer = aliases.peerOf(client);
    if (peer === undefined) return true;
    aliases.learn(store.origins.byId(child.originId).service, peer);
    return false;
  });
}

/** Without any report there is no now; the newest trace stands for it. */
function newestStartUs(store: TraceStore): number {
  const row = new RowCursor(store.index.arena);
  for (const trace of store.newestFirst()) if (row.first(trace)) return row.startUs;
  return 0;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
