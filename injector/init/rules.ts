/**
 * The redirection rules of one pod as the text of one nft transaction: pure, options in, text out.
 *
 *   to the pod   -> prerouting -> skipped port? stays : 15006
 *   from the pod -> output     -> sentinel | proxy's user | lo | skipped? stays : 15001
 *
 * One `inet` table for IPv4 and IPv6, replaced as a whole, so running it again changes nothing. Only
 * numbers and parsed prefixes of port-list.ts and prefix-list.ts are printed: no text of a user's.
 * (reference/interception-and-injection.md 4.3; UDP and DNS stay untouched.)
 */

import type { PortRange } from './port-list.ts';
import { type Prefix, printPrefix } from './prefix-list.ts';

export const tableName = 'tracecar';

/** Where captured connections go; the proxy listens there. */
export const capturePorts = Object.freeze({ outbound: 15_001, inbound: 15_006 });

/** Health and probes, metrics, and the port that the peers keep for the same: never captured. */
export const ownPorts: readonly PortRange[] = [15_020, 15_021, 15_090].map((port) => ({
  first: port,
  last: port,
}));

/** Addresses that nobody has (RFC 5737, RFC 3849): the proxy dials them to prove the table. */
const sentinelV4 = '192.0.2.1';
const sentinelV6 = '2001:db8::1';

export interface RuleOptions {
  /** The user that the proxy runs as; its own connections are never captured. */
  readonly proxyUid: number;
  readonly skipInbound: readonly PortRange[];
  readonly skipOutbound: readonly PortRange[];
  readonly skipPrefixes: readonly Prefix[];
}

/** The input of `nft -f -`. Naming the table before deleting it makes the first run like any other. */
export function printRules(options: RuleOptions): string {
  const { outbound, inbound } = capturePorts;
  const v4 = options.skipPrefixes.filter(({ family }) => family === 4);
  const v6 = options.skipPrefixes.filter(({ family }) => family === 6);
  return `table inet ${tableName}
delete table inet ${tableName}
table inet ${tableName} {
  set skip_in {
    type inet_service; flags interval; auto-merge
${elements([...ownPorts, ...options.skipInbound].map(printRange))}  }
  set skip_out {
    type inet_service; flags interval; auto-merge
${elements(options.skipOutbound.map(printRange))}  }
  set skip_out4 {
    type ipv4_addr; flags interval; auto-merge
${elements(v4.map(printPrefix))}  }
  set skip_out6 {
    type ipv6_addr; flags interval; auto-merge
${elements(v6.map(printPrefix))}  }
  chain inbound {
    type nat hook prerouting priority -100; policy accept;
    meta l4proto != tcp return
    tcp dport @skip_in return
    meta l4proto tcp redirect to :${inbound}
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    ip daddr ${sentinelV4} tcp dport ${outbound} redirect to :${outbound}
    ip6 daddr ${sentinelV6} tcp dport ${outbound} redirect to :${outbound}
    meta skuid ${options.proxyUid} return
    oifname "lo" return
    meta l4proto != tcp return
    tcp dport @skip_out return
    ip daddr @skip_out4 return
    ip6 daddr @skip_out6 return
    meta l4proto tcp redirect to :${outbound}
  }
}
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
