/**
 * The names of one cluster on this machine, all made of its owner's process id: folder, network
 * namespace, cgroup, pod network. And their end: `clear` removes everything that carries them.
 *
 * Nothing is remembered but the owner: what belongs to a cluster is found from its names alone, so the
 * remains of a killed run are cleared just like a cluster that is closed.
 */

import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { removeCgroup, signalCgroup } from './cgroup.ts';
import { run } from './command.ts';
import { isAlive, ownIdentity } from './identity.ts';

/** Short, because paths of Unix sockets have at most 107 bytes. */
const places = '/tmp/tracecar-peers';

const bundleFolder = 'containerd/state/io.containerd.runtime.v2.task/k8s.io';

export class Place {
  readonly id: string;
  readonly folder: string;
  /** Of `ip netns`, of the cgroup and of the pod network. */
  readonly name: string;

  constructor(id: string) {
    this.id = id;
    this.folder = join(places, id);
    this.name = `tracecar-${id}`;
  }

  get namespacePath(): string {
    return `/var/run/netns/${this.name}`;
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** The command, run in the namespace; it ends with this process, even when that is killed. */
  inside(command: readonly string[]): string[] {
    // Not `ip netns exec`: that mounts another /sys and hides the cgroups.
    const enter = ['nsenter', `--net=${this.namespacePath}`, '--'];
    return [...enter, 'setpriv', '--pdeathsig', 'KILL', '--', ...command];
  }
}

let made = 0;

/** A new place of this process; its folder exists. */
export function makePlace(): Place {
  made += 1;
  const place = new Place(`${process.pid}-${made}`);
  mkdirSync(place.folder, { recursive: true, mode: 0o755 });
  writeFileSync(place.path('owner'), ownIdentity());
  return place;
}

/** Places whose owner is gone. */
export function abandonedPlaces(): Place[] {
  if (!existsSync(places)) return [];
  return readdirSync(places)
    .filter((id) => {
      const owner = join(places, id, 'owner');
      if (existsSync(owner)) return !isAlive(readFileSync(owner, 'utf8'));
      // Between its folder and its owner file a place is a few microseconds old.
      return Date.now() - statSync(join(places, id)).mtimeMs > 10_000;
    })
    .map((id) => new Place(id));
}

/** Places whose owner still runs. */
export function livingPlaces(): Place[] {
  if (!existsSync(places)) return [];
  return readdirSync(places)
    .filter((id) => {
      const owner = join(places, id, 'owner');
      return existsSync(owner) && isAlive(readFileSync(owner, 'utf8'));
    })
    .map((id) => new Place(id));
}

/** Makes the network namespace: a loopback, and a bridge that bears the node's address. */
export async function makeNamespace(place: Place, nodeAddress: string): Promise<void> {
  const commands = [
    ['ip', 'netns', 'add', place.name],
    ['ip', '-n', place.name, 'link', 'set', 'lo', 'up'],
    // A bridge stands in for a network card: not every kernel has dummy links.
    ['ip', '-n', place.name, 'link', 'add', 'node0', 'type', 'bridge'],
    ['ip', '-n', place.name, 'addr', 'add', `${nodeAddress}/24`, 'dev', 'node0'],
    ['ip', '-n', place.name, 'link', 'set', 'node0', 'up'],
    ['ip', '-n', place.name, 'route', 'add', 'default', 'dev', 'node0'],
    place.inside(['sysctl', '-qw', 'net.ipv4.ip_forward=1']),
  ];
  for (const command of commands) {
    const ended = await run(command);
    if (ended.status !== 0) throw new Error(`${command.join(' ')}: ${ended.stderr}`);
  }
}

/** Ends every process of the place and removes every trace of it. Twice is as good as once. */
export async function clear(place: Place): Promise<void> {
  // First who would start something again, then the pods, then whoever is left.
  for (let round = 0; round < 100; round += 1) {
    const left = killNamespace(place) + signalCgroup(place.name, 'SIGKILL');
    if (left === 0) break;
    await wait(20);
  }
  const containers = containersOf(place);
  removeShimSockets(place);
  await unmountUnder(place);
  if (existsSync(place.namespacePath)) await run(['ip', 'netns', 'del', place.name]);
  await removeCgroup(place.name);
  removeWhere('/var/lib/cni/results', (path) => {
    return path.includes(`/${place.name}-`) || containers.some((id) => path.endsWith(`-${id}-lo`));
  });
  removeWhere('/var/log/containers', (path) => {
    return lstatSync(path).isSymbolicLink() && readlinkSync(path).startsWith(`${place.folder}/`);
  });
  rmSync(place.folder, { recursive: true, force: true, maxRetries: 5 });
}

/** All components live in the namespace, and so do the runtime's shims. */
function killNamespace(place: Place): number {
  if (!existsSync(place.namespacePath)) return 0;
  const wanted = `net:[${statSync(place.namespacePath).ino}]`;
  let killed = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) !== wanted) continue;
      process.kill(Number(pid), 'SIGKILL');
      // A zombie is dead already: its parent is about to notice.
      killed += /^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')) ? 0 : 1;
    } catch {
      // It ended meanwhile.
    }
  }
  return killed;
}

/** Identifiers of the containers that were running: each has a bundle. */
function containersOf(place: Place): string[] {
  const bundles = place.path(bundleFolder);
  return existsSync(bundles) ? readdirSync(bundles) : [];
}

/** A shim that is killed leaves its socket, named by a hash; its bundle says which one. */
function removeShimSockets(place: Place): void {
  for (const container of containersOf(place)) {
    const address = place.path(bundleFolder, container, 'address');
    if (!existsSync(address)) continue;
    const socket = readFileSync(address, 'utf8').replace(/^unix:\/\//, '');
    if (socket.startsWith('/run/containerd/s/')) rmSync(socket, { force: true });
  }
}

async function unmountUnder(place: Place): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const points = readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((point) => point.startsWith(`${place.folder}/`))
      .sort((one, other) => other.length - one.length);
    if (points.length === 0) return;
    await run(['umount', '-l', ...points]);
  }
  // The folder is removed next, and a volume that is still mounted may be a folder of this machine.
  throw new Error(`cannot unmount everything under ${place.folder}`);
}

function removeWhere(folder: string, isOurs: (path: string) => boolean): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    try {
      if (isOurs(path)) rmSync(path, { force: true });
    } catch {
      // Another clean-up was faster.
    }
  }
}
