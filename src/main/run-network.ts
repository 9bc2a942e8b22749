/**
 * The network of one `tracecar run`: a namespace, joined to the machine by one link.
 *
 *   machine  tcar-N 169.254.N.1 ──veth── eth0 169.254.N.2 (or --address)  namespace tracecar-run-N
 *                   fd74:7261:6365:N::1            fd74:7261:6365:N::2, where the machine forwards IPv6
 *
 * The machine routes between runs and masquerades what goes further. What is made is named by N, so it
 * can be taken away without having been remembered.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { StartError } from './listen-problem.ts';
import { runApart } from './run-apart.ts';
import { RunRecord } from './run-record.ts';
import { resolverOf } from './run-resolver.ts';

export interface RunNetwork {
  readonly namespace: string;
  /** Of the command: IPv4, then IPv6 where it has one. */
  readonly addresses: readonly string[];
  /** Of the machine, as the command sees it, in the same order. */
  readonly gateways: readonly string[];
  /** For a person: what was changed on the machine; empty: nothing of note. */
  readonly remark: string;
  close(): void;
}

const record = new RunRecord('/run/tracecar');

/** Makes it, after taking away what runs that were killed have left. Throws StartError. */
export function openNetwork(address: string | undefined): RunNetwork {
  return record.withLock(() => {
    for (const number of record.list().dead) remove(number);
    const number = record.claimNumber();
    try {
      return build(number, address);
    } catch (error) {
      remove(number);
      throw error;
    }
  });
}

const namespaceOf = (number: number) => `tracecar-run-${number}`;
const linkOf = (number: number) => `tcar-${number}`;
const tableOf = (number: number) => `tracecar_run_${number}`;
const filesOf = (number: number) => join('/etc/netns', namespaceOf(number));

/** Throws StartError where no run can be: without root, or without a program that it needs. */
export function checkMachine(): void {
  if (process.getuid?.() !== 0) {
    throw new StartError(
      'needs root, for a network namespace and its rules: sudo tracecar run ...',
    );
  }
  for (const [program, flag, packageName] of [
    ['ip', '-V', 'iproute2'],
    ['nft', '--version', 'nftables'],
    ['setpriv', '--version', 'util-linux'],
    ['flock', '--version', 'util-linux'],
  ] as const) {
    if (runApart(program, [flag]).status === 0) continue;
    throw new StartError(`the program ${program} is missing here; install ${packageName}`);
  }
}

function build(number: number, wanted: string | undefined): RunNetwork {
  const [namespace, link] = [namespaceOf(number), linkOf(number)];
  const pairs = pairsOf(number, wanted);
  const resolver = resolverOf();
  if (wanted !== undefined) checkFree(wanted);
  run('ip', ['netns', 'add', namespace]);
  if (resolver !== undefined) {
    mkdirSync(filesOf(number), { recursive: true });
    writeFileSync(join(filesOf(number), 'resolv.conf'), resolver);
  }
  const peer = ['peer', 'name', 'eth0', 'netns', namespace];
  run('ip', ['link', 'add', link, 'type', 'veth', ...peer]);
  run('ip', ['link', 'set', link, 'up']);
  run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  run('ip', ['-n', namespace, 'link', 'set', 'eth0', 'up']);
  for (const pair of pairs) joinBy(pair, namespace, link);
  run('nft', ['-f', '-'], printMasquerade(number, pairs));
  const remark = startForwarding();
  return {
    namespace,
    addresses: pairs.map(({ address }) => address),
    gateways: pairs.map(({ gateway }) => gateway),
    remark,
    close: () => record.withLock(() => remove(number)),
  };
}

/** Nobody whom this machine knows has that address. Throws StartError. */
function checkFree(address: string): void {
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  if (own.some((each) => each.address === address)) {
    throw new StartError(
      `--address ${address} is this machine's own; choose one that nobody has, as 10.7.7.2`,
    );
  }
  if (run('ip', ['route', 'show', `${address}/32`]) !== '') {
    throw new StartError(
      `--address ${address} is taken; \`ip route show ${address}\` names by whom`,
    );
  }
}

