/**
 * What spans say of a table's rules beyond their names: where each is written, which tags the user wants
 * on spans, and the ratio of new traces; by generation, like the facts of clusters.
 *
 * A record names its rule by route and index only. Two rules of a table that share both and stand at
 * different places have no origin here: a span says less, never wrong things.
 */

import type {
  ConnectionRule,
  CustomTag,
  Direction,
  Listener,
  RoutingTable,
  Rule,
} from '../model/routing-table.ts';
import { spanKeys } from './span-keys.ts';

/** A tag as the worker needs it: the environment has been read. */
export interface TagFacts {
  readonly name: string;
  /** What it is when the record brings no value; empty: then it is left out. */
  readonly value: string;
}

/** The facts of one table; survives structured cloning. */
export interface RulesMessage {
  readonly generation: number;
  /** Route, index, origin. */
  readonly origins: readonly (readonly [route: string, index: number, origin: string])[];
  readonly tags: Readonly<Record<Direction, readonly TagFacts[]>>;
  /** Undefined: OTEL_TRACES_SAMPLER says. */
  readonly ratios: Readonly<Record<Direction, number | undefined>>;
}

/** Variables of the process that tags may name. */
export type TagEnvironment = Readonly<Record<string, string | undefined>>;

/** What the worker has to be told about the rules of `table`. */
export function rulesMessage(table: RoutingTable, environment: TagEnvironment = {}): RulesMessage {
  const origins = new Map<string, readonly [string, number, string]>();
  for (const { route, index, origin } of rulesOf(table)) {
    const key = keyOf(route, index);
    const place = origin.slice(origin.lastIndexOf('/') + 1);
    const known = origins.get(key);
    const isSame = known === undefined || known[2] === place;
    origins.set(key, [route, index, isSame ? place : '']);
  }
  const { inbound, outbound } = table.tracing;
  return {
    generation: table.generation,
    origins: [...origins.values()].filter(([, , origin]) => origin !== ''),
    tags: {
      inbound: tagFacts(inbound.tags, environment),
      outbound: tagFacts(outbound.tags, environment),
    },
    ratios: { inbound: inbound.ratio, outbound: outbound.ratio },
  };
}

function* rulesOf(table: RoutingTable): Generator<Rule | ConnectionRule> {
  const { listeners, capture } = table;
  const all: readonly Listener[] = [
    ...listeners,
    ...(capture?.outbound ?? []),
    ...(capture?.inbound ?? []),
  ];
  for (const { virtualHosts } of all) for (const { rules } of virtualHosts) yield* rules;
  for (const { connectionRules } of capture?.destinations ?? []) yield* connectionRules;
}

function tagFacts(tags: readonly CustomTag[], environment: TagEnvironment): TagFacts[] {
  return tags.map((tag) => {
    // A key of ours has one type and meaning for ever.
    const name = tag.name in spanKeys ? '' : tag.name;
    if (tag.kind === 'literal') return { name, value: tag.value };
    if (tag.kind === 'header') return { name, value: tag.otherwise };
    return { name, value: environment[tag.variable] ?? tag.otherwise };
  });
}

interface Facts {
  readonly origins: ReadonlyMap<string, string>;
  readonly message: RulesMessage;
}

const GENERATIONS_KEPT = 4;
const noTags: readonly TagFacts[] = [];

/** The facts of the newest tables. */
export class RuleBook {
  /** Changes with every `add`: what was found before may not be found, or differ. */
  edition = 0;
  readonly #tables = new Map<number, Facts>();

  /** A table with a generation that is known already replaces it. */
  add(message: RulesMessage): void {
    this.edition++;
    const { generation } = message;
    const origins = message.origins.map(
      ([route, index, origin]) => [keyOf(route, index), origin] as const,
    );
    this.#tables.delete(generation);
    this.#tables.set(generation, { origins: new Map(origins), message });
    for (const oldest of this.#tables.keys()) {
      if (this.#tables.size <= GENERATIONS_KEPT) break;
      this.#tables.delete(oldest);
    }
  }

  /** `reviews.yaml:9:7`; undefined when the table is not one of the newest, or the rule not one alone. */
  findOrigin(generation: number, route: string, index: number): string | undefined {
    return this.#tables.get(generation)?.origins.get(keyOf(route, index));
  }

  /** In the order of `TracingRule.tags`; a name that is empty is not to be used. */
  tagsOf(generation: number, direction: Direction): readonly TagFacts[] {
    return this.#tables.get(generation)?.message.tags[direction] ?? noTags;
  }

  /** Undefined when no resource sets one. */
  ratioOf(generation: number, direction: Direction): number | undefined {
    return this.#tables.get(generation)?.message.ratios[direction];
  }
}

function keyOf(route: string, index: number): string {
  return `${index} ${route}`;
}
