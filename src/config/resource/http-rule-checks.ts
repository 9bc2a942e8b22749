/**
 * HTTP rule checks: what is wrong with a rule, or between the rules of one VirtualService, although
 * each field is right: weights that choose nothing, matches that repeat, rules behind a catch-all.
 */

import type { NamedMatch, StringMatch } from '../../model/routing-table.ts';
import { placeText } from '../syntax/complaints.ts';
import type { Cursor } from '../syntax/cursor.ts';
import type { Entry, Located } from '../syntax/schema.ts';

export interface RequestMatchShape {
  readonly uri: StringMatch | undefined;
  readonly method: StringMatch | undefined;
  readonly authority: StringMatch | undefined;
  readonly headers: readonly Entry<StringMatch>[] | undefined;
  readonly queryParams: readonly Entry<StringMatch>[] | undefined;
}

interface RouteShape extends Located {
  readonly weight: number | undefined;
  /** No mistake inside. */
  readonly isSound: boolean;
}

interface WeightedShape extends Located {
  readonly route: readonly RouteShape[];
}

interface RuleShape extends WeightedShape {
  readonly name: string | undefined;
  readonly match:
    | readonly (RequestMatchShape & Located & { readonly isSound: boolean })[]
    | undefined;
}

/** Weights of one rule of any kind. A single destination without a weight takes everything, as in Istio. */
export function checkWeights(rule: WeightedShape, cursor: Cursor): void {
  const { complaints } = cursor.reading;
  const isSingle = rule.route.length === 1;
  let sum = 0;
  let isCertain = true;
  for (const each of rule.route) {
    if (each.weight !== undefined) sum += each.weight;
    else if (isMisspelt(each)) isCertain = false;
    else if (isSingle) sum = 1;
  }
  const routeAt = { ...rule.at, path: `${rule.at.path}.route`, offset: rule.offsets.route! };
  if (sum === 0 && isCertain && isWholeList(rule, cursor)) {
    const message = 'Every weight of this rule is 0: no destination would get a request';
    complaints.add('weights-all-zero', routeAt, message, 'Give a destination a weight above 0.');
    return;
  }
  for (const each of rule.route) {
    if (isSingle || each.weight !== undefined || isMisspelt(each)) continue;
    const message = 'This destination has no weight beside others that have one: it gets nothing';
    complaints.add('weight-absent', each.at, message, 'Add `weight:`; `weight: 0` says it openly.');
  }
}

/** It may have a weight which could not be read, or stands under a name that has been complained of. */
function isMisspelt(route: RouteShape): boolean {
  return 'weight' in route.offsets || !route.isSound;
}

/** False when a destination was left out for a mistake of its own: its weight is not known here. */
function isWholeList(rule: WeightedShape, cursor: Cursor): boolean {
  const written = cursor
    .entries()
    ?.find((entry) => entry.key === 'route')
    ?.value.items();
  return written?.length === rule.route.length;
}

/** Rules of one VirtualService against each other: the first one that matches decides. */
export function checkHttpRules(rules: readonly RuleShape[], cursor: Cursor): void {
  const { complaints } = cursor.reading;
  const seen = new Map<string, RuleShape>();
  let catchAll: RuleShape | undefined;
  for (const rule of rules) {
    const alternatives = matchKeys(rule);
    const repeated = alternatives.find((each) => seen.has(each.key));
    if (repeated !== undefined) {
      const first = seen.get(repeated.key)!;
      const message =
        `${nameOf(rule)} has the same match as ${nameOf(first)} ` +
        `(${placeText(first.at)}), which always answers first`;
      const fix = 'Join the two rules, or make one match more precise.';
      complaints.add('same-match', repeated.at, message, fix);
    } else if (catchAll !== undefined) {
      const message = `${nameOf(rule)} is never reached: ${nameOf(catchAll)} takes everything`;
      const fix = 'Move the rule without a match to the end.';
      complaints.add('unreachable-rule', rule.at, message, fix);
    }
    for (const { key } of alternatives) {
      if (!seen.has(key)) seen.set(key, rule);
    }
    if (alternatives.some(({ key }) => key === CATCH_ALL)) catchAll ??= rule;
  }
}

const CATCH_ALL = matchKey({
  uri: undefined,
  method: undefined,
  authority: undefined,
  headers: undefined,
  queryParams: undefined,
});

/** One key for each alternative of a rule's match; equal keys mean equal conditions. */
function matchKeys(rule: RuleShape): { readonly key: string; readonly at: Located['at'] }[] {
  // Of a rule whose matches have mistakes nothing can be said.
  if (rule.match === undefined) {
    return 'match' in rule.offsets ? [] : [{ key: CATCH_ALL, at: rule.at }];
  }
  return rule.match.flatMap((match) =>
    match.isSound ? [{ key: matchKey(match), at: match.at }] : [],
  );
}

function matchKey(match: RequestMatchShape): string {
  const { uri, method, authority } = match;
  const isAnyPath = uri?.kind === 'prefix' && uri.value === '/';
  return JSON.stringify([
    isAnyPath ? null : textKey(uri),
    textKey(method),
    textKey(authority),
    namedKeys(toNamed(match.headers, true)),
    namedKeys(toNamed(match.queryParams, false)),
  ]);
}

function textKey(match: StringMatch | undefined): readonly string[] | null {
  if (match === undefined) return null;
  if (match.kind === 'present') return ['present'];
  return [match.kind, match.kind === 'regex' ? match.source : match.value];
}

function namedKeys(named: readonly NamedMatch[]): readonly string[] {
  return named.map(({ name, value }) => JSON.stringify([name, textKey(value)])).toSorted();
}

/** Entries of `headers` (names compared in lower case) or `queryParams` as the model has them. */
export function toNamed(
  entries: readonly Entry<StringMatch>[] | undefined,
  isHeader: boolean,
): readonly NamedMatch[] {
  return (entries ?? []).map(({ key, value }) => ({
    name: isHeader ? key.toLowerCase() : key,
    value,
  }));
}

function nameOf(rule: RuleShape): string {
  return rule.name === undefined ? rule.at.path : `${rule.at.path} (${rule.name})`;
}
