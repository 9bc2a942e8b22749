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
} from '../../model/routing-table.ts';
import { FactHistory, type FactKind } from './fact-history.ts';
import { spanKeys } from './span-keys.ts';

/** A tag as the worker needs it: the environment has been read. */
export interface TagFacts {
  readonly name: string;
  /** What it is when the record brings no value; empty: then it is left out. */
  readonly value: string;
}

/**
 * Of all rules, in three lists of one length: the hot thread makes them, of ten thousand rules in 1 ms;
 * what they say is made out where they are looked up.
 */
export interface RuleOrigins {
  readonly routes: readonly string[];
  readonly indexes: readonly number[];
  readonly origins: readonly string[];
}

/** The facts of one table; survives structured cloning. */
export interface RulesMessage {
  readonly generation: number;
  readonly origins: RuleOrigins;
  readonly tags: Readonly<Record<Direction, readonly TagFacts[]>>;
  /** Undefined: OTEL_TRACES_SAMPLER says. */
  readonly ratios: Readonly<Record<Direction, number | undefined>>;
}

/** Variables of the process that tags may name. */
export type TagEnvironment = Readonly<Record<string, string | undefined>>;

/** What the worker has to be told about the rules of `table`. */
export function rulesMessage(table: RoutingTable, environment: TagEnvironment = {}): RulesMessage {
  const { inbound, outbound } = table.tracing;
  return {
    generation: table.generation,
    origins: originsOf(table),
    tags: {
      inbound: tagFacts(inbound.tags, environment),
      outbound: tagFacts(outbound.tags, environment),
    },
    ratios: { inbound: inbound.ratio, outbound: outbound.ratio },
  };
}

function originsOf({ listeners, capture }: RoutingTable): RuleOrigins {
  const routes: string[] = [];
  const indexes: number[] = [];
  const origins: string[] = [];
  const seen = new Set<readonly (Rule | ConnectionRule)[]>();
  const add = (rules: readonly (Rule | ConnectionRule)[]) => {
    // Listeners share lists.
    if (seen.has(rules)) return;
    seen.add(rules);
    for (const { route, index, origin } of rules) {
      routes.push(route);
      indexes.push(index);
      origins.push(origin);
    }
  };
  const all: readonly Listener[] = [
    ...listeners,
    ...(capture?.outbound ?? []),
    ...(capture?.inbound ?? []),
  ];
  for (const { virtualHosts } of all) for (const { rules } of virtualHosts) add(rules);
  for (const { connectionRules } of capture?.destinations ?? []) add(connectionRules);
  return { routes, indexes, origins };
}

/** `reviews.yaml:9:7` by rule; empty where two places claim one. */
function placesOf({ routes, indexes, origins }: RuleOrigins): ReadonlyMap<string, string> {
  const places = new Map<string, string>();
  for (const [at, route] of routes.entries()) {
    const key = keyOf(route, indexes[at]!);
    const origin = origins[at]!;
    const place = origin.slice(origin.lastIndexOf('/') + 1);
    const known = places.get(key);
    places.set(key, known === undefined || known === place ? place : '');
  }
  return places;
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

const placeKind: FactKind<string> = {
  isSame: (one, other) => one === other,
  bytesOf: (place) => place.length,
};

/** What a whole table says. */
type TableChoices = Pick<RulesMessage, 'tags' | 'ratios'>;

const choicesKind: FactKind<TableChoices> = {
  isSame: (one, other) => JSON.stringify(one) === JSON.stringify(other),
  bytesOf: (choices) => 2 * JSON.stringify(choices).length,
};

const WHOLE = '';
const noTags: readonly TagFacts[] = [];

/** The facts of the newest table and of those before it. */
export class RuleBook {
  /** Changes with every `add`: what was found before may not be found, or differ. */
  edition = 0;
  readonly #places = new FactHistory<string>(placeKind);
  readonly #choices = new FactHistory<TableChoices>(choicesKind);

  /** A table with a generation that is known already replaces it. */
  add({ generation, origins, tags, ratios }: RulesMessage): void {
    this.edition++;
    this.#places.add(generation, placesOf(origins));
    this.#choices.add(generation, new Map([[WHOLE, { tags, ratios }]]));
  }

  /** `reviews.yaml:9:7`; undefined when the table is not remembered, or the rule not one alone. */
  findOrigin(generation: number, route: string, index: number): string | undefined {
    return this.#places.find(generation, keyOf(route, index)) || undefined;
  }

  /** In the order of `TracingRule.tags`; a name that is empty is not to be used. */
  tagsOf(generation: number, direction: Direction): readonly TagFacts[] {
    return this.#choices.find(generation, WHOLE)?.tags[direction] ?? noTags;
  }

  /**
   * The ratio of new traces, 0 to 1: `usual` when no resource sets one; undefined when the table is not
   * remembered.
   */
  ratioOf(generation: number, direction: Direction, usual: number): number | undefined {
    if (this.#choices.knows(generation) === false) return undefined;
    return this.#choices.find(generation, WHOLE)?.ratios[direction] ?? usual;
  }
}

function keyOf(route: string, index: number): string {
  return `${index} ${route}`;
}
