/**
 * The redirection rules of one pod as an nft table: pure, options in, a table or its text out.
 *
 *   to the pod   -> prerouting ──────────────► inbound: health | skipped port? stays : 15006
 *   from the pod -> outbound -> sentinel in ──►
 *                            -> proxy's user | lo | link | skipped? stays : 15001 ◄─ sentinel out
 *
 * One `inet` table for IPv4 and IPv6, replaced as a whole, so running it again changes nothing. Only
 * numbers and parsed prefixes of port-list.ts and prefix-list.ts are printed: no text of a user's.
 * The same rules for iptables: iptables-rules.ts. (reference/interception-and-injection.md 4.3; UDP and
 * DNS stay untouched.)
 */

import type { PortRange } from '../../src/base/port-list.ts';
import { type Prefix, prefixWithout, printPrefix } from './prefix-list.ts';

export const tableName = 'tracecar';

/** Of the kernel's own destination NAT (`dstnat`). */
export const natPriority = -100;

/** Where captured connections go; the proxy listens there. */
export const capturePorts = Object.freeze({ outbound: 15_001, inbound: 15_006 });

/**
 * The health port, and the one where the same server hears what passed the inbound rules: a probe that
 * comes from elsewhere to the first shows that it did not (src/admin/health-port.ts).
 */
export const healthPorts = Object.freeze({ asked: 15_021, passed: 15_022 });

/** Metrics, and the port that the peers keep for the same: never captured. */
export const ownPorts: readonly PortRange[] = [15_020, 15_090].map((port) => ({
  first: port,
  last: port,
}));

/**
 * Addresses that nobody has (RFC 5737, RFC 3849): the proxy dials them to prove the table. Nothing that
 * a process of the pod sends passes prerouting, so the sentinel of the inbound rules enters their chain
 * from output: when that chain is empty or gone, nobody answers. Both have no redirect of their own: no
 * rule that lets something stay means them, so it is the last one of each chain that brings them back.
 */
export const sentinels = Object.freeze({ v4: '192.0.2.1', v6: '2001:db8::1' });

/**
 * Addresses of one link (RFC 4291 2.5.6): without the interface's number, which no original destination
 * tells, the proxy could not dial them.
 */
export const linkLocal = 'fe80::/10';

export interface RuleOptions {
  /** The user that the proxy runs as; its own connections are never captured. */
  readonly proxyUid: number;
  readonly skipInbound: readonly PortRange[];
  readonly skipOutbound: readonly PortRange[];
  readonly skipPrefixes: readonly Prefix[];
}

export interface NftSet {
  readonly name: string;
  readonly type: 'inet_service' | 'ipv4_addr' | 'ipv6_addr';
  /** `22`, `9000-9010`, `10.0.0.0/8`. */
  readonly members: readonly string[];
}

export interface NftChain {
  readonly name: string;
  /** Where the kernel enters it; absent: from other chains only. */
  readonly hook?: 'prerouting' | 'output';
  /** In nft's own words, as it lists them. */
  readonly rules: readonly string[];
}

export interface NftTable {
  readonly sets: readonly NftSet[];
  readonly chains: readonly NftChain[];
}

export function nftTable(options: RuleOptions): NftTable {
  const { outbound, inbound } = capturePorts;
  const { v4, v6 } = sentinels;
  const prefixes = (family: 4 | 6) => skippedPrefixes(options, family).map(printPrefix);
  return {
    sets: [
      {
        name: 'skip_in',
        type: 'inet_service',
        members: skippedInbound(options).map(printRange),
      },
      { name: 'skip_out', type: 'inet_service', members: options.skipOutbound.map(printRange) },
      { name: 'skip_out4', type: 'ipv4_addr', members: prefixes(4) },
      { name: 'skip_out6', type: 'ipv6_addr', members: prefixes(6) },
    ],
    chains: [
      {
        name: 'inbound',
        rules: [
          `tcp dport ${healthPorts.asked} redirect to :${healthPorts.passed}`,
          'tcp dport @skip_in return',
          `meta l4proto tcp redirect to :${inbound}`,
        ],
      },
      { name: 'prerouting', hook: 'prerouting', rules: ['meta l4proto tcp jump inbound'] },
      {
        name: 'outbound',
        hook: 'output',
        rules: [
          `ip daddr ${v4} tcp dport ${inbound} jump inbound`,
          `ip6 daddr ${v6} tcp dport ${inbound} jump inbound`,
          `meta skuid ${options.proxyUid} tcp dport != ${outbound} return`,
          `meta skuid ${options.proxyUid} ip daddr != ${v4} return`,
          `meta skuid ${options.proxyUid} ip6 daddr != ${v6} return`,
          'oifname "lo" return',
          'meta l4proto != tcp return',
          `ip6 daddr ${linkLocal} return`,
          `ip daddr != ${v4} tcp dport @skip_out return`,
          `ip6 daddr != ${v6} tcp dport @skip_out return`,
          'ip daddr @skip_out4 return',
          'ip6 daddr @skip_out6 return',
          `meta l4proto tcp redirect to :${outbound}`,
        ],
      },
    ],
  };
}

/**
 * What callers reach directly. A connection to the inbound capture port itself ends the same whether it
 * is redirected or not, so that port is left out, and the sentinel comes back whatever is skipped.
 */
export function skippedInbound({ skipInbound }: RuleOptions): readonly PortRange[] {
  const port = capturePorts.inbound;
  const parts = skipInbound.flatMap(({ first, last }) => {
    if (port < first || port > last) return [{ first, last }];
    return [
      { first, last: port - 1 },
      { first: port + 1, last },
    ];
  });
  return [...ownPorts, ...parts.filter(({ first, last }) => first <= last)];
}

/** What the pod reaches directly, of one family, without the sentinel. */
export function skippedPrefixes({ skipPrefixes }: RuleOptions, family: 4 | 6): readonly Prefix[] {
  const sentinel = family === 4 ? sentinels.v4 : sentinels.v6;
  return skipPrefixes
    .filter((prefix) => prefix.family === family)
    .flatMap((prefix) => prefixWithout(prefix, sentinel));
}

/** The input of `nft -f -`. Naming the table before deleting it makes the first run like any other. */
export function printRules(options: RuleOptions): string {
  const { sets, chains } = nftTable(options);
  return `${nftRemoval}table inet ${tableName} {
${sets.map(printSet).join('')}${chains.map(printChain).join('')}}
`;
}

/** The input that takes the table away, be it there or not. */
export const nftRemoval = `table inet ${tableName}
delete table inet ${tableName}
`;

function printSet({ name, type, members }: NftSet): string {
  return `  set ${name} {
    type ${type}; flags interval; auto-merge
${elements(members)}  }
`;
}

function printChain({ name, hook, rules }: NftChain): string {
  const entry =
    hook === undefined ? '' : `    type nat hook ${hook} priority ${natPriority}; policy accept;\n`;
  return `  chain ${name} {
${entry}${rules.map((rule) => `    ${rule}\n`).join('')}  }
`;
}

function printRange({ first, last }: PortRange): string {
  return first === last ? String(first) : `${first}-${last}`;
}

/** nft refuses an empty list, so a set without elements has no such line. */
function elements(printed: readonly string[]): string {
  const members = [...new Set(printed)];
  return members.length === 0 ? '' : `    elements = { ${members.join(', ')} }\n`;
}
