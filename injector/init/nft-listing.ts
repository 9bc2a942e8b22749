/**
 * Reads `nft -j list table` and says how the kernel's table differs from the one that should be there.
 *
 * A rule's JSON becomes a line in nft's own words; what it does not know becomes the JSON itself, which
 * no expected rule equals. Numbers and names of protocols are the same, as releases of nft print either.
 */

import { readPrefixList } from './prefix-list.ts';
import { memberDifferences, ruleDifferences, type Span, spanOfPrefix } from './rule-differences.ts';
import { type NftChain, type NftSet, type NftTable, natPriority, tableName } from './rules.ts';

/** What nft lists; fields that are not there are undefined. */
interface Item {
  readonly table?: { readonly flags?: unknown };
  readonly set?: { readonly name?: string; readonly type?: unknown; readonly elem?: unknown };
  readonly chain?: Readonly<Record<'name' | 'type' | 'hook' | 'prio' | 'policy', unknown>>;
  readonly rule?: { readonly chain?: string; readonly expr?: unknown };
}

/** One line for each difference; the first says so when `json` is no listing. */
export function nftDifferences(json: string, expected: NftTable): string[] {
  const items = readItems(json);
  if (items === undefined) {
    return ['nft lists the table in no JSON; is this the program of nftables 1.0 or newer?'];
  }
  const lines: string[] = [];
  const flags = items.find(({ table }) => table !== undefined)?.table?.flags;
  if (flags !== undefined) {
    lines.push(`the table ${tableName} has the flag ${[flags].flat().join(', ')}`);
  }
  for (const set of expected.sets) lines.push(...setDifferences(items, set));
  for (const chain of expected.chains) lines.push(...chainDifferences(items, chain));
  const names = new Set(expected.chains.map(({ name }) => name));
  for (const { chain } of items) {
    if (chain === undefined || names.has(String(chain.name))) continue;
    lines.push(`the table ${tableName} has a chain too many: ${chain.name}`);
  }
  return lines;
}

/** Chains of other tables, as `nft -j list chains` names them: `ip nat TRACECAR_IN`. */
export function readChainNames(json: string): string[] {
  return (readItems(json) ?? []).flatMap(({ chain }) => {
    const { family, table, name } = (chain ?? {}) as Record<string, unknown>;
    return chain === undefined ? [] : [`${family} ${table} ${name}`];
  });
}

function readItems(json: string): readonly Item[] | undefined {
  try {
    const { nftables } = JSON.parse(json) as { nftables?: unknown };
    return Array.isArray(nftables) ? (nftables as Item[]) : [];
  } catch {
    return undefined;
  }
}

function setDifferences(items: readonly Item[], { name, type, members }: NftSet): string[] {
  const set = items.find((item) => item.set?.name === name)?.set;
  if (set === undefined) return [`the table ${tableName} lacks its set ${name}`];
  if (set.type !== type) return [`the set ${name} is of type ${set.type}, not ${type}`];
  const found = Array.isArray(set.elem) ? set.elem.map(spanOfElement) : [];
  return memberDifferences(name, members.map(spanOfElement), found);
}

/** `22`, `"22-25"`, `{"range":[22,25]}`, `"10.0.0.1"`, `{"prefix":{"addr":"10.0.0.0","len":8}}`. */
function spanOfElement(element: unknown): Span {
  const { range, prefix } = Object(element) as {
    range?: readonly unknown[];
    prefix?: { addr?: unknown; len?: unknown };
  };
  if (prefix !== undefined) return spanOfText(`${prefix.addr}/${prefix.len}`);
  if (range === undefined) return spanOfText(String(element));
  const [first, last] = [spanOfText(String(range[0])), spanOfText(String(range[1]))];
  return { first: first.first, last: last.last, text: `${range[0]}-${range[1]}` };
}

function spanOfText(text: string): Span {
  const ports = /^(\d+)(?:-(\d+))?$/.exec(text);
  if (ports !== null) {
    return { first: BigInt(ports[1]!), last: BigInt(ports[2] ?? ports[1]!), text };
  }
  const read = readPrefixList(text);
  const prefix = 'prefixes' in read ? read.prefixes[0] : undefined;
  // An element of no kind that we write: it is in no expected range.
  return prefix === undefined ? { first: -1n, last: -1n, text } : spanOfPrefix(prefix, text);
}

function chainDifferences(items: readonly Item[], chain: NftChain): string[] {
  const { name, hook, rules } = chain;
  const found = items.find((item) => item.chain?.name === name)?.chain;
  if (found === undefined) return [`the table ${tableName} lacks its chain ${name}`];
  const lines: string[] = [];
  const is = printHook(found.type, found.hook, found.prio, found.policy);
  const belongs = hook === undefined ? printHook() : printHook('nat', hook, natPriority, 'accept');
  if (is !== belongs) lines.push(`the chain ${name} is of type ${is}, not ${belongs}`);
  const printed = items.flatMap(({ rule }) =>
    rule?.chain === name && Array.isArray(rule.expr) ? [printRule(rule.expr)] : [],
  );
  return [...lines, ...ruleDifferences(name, rules, printed)];
}

/** Without arguments: a chain that the kernel does not enter by itself. */
function printHook(type?: unknown, hook?: unknown, priority?: unknown, policy?: unknown): string {
  return hook === undefined
    ? 'without hook'
    : `${type} hook ${hook} priority ${priority} policy ${policy}`;
}

function printRule(expressions: readonly unknown[]): string {
  return expressions.map(printExpression).join(' ');
}

function printExpression(expression: unknown): string {
  const { jump, match, redirect } = Object(expression) as {
    jump?: { target?: unknown };
    match?: { op?: unknown; left?: unknown; right?: unknown };
    redirect?: { port?: unknown };
  };
  const left = match === undefined ? undefined : leftSide(match.left);
  if (left !== undefined) {
    const right = left === 'meta l4proto' && match!.right === 6 ? 'tcp' : match!.right;
    const text = left === 'oifname' ? `"${right}"` : isPlain(right) ? right : prefixText(right);
    const operator = match!.op === '==' ? '' : ` ${match!.op}`;
    if (text !== undefined) return `${left}${operator} ${text}`;
  }
  if (redirect?.port !== undefined) return `redirect to :${redirect.port}`;
  if (jump?.target !== undefined) return `jump ${jump.target}`;
  if ('return' in Object(expression)) return 'return';
  return JSON.stringify(expression);
}

/** `fe80::/10`; undefined for what is no prefix. */
function prefixText(value: unknown): string | undefined {
  const { addr, len } = Object(Object(value).prefix) as { addr?: unknown; len?: unknown };
  return addr === undefined ? undefined : `${addr}/${len}`;
}

const isPlain = (value: unknown) => typeof value === 'string' || typeof value === 'number';

/** `meta skuid`, `oifname`, `tcp dport`; undefined for what our rules never ask. */
function leftSide(left: unknown): string | undefined {
  const { meta, payload } = Object(left) as {
    meta?: { key?: unknown };
    payload?: { protocol?: unknown; field?: unknown };
  };
  if (meta !== undefined) return meta.key === 'oifname' ? 'oifname' : `meta ${meta.key}`;
  return payload === undefined ? undefined : `${payload.protocol} ${payload.field}`;
}
