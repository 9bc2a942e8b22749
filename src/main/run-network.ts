/**
 * The network of one `tracecar run`: a namespace, joined to the machine by one link.
 *
 *   machine  tcar-N 169.254.N.1 ──veth── eth0 169.254.N.2 (or --address)  namespace tracecar-run-N
 *
 * The machine routes between runs and masquerades what goes further. What is made is named by N, so it
 * can be taken away without having been remembered; an address of IPv6 there is none.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { StartError } from './listen-problem.ts';
import { claimNumber, forwardingMark, listRuns, releaseNumber, withLock } from './run-record.ts';
import { resolverOf } from './run-resolver.ts';

export interface RunNetwork {
  readonly namespace: string;
  /** Of the command. */
  readonly address: string;
  /** Of the machine, as the command sees it. */
  readonly gateway: string;
  /** For a person: what was changed on the machine; empty: nothing of note. */
  readonly remark: string;
  close(): void;
}

/** Makes it, after taking away what runs that were killed have left. Throws StartError. */
export function openNetwork(address: string | undefined): RunNetwork {
  checkPrograms();
  return withLock(() => {
    for (const number of listRuns().dead) remove(number);
    const number = claimNumber();
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

function checkPrograms(): void {
  if (process.getuid?.() !== 0) {
    throw new StartError(
      'needs root, for a network namespace and its rules: sudo tracecar run ...',
    );
  }
  for (const [program, flag, packageName] of [
    ['ip', '-V', 'iproute2'],
    ['nft', '--version', 'nftables'],
    ['setpriv', '--version', 'util-linux'],
  ] as const) {
    if (spawnSync(program, [flag]).status === 0) continue;
    throw new StartError(`the program ${program} is missing here; install ${packageName}`);
  }
}

function build(number: number, wanted: string | undefined): RunNetwork {
  const [namespace, link] = [namespaceOf(number), linkOf(number)];
  const gateway = `169.254.${number}.1`;
  const address = wanted ?? `169.254.${number}.2`;
  const resolver = resolverOf();
  if (wanted !== undefined && run('ip', ['route', 'show', `${address}/32`]) !== '') {
    throw new StartError(
      `--address ${address} is taken; \`ip route show ${address}\` names by whom`,
    );
  }
  run('ip', ['netns', 'add', namespace]);
  if (resolver !== undefined) {
    mkdirSync(filesOf(number), { recursive: true });
    writeFileSync(join(filesOf(number), 'resolv.conf'), resolver);
  }
  const peer = ['peer', 'name', 'eth0', 'netns', namespace];
  run('ip', ['link', 'add', link, 'type', 'veth', ...peer]);
  run('ip', ['address', 'add', `${gateway}/32`, 'dev', link]);
  run('ip', ['link', 'set', link, 'up']);
  run('ip', ['route', 'add', `${address}/32`, 'dev', link, 'src', gateway]);
  for (const line of [
    'link set lo up',
    `address add ${address}/32 dev eth0`,
    'link set eth0 up',
    `route add ${gateway}/32 dev eth0 src ${address}`,
    `route add default via ${gateway} dev eth0 src ${address}`,
  ]) {
    run('ip', ['-n', namespace, ...line.split(' ')]);
  }
  run('nft', ['-f', '-'], printMasquerade(number, address));
  const remark = startForwarding();
  return { namespace, address, gateway, remark, close: () => withLock(() => remove(number)) };
}

/** Runs reach each other by their own addresses; everybody else sees the machine. */
function printMasquerade(number: number, address: string): string {
  return `table inet ${tableOf(number)} {
  chain outbound {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${address} oifname != "tcar-*" masquerade
  }
}
`;
}

const forwarding = '/proc/sys/net/ipv4/ip_forward';

function startForwarding(): string {
  if (readFileSync(forwarding, 'utf8').trim() !== '0') return '';
  writeFileSync(forwardingMark, '');
  writeFileSync(forwarding, '1');
  return 'this machine forwards packets (net.ipv4.ip_forward) until its last `tracecar run` ends';
}

/** Whatever of it is there; the kernel ends the link of a namespace in which processes are left. */
function remove(number: number): void {
  spawnSync('ip', ['link', 'delete', linkOf(number)]);
  spawnSync('ip', ['netns', 'delete', namespaceOf(number)]);
  spawnSync('nft', ['delete', 'table', 'inet', tableOf(number)]);
  rmSync(filesOf(number), { recursive: true, force: true });
  releaseNumber(number);
  if (listRuns().alive.length > 0) return;
  try {
    // Throws where no run has switched it on.
    readFileSync(forwardingMark);
    writeFileSync(forwarding, '0');
    rmSync(forwardingMark);
  } catch {}
}

/** What the program prints. Throws StartError with what it says. */
function run(program: string, args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  if (status === 0) return stdout;
  const said = stderr.trim().split('\n').join(' | ');
  const isRefused = /not permitted|Permission denied/i.test(said);
  const where = isRefused ? ' (inside a container it takes --privileged)' : '';
  throw new StartError(
    `this machine gives no network for the command${where}; ${program} said: ${said}`,
  );
}