/** The two ends of a link, in one family. */
interface Pair {
  readonly family: 4 | 6;
  readonly address: string;
  readonly gateway: string;
}

/** Unique local addresses (RFC 4193), of this machine's runs alone: nobody else ever sees them. */
const prefix6 = 'fd74:7261:6365';

function pairsOf(number: number, wanted: string | undefined): readonly [Pair, ...Pair[]] {
  const [start4, start6] = [`169.254.${number}`, `${prefix6}:${number}:`];
  const pair4: Pair = { family: 4, address: wanted ?? `${start4}.2`, gateway: `${start4}.1` };
  if (!forwardsIpv6()) return [pair4];
  return [pair4, { family: 6, address: `${start6}:2`, gateway: `${start6}:1` }];
}

/**
 * Whether this machine passes IPv6 on already, and knows where to. It is never switched on for a run: a
 * machine that forwards no longer heeds router advertisements, and may lose its own address. And an
 * application that has an address leading nowhere would try that one first.
 */
function forwardsIpv6(): boolean {
  try {
    if (readFileSync('/proc/sys/net/ipv6/conf/all/forwarding', 'utf8').trim() !== '1') return false;
  } catch {
    return false;
  }
  return run('ip', ['-6', 'route', 'show', 'default']) !== '';
}

/** Gives both ends their addresses, and the namespace its way out. */
function joinBy({ family, address, gateway }: Pair, namespace: string, link: string): void {
  const [bits, detection] = family === 4 ? ['32', ''] : ['128', ' nodad'];
  const onMachine = [
    `address add ${gateway}/${bits} dev ${link}${detection}`,
    `route add ${address}/${bits} dev ${link} src ${gateway}`,
  ];
  const inside = [
    `address add ${address}/${bits} dev eth0${detection}`,
    `route add ${gateway}/${bits} dev eth0 src ${address}`,
    `route add default via ${gateway} dev eth0 src ${address}`,
  ];
  for (const line of onMachine) run('ip', [`-${family}`, ...line.split(' ')]);
  for (const line of inside) run('ip', [`-${family}`, '-n', namespace, ...line.split(' ')]);
}

/** Runs reach each other by their own addresses; everybody else sees the machine. */
function printMasquerade(number: number, pairs: readonly Pair[]): string {
  const rules = pairs.map(({ family, address }) => {
    const word = family === 4 ? 'ip' : 'ip6';
    return `    ${word} saddr ${address} oifname != "tcar-*" masquerade\n`;
  });
  return `table inet ${tableOf(number)} {
  chain outbound {
    type nat hook postrouting priority srcnat; policy accept;
${rules.join('')}  }
}
`;
}

const forwarding = '/proc/sys/net/ipv4/ip_forward';

function startForwarding(): string {
  if (readFileSync(forwarding, 'utf8').trim() !== '0') return '';
  writeFileSync(record.forwardingMark, '');
  writeFileSync(forwarding, '1');
  return 'this machine forwards packets (net.ipv4.ip_forward) until its last `tracecar run` ends';
}

/** Whatever of it is there; the kernel ends the link of a namespace in which processes are left. */
function remove(number: number): void {
  runApart('ip', ['link', 'delete', linkOf(number)]);
  runApart('ip', ['netns', 'delete', namespaceOf(number)]);
  runApart('nft', ['delete', 'table', 'inet', tableOf(number)]);
  rmSync(filesOf(number), { recursive: true, force: true });
  record.releaseNumber(number);
  if (record.list().alive.length > 0) return;
  try {
    // Throws where no run has switched it on.
    readFileSync(record.forwardingMark);
    writeFileSync(forwarding, '0');
    rmSync(record.forwardingMark);
  } catch {}
}

/** What the program prints. Throws StartError with what it says. */
function run(program: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = runApart(program, args, { input });
  if (status === 0) return stdout;
  const said = stderr.trim().split('\n').join(' | ');
  const isRefused = /not permitted|Permission denied/i.test(said);
  const where = isRefused ? ' (inside a container it takes --privileged)' : '';
  throw new StartError(
    `this machine gives no network for the command${where}; ${program} said: ${said}`,
  );
}
