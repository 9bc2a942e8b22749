/**
 * The same rules for iptables and ip6tables: pure, options and what is loaded in, a transaction out.
 *
 *   nat PREROUTING -> TRACECAR_IN: health | skipped port? stays : 15006
 *   nat OUTPUT     -> TRACECAR_OUT -> sentinel in -> TRACECAR_IN
 *                                  -> proxy's user | lo | link | skipped? stays : 15001 ◄─ sentinel out
 *
 * Each family is one input of `iptables-restore --noflush`, which replaces our two chains and touches no
 * other rule but the jumps to them. As in rules.ts only numbers and parsed prefixes are printed.
 */

import type { PortRange } from '../../src/base/port-list.ts';
import { printPrefix, readPrefixList } from './prefix-list.ts';
import {
  capturePorts,
  healthPorts,
  linkLocal,
  type RuleOptions,
  sentinels,
  skippedInbound,
  skippedPrefixes,
} from './rules.ts';

export const iptablesChains = Object.freeze({ inbound: 'TRACECAR_IN', outbound: 'TRACECAR_OUT' });

/** Rules of each chain of the table nat, without `-A NAME`, as iptables-save prints them. */
export type SavedChains = ReadonlyMap<string, readonly string[]>;

/** Where the kernel begins, and the jump that belongs there first. */
const jumps = [
  ['PREROUTING', `-p tcp -j ${iptablesChains.inbound}`],
  ['OUTPUT', `-p tcp -j ${iptablesChains.outbound}`],
] as const;

/** Our chains and their rules for one family, as iptables-save lists them. */
export function iptablesRules(
  options: RuleOptions,
  family: 4 | 6,
): readonly (readonly [string, readonly string[]])[] {
  const { inbound, outbound } = capturePorts;
  const sentinel = family === 4 ? `${sentinels.v4}/32` : `${sentinels.v6}/128`;
  const user = `-m owner --uid-owner ${options.proxyUid}`;
  const prefixes = skippedPrefixes(options, family).map(printPrefix);
  if (family === 6) prefixes.unshift(linkLocal);
  return [
    [
      iptablesChains.inbound,
      [
        `-p tcp -m tcp --dport ${healthPorts.asked} -j REDIRECT --to-ports ${healthPorts.passed}`,
        ...skippedPorts(skippedInbound(options)),
        `-p tcp -j REDIRECT --to-ports ${inbound}`,
      ],
    ],
    [
      iptablesChains.outbound,
      [
        `-d ${sentinel} -p tcp -m tcp --dport ${inbound} -j ${iptablesChains.inbound}`,
        `-p tcp -m tcp ! --dport ${outbound} ${user} -j RETURN`,
        `! -d ${sentinel} ${user} -j RETURN`,
        '-o lo -j RETURN',
        ...skippedPorts(options.skipOutbound).map((rule) => `! -d ${sentinel} ${rule}`),
        ...[...new Set(prefixes)].map((prefix) => `-d ${prefix} -j RETURN`),
        `-p tcp -j REDIRECT --to-ports ${outbound}`,
      ],
    ],
  ];
}

/** The match multiport holds fifteen ports, of which a range takes two. */
const portsPerRule = 15;

function skippedPorts(ranges: readonly PortRange[]): string[] {
  const rules: string[][] = [];
  let room = 0;
  for (const [text, size] of new Map(ranges.map(printRange))) {
    if (size > room) {
      rules.push([]);
      room = portsPerRule;
    }
    rules.at(-1)!.push(text);
    room -= size;
  }
  return rules.map((texts) => `-p tcp -m multiport --dports ${texts.join(',')} -j RETURN`);
}

function printRange({ first, last }: PortRange): [string, number] {
  return first === last ? [String(first), 1] : [`${first}:${last}`, 2];
}

/** The transaction for a family whose table nat is `saved`. */
export function printIptables(options: RuleOptions, family: 4 | 6, saved: SavedChains): string {
  const lines: string[] = [];
  for (const name of Object.values(iptablesChains)) lines.push(`:${name} - [0:0]`);
  for (const [chain, jump] of jumps) {
    const present = jumpsOf(saved, chain);
    if (present.length === 1 && present[0] === 1 && saved.get(chain)![0] === jump) continue;
    lines.push(...present.map((at) => `-D ${chain} ${at}`), `-I ${chain} 1 ${jump}`);
  }
  for (const [name, rules] of iptablesRules(options, family)) {
    lines.push(...rules.map((rule) => `-A ${name} ${rule}`));
  }
  return `*nat\n${lines.join('\n')}\nCOMMIT\n`;
}

/** The transaction that takes our chains away; empty when `saved` holds none. */
export function printIptablesRemoval(saved: SavedChains): string {
  const names = Object.values(iptablesChains).filter((name) => saved.has(name));
  if (names.length === 0) return '';
  const lines = [...saved.keys()].flatMap((chain) =>
    jumpsOf(saved, chain).map((at) => `-D ${chain} ${at}`),
  );
  for (const action of ['-F', '-X']) lines.push(...names.map((name) => `${action} ${name}`));
  return `*nat\n${lines.join('\n')}\nCOMMIT\n`;
}

/** Numbers of the rules that jump to our chains, the last first: deleting one moves those behind it. */
function jumpsOf(saved: SavedChains, chain: string): number[] {
  const rules = saved.get(chain) ?? [];
  const isJump = (rule: string) => /-[jg] TRACECAR_(IN|OUT)$/.test(rule);
  return rules.flatMap((rule, index) => (isJump(rule) ? [index + 1] : [])).reverse();
}

/** The chains that iptables-save prints of the table nat. */
export function readSaved(text: string): SavedChains {
  const chains = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const name = /^:(\S+) /.exec(line)?.[1];
    if (name !== undefined) chains.set(name, []);
    const rule = /^-A (\S+) ?(.*)$/.exec(line);
    if (rule !== null) chains.get(rule[1]!)?.push(rule[2]!.trim());
  }
  return chains;
}

/** Whether our chains are among them. */
export function holdsOurs(saved: SavedChains): boolean {
  return Object.values(iptablesChains).some((name) => saved.has(name));
}

/** What should be loaded and what is, chain by chain, in the same words. */
export function comparedChains(
  options: RuleOptions,
  family: 4 | 6,
  saved: SavedChains,
): { chain: string; expected: readonly string[]; found: readonly string[] | undefined }[] {
  const ours = iptablesRules(options, family).map(([chain, rules]) => ({
    chain,
    expected: rules.map(withPlainAddress),
    found: saved.get(chain)?.map(withPlainAddress),
  }));
  // What stands before the jump may take connections that belong to us; what stands behind it never does.
  const entries = jumps.map(([chain, jump]) => {
    const found = saved.get(chain)?.slice(0, jumpsOf(saved, chain)[0] ?? 0) ?? [];
    return { chain, expected: [jump], found };
  });
  return [...ours, ...entries];
}

/** Addresses can be written in more than one way; ip6tables-save has the short one (RFC 5952). */
function withPlainAddress(rule: string): string {
  return rule.replace(/(?<=(?:^| )-d )\S+/, (text) => {
    const read = readPrefixList(text);
    const prefix = 'prefixes' in read ? read.prefixes[0] : undefined;
    if (prefix?.family !== 6) return prefix === undefined ? text : printPrefix(prefix);
    const [address, length] = printPrefix(prefix).split('/');
    return `${new URL(`http://[${address}]`).hostname.slice(1, -1)}/${length}`;
  });
}
