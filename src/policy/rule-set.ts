/**
 * Rule sets: all rules with one effect, found by what they ask for, so that a thousand of them cost what
 * a few do.
 *
 *   rule ──► the part that fewest others share:  principal · namespace · account · address · host · path
 *   call ──► the rules under its own principal, namespace, ... and those that ask for none of these
 *
 * A rule stands under each value that it names exactly (of a path also under prefixes), so of those that
 * are not looked at none can hold.
 */

import type {
  AddressRange,
  AuthorizationRule,
  PathPattern,
  TextPattern,
} from '../model/security.ts';
import type { Caller } from './caller.ts';
import { type AuthorizedRequest, type CompiledPolicy, CompiledRule } from './compiled-rule.ts';
import { exactTexts, Ipv4Index, ipv4Number } from './pattern-set.ts';

const parts = ['principal', 'namespace', 'serviceAccount', 'address', 'host', 'path'] as const;
type Part = (typeof parts)[number];

/** Under which keys a rule stands, by the part of it. */
type Keys = Partial<Record<Part, readonly Key[]>>;

interface Key {
  readonly text: string;
  readonly isPrefix: boolean;
  /** Of the part `address`. */
  readonly range?: AddressRange;
}

/** In the order of their policies. */
type Bucket = CompiledRule[];

export class RuleSet {
  readonly isEmpty: boolean;
  readonly #all: readonly CompiledRule[];
  readonly #byPart: Readonly<Record<Part, Map<string, Bucket>>>;
  readonly #byRange = new Ipv4Index<Bucket>();
  readonly #byPrefix = new Map<string, Bucket>();
  readonly #prefixLengths: readonly number[];
  readonly #others: Bucket = [];

