/**
 * The back-ends by which rules are loaded into pods, and what an operator may do to the rules of each:
 * lists of commands, for redirection.test.ts. A back-end that is missing here says why.
 */

import { spawnSync } from 'node:child_process';
import { users, whyNoPods } from '../../support/namespace-pods.ts';

/** A way of loading the rules, and what a pod needs for it. */
export interface Way {
  readonly name: string;
  readonly flags: readonly string[];
  readonly user: readonly string[];
  /** Rules of somebody else, by which the legacy tables are chosen. */
  readonly others: readonly (readonly string[])[];
  /** Everything that the kernel holds of ours. */
  readonly list: readonly string[];
  /** What an operator may do to them. */
  readonly losses: readonly Loss[];
  /** What break-rules.ts is told. */
  readonly parts: readonly string[];
  readonly whyNot: string | undefined;
}

/** Some of the rules are gone. */
interface Loss {
  readonly commands: readonly (readonly string[])[];
  /** The direction, when it is one alone. */
  readonly missing: 'inbound ' | 'outbound ' | '';
  /** What a check says. */
  readonly named: RegExp;
}

/** By its handle, as nft deletes a rule. */
const withoutLast = (chain: string, port: number) => [
  ...['sh', '-c'],
  `nft delete rule inet tracecar ${chain} handle $(nft -a list chain inet tracecar ${chain} | sed -n 's/.* redirect to :${port} # handle //p' | tail -n 1)`,
];

const nftLosses: readonly Loss[] = [
  {
    commands: [withoutLast('outbound', 15_001)],
    missing: 'outbound ',
    named: /the chain outbound lacks its rule: meta l4proto tcp redirect to :15001/,
  },
  {
    commands: [withoutLast('inbound', 15_006)],
    missing: 'inbound ',
    named: /the chain inbound lacks its rule: meta l4proto tcp redirect to :15006/,
  },
  {
    commands: [['nft', 'flush', 'chain', 'inet', 'tracecar', 'inbound']],
    missing: 'inbound ',
    named: /the chain inbound lacks its rule: .*redirect to :15006/,
  },
  {
    commands: [['nft', 'flush', 'chain', 'inet', 'tracecar', 'outbound']],
    missing: '',
    named: /the chain outbound lacks its rule: .*redirect to :15001/,
  },
  {
    commands: [['nft', 'delete', 'table', 'inet', 'tracecar']],
    missing: '',
    named: /the table tracecar of nft is not loaded/,
  },
];

function iptablesLosses(variant: string): readonly Loss[] {
  const [v4, v6] = [`iptables-${variant}`, `ip6tables-${variant}`] as const;
  const flush = (program: string, ...chain: string[]) => [
    program,
    '-w',
    '-t',
    'nat',
    '-F',
    ...chain,
  ];
  const cut = (program: string, chain: string, port: number) => {
    const rule = ['-D', chain, '-p', 'tcp', '-j', 'REDIRECT', '--to-ports', `${port}`];
    return [program, '-w', '-t', 'nat', ...rule];
  };
  return [
    ...[v4, v6].map((program) => ({
      commands: [cut(program, 'TRACECAR_OUT', 15_001)],
      missing: 'outbound ' as const,
      named:
        /the chain TRACECAR_OUT of ip6?tables lacks its rule: -p tcp -j REDIRECT --to-ports 15001/,
    })),
    {
      commands: [cut(v6, 'TRACECAR_IN', 15_006)],
      missing: 'inbound ',
      named:
        /the chain TRACECAR_IN of ip6tables lacks its rule: -p tcp -j REDIRECT --to-ports 15006/,
    },
    {
      commands: [flush(v4, 'TRACECAR_IN')],
      missing: 'inbound ',
      named: /the chain TRACECAR_IN of iptables lacks its rule: .*REDIRECT --to-ports 15006/,
    },
    {
      commands: [flush(v6, 'TRACECAR_IN')],
      missing: 'inbound ',
      named: /the chain TRACECAR_IN of ip6tables lacks its rule: .*REDIRECT --to-ports 15006/,
    },
    {
      commands: [flush(v6, 'TRACECAR_OUT')],
      missing: '',
      named: /the chain TRACECAR_OUT of ip6tables lacks its rule: .*REDIRECT --to-ports 15001/,
    },
    { commands: [flush(v4), flush(v6)], missing: '', named: /TRACECAR_IN of iptables lacks/ },
  ];
}

const noPods = whyNoPods();
const listBoth = (variant: string) => [
  ...['sh', '-c'],
  `for f in iptables ip6tables; do $f-${variant} -t nat -S | grep TRACECAR; done`,
];

export const ways: readonly Way[] = [
  {
    name: 'nft',
    flags: [],
    user: users.init,
    others: [],
    list: ['nft', 'list', 'table', 'inet', 'tracecar'],
    losses: nftLosses,
    parts: ['nft', ''],
    whyNot: noPods,
  },
  {
    name: 'iptables of nf_tables',
    flags: ['--backend=iptables'],
    user: users.init,
    others: [],
    list: listBoth('nft'),
    losses: iptablesLosses('nft'),
    parts: ['iptables', 'nft'],
    whyNot: noPods ?? whyNoIptables('nft'),
  },
  {
    name: 'legacy iptables',
    flags: ['--backend=iptables'],
    user: ['--bounding-set=-all,+net_admin,+net_raw', '--inh-caps=-all', '--no-new-privs'],
    others: [['iptables-legacy', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'eth9', '-j', 'LOG']],
    list: listBoth('legacy'),
    losses: iptablesLosses('legacy'),
    parts: ['iptables', 'legacy'],
    whyNot: noPods ?? whyNoIptables('legacy'),
  },
];

/** Asked in a network namespace of its own: asking loads tables. */
function whyNoIptables(variant: string): string | undefined {
  const probe = `tracecar-probe-${process.pid}`;
  spawnSync('ip', ['netns', 'add', probe]);
  const inside = ['netns', 'exec', probe, `ip6tables-${variant}`, '-t', 'nat', '-S'];
  const { status, stderr } = spawnSync('ip', inside, { encoding: 'utf8' });
  spawnSync('ip', ['netns', 'delete', probe]);
  if (status === 0) return undefined;
  const why = stderr.trim().split('\n', 1)[0];
  return `no ip6tables-${variant} here (as root: apt-get install -y iptables): ${why}`;
}