  constructor(policies: readonly CompiledPolicy[]) {
    const rules = policies.flatMap((owner) =>
      owner.policy.rules.map((rule) => ({
        keys: keysOf(rule),
        compiled: new CompiledRule(rule, owner),
      })),
    );
    this.isEmpty = policies.length === 0;
    this.#all = rules.map(({ compiled }) => compiled);
    this.#byPart = {
      principal: new Map(),
      namespace: new Map(),
      serviceAccount: new Map(),
      address: new Map(),
      host: new Map(),
      path: new Map(),
    };
    const counts = countKeys(rules.map(({ keys }) => keys));
    for (const { keys, compiled } of rules) this.#place(compiled, keys, counts);
    this.#prefixLengths = [...new Set([...this.#byPrefix.keys()].map(({ length }) => length))];
  }

  /**
   * The first policy with a rule that holds.
   *
   * @param request undefined: a connection that is relayed unread
   */
  find(caller: Caller, request: AuthorizedRequest | undefined): CompiledPolicy | undefined {
    // Where something is not known, a rule may hold without being what it is found by.
    if (request === undefined || request.hostname === '' || caller.address.length === 0) {
      return first(this.#all, caller, request, undefined);
    }
    const { principal, namespace, serviceAccount, host, path } = this.#byPart;
    let found = first(this.#others, caller, request, undefined);
    if (principal.size > 0) found = first(principal.get(caller.principal), caller, request, found);
    if (namespace.size > 0) found = first(namespace.get(caller.namespace), caller, request, found);
    if (serviceAccount.size > 0) {
      found = first(serviceAccount.get(caller.serviceAccount), caller, request, found);
    }
    if (this.#byRange.size > 0 && caller.address.length === 4) {
      const number = ipv4Number(caller.address);
      for (let place = 0; place < this.#byRange.size; place++) {
        found = first(this.#byRange.get(place, number), caller, request, found);
      }
    }
    if (host.size > 0) found = first(host.get(request.hostname), caller, request, found);
    if (path.size > 0) found = first(path.get(request.path), caller, request, found);
    for (let index = 0; index < this.#prefixLengths.length; index++) {
      const bucket = this.#byPrefix.get(request.path.slice(0, this.#prefixLengths[index]));
      found = first(bucket, caller, request, found);
    }
    return found;
  }

  #place(rule: CompiledRule, keys: Keys, counts: ReadonlyMap<string, number>): void {
    let best: Part | undefined;
    let fewest = Number.POSITIVE_INFINITY;
    for (const part of parts) {
      const shared = keys[part]?.map((key) => counts.get(countKey(part, key))!);
      if (shared === undefined || Math.max(...shared) >= fewest) continue;
      best = part;
      fewest = Math.max(...shared);
    }
    if (best === undefined) {
      this.#others.push(rule);
      return;
    }
    for (const { text, isPrefix, range } of keys[best]!) {
      const buckets = isPrefix ? this.#byPrefix : this.#byPart[best];
      const bucket = buckets.get(text) ?? [];
      if (bucket.at(-1) !== rule) bucket.push(rule);
      buckets.set(text, bucket);
      if (range !== undefined) this.#byRange.set(range, bucket);
    }
  }
}

/** The first that holds of a policy that stands before `found`'s; else `found`. */
function first(
  bucket: readonly CompiledRule[] | undefined,
  caller: Caller,
  request: AuthorizedRequest | undefined,
  found: CompiledPolicy | undefined,
): CompiledPolicy | undefined {
  if (bucket === undefined) return found;
  const before = found === undefined ? Number.POSITIVE_INFINITY : found.rank;
  for (let index = 0; index < bucket.length; index++) {
    const rule = bucket[index]!;
    if (rule.owner.rank >= before) return found;
    if (rule.holds(caller, request)) return rule.owner;
  }
  return found;
}

function keysOf({ from, to }: AuthorizationRule): Keys {
  const keys: Partial<Record<Part, readonly Key[]>> = {};
  const put = (part: Part, found: readonly Key[] | undefined) => {
    if (found !== undefined) keys[part] = found;
  };
  put('principal', exactOfAll(from.map(({ principals }) => principals.values)));
  put('namespace', exactOfAll(from.map(({ namespaces }) => namespaces.values)));
  put('serviceAccount', exactOfAll(from.map(({ serviceAccounts }) => serviceAccounts.values)));
  put('address', rangesOfAll(from.map(({ ipBlocks }) => ipBlocks.values)));
  put(
    'host',
    exactOfAll(
      to.map(({ hosts }) => hosts.values),
      /^[^:]+$/,
    ),
  );
  put('path', pathsOfAll(to.map(({ paths }) => paths.values)));
  return keys;
}

/** One of these texts has to be there; undefined: others would do. */
function exactOfAll(
  lists: readonly (readonly TextPattern[])[],
  allowed = /./,
): readonly Key[] | undefined {
  const texts = lists.map(exactTexts);
  if (texts.length === 0 || texts.includes(undefined)) return undefined;
  const all = texts.flatMap((each) => each ?? []);
  if (!all.every((text) => allowed.test(text))) return undefined;
  return all.map((text) => ({ text, isPrefix: false }));
}

/** Ranges of IPv6 are rare: rules with one are gone through. */
function rangesOfAll(lists: readonly (readonly AddressRange[])[]): readonly Key[] | undefined {
  const isIndexed = lists.every(
    (list) => list.length > 0 && list.every(({ bytes }) => bytes.length === 4),
  );
  if (lists.length === 0 || !isIndexed) return undefined;
  return lists.flat().map((range) => {
    const text = `${range.bytes.join('.')}/${range.prefix}`;
    return { text, isPrefix: false, range };
  });
}

function pathsOfAll(lists: readonly (readonly PathPattern[])[]): readonly Key[] | undefined {
  if (lists.length === 0) return undefined;
  const keys: Key[] = [];
  for (const list of lists) {
    if (list.length === 0) return undefined;
    for (const each of list) {
      if (each.kind !== 'exact' && each.kind !== 'prefix') return undefined;
      keys.push({ text: each.value, isPrefix: each.kind === 'prefix' });
    }
  }
  return keys;
}

function countKeys(all: readonly Keys[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const keys of all) {
    for (const part of parts) {
      for (const key of keys[part] ?? []) {
        const name = countKey(part, key);
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
  }
  return counts;
}

function countKey(part: Part, { text, isPrefix }: Key): string {
  return `${part} ${isPrefix} ${text}`;
}
