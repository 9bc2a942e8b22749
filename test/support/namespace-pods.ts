/**
 * Pods without a cluster: network namespaces on one bridge, IPv4 and IPv6, each with its own loopback.
 *
 *   pod 10.7.0.1, fd07::1 ──veth──┐
 *   pod 10.7.0.2, fd07::2 ──veth──┴── bridge 10.7.0.254 (default route, leads to services alone)
 *
 * A service is an address outside of that network, routed to one pod that has it on its loopback: no
 * NAT is in the way, and the name is in every pod's /etc/hosts. No pod has a resolver.
 *
 * Processes in a pod run as the users that a kubelet would give them, without capabilities and with
 * no_new_privs. Needs root, ip, nft and setpriv; where they are missing, tests say so and skip.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Why pods cannot be made here, with what would help; undefined when they can. */
export function whyNoPods(): string | undefined {
  const why = (reason: string) =>
    `no network namespaces: ${reason} (as root: apt-get install -y nftables iproute2 util-linux)`;
  if (process.getuid?.() !== 0) return why('this user is not root');
  for (const [program, flag] of [
    ['ip', '-V'],
    ['nft', '--version'],
    ['setpriv', '--version'],
  ] as const) {
    if (spawnSync(program, [flag]).status !== 0) return why(`${program} is missing`);
  }
  const probe = `tracecar-probe-${process.pid}`;
  if (spawnSync('ip', ['netns', 'add', probe]).status !== 0) return why('ip netns add is refused');
  spawnSync('ip', ['netns', 'delete', probe]);
  return undefined;
}

/** Who a process in a pod is. */
export const users = Object.freeze({
  /** An application. */
  app: identity(1000, 1000),
  proxy: identity(1337, 1337),
  /** An application in the proxy's group. */
  proxyGroup: identity(1000, 1337),
  /** The init container: root with NET_ADMIN and nothing else. */
  init: ['--bounding-set=-all,+net_admin', '--inh-caps=-all', '--no-new-privs'],
  /** Root as a container without capabilities has it. */
  bareRoot: ['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'],
});

function identity(uid: number, gid: number): readonly string[] {
  return [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    '--clear-groups',
    '--bounding-set=-all',
    '--inh-caps=-all',
    '--no-new-privs',
  ];
}

export interface RunResult {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  readonly timeoutMs?: number;
}

export class Pod {
  readonly v4: string;
  readonly v6: string;
  /** As `ip netns` knows it. */
  readonly namespace: string;
  readonly #children = new Set<ChildProcess>();

  constructor(namespace: string, index: number) {
    this.namespace = namespace;
    this.v4 = `10.7.0.${index}`;
    this.v6 = `fd07::${index}`;
  }

  /** Runs a program to its end. */
  run(user: readonly string[], command: readonly string[], options: RunOptions = {}): RunResult {
    const done = spawnSync('ip', this.#arguments(user, command), {
      encoding: 'utf8',
      env: { ...process.env, ...options.env },
      input: options.input ?? '',
      timeout: options.timeoutMs ?? 40_000,
    });
    return { status: done.status, output: done.stdout, errors: done.stderr };
  }

  /** Like `run`, while the test goes on reading what sidecars say. */
  async finish(
    user: readonly string[],
    command: readonly string[],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const child = spawn('ip', this.#arguments(user, command), {
      env: { ...process.env, ...options.env },
      timeout: options.timeoutMs ?? 40_000,
    });
    this.#children.add(child);
    const said: [string, string] = ['', ''];
    for (const [index, stream] of [child.stdout, child.stderr].entries()) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        said[index] += text;
      });
    }
    // A program that does not read to the end is no error.
    child.stdin.on('error', () => undefined).end(options.input ?? '');
    const status = await new Promise<number | null>((settle) => child.once('close', settle));
    this.#children.delete(child);
    return { status, output: said[0], errors: said[1] };
  }

  /** Starts a program that runs until the pod ends. */
  start(user: readonly string[], command: readonly string[], env = {}): PodProcess {
    const child = spawn('ip', this.#arguments(user, command), {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.on('close', () => this.#children.delete(child));
    return new PodProcess(child);
  }

  /**
   * Dials from this pod, says `text`, and gives what the other side said until it closed, or the
   * refusal.
   */
  dial(user: readonly string[], address: string, port: number, text = ''): string {
    const script =
      'exec 3<>"/dev/tcp/$0/$1" && { [ -z "$2" ] || printf %s "$2" >&3; } && exec timeout 20 cat <&3';
    const command = ['bash', '-c', script, address, `${port}`, text];
    const { status, output, errors } = this.run(user, command);
    if (status === 0) return output.trim();
    return /refused/i.test(errors) ? 'refused' : `status ${status}: ${errors.trim()}`;
  }

  /** One GET over a connection of its own; the whole answer with its head. */
  get(user: readonly string[], address: string, port: number, path: string, fields = ''): string {
    const host = fields.includes('Host:') ? '' : `Host: ${address}\r\n`;
    const text = `GET ${path} HTTP/1.1\r\n${host}${fields}Connection: close\r\n\r\n`;
    return this.dial(user, address, port, text);
  }

  async close(): Promise<void> {
    const ended = [...this.#children].map(
      (child) => new Promise<void>((settle) => child.once('close', () => settle())),
    );
    // Daemons have children of their own, and those keep the pipes open.
    const { stdout } = spawnSync('ip', ['netns', 'pids', this.namespace], { encoding: 'utf8' });
    for (const pid of stdout.split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended since.
      }
    }
    for (const child of this.#children) child.kill('SIGKILL');
    await Promise.all(ended);
    spawnSync('ip', ['netns', 'delete', this.namespace]);
    rmSync(filesOf(this.namespace), { recursive: true, force: true });
  }

  #arguments(user: readonly string[], command: readonly string[]): string[] {
    return ['netns', 'exec', this.namespace, 'setpriv', ...user, '--', ...command];
  }
}

/** How many lines a failure shows. */
const linesShown = 30;

/** A process of a pod with everything that it has said. */
export class PodProcess {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly ended: Promise<number | null>;
  readonly #patienceMs: number;
  #waiting: (() => void)[] = [];
  #isClosed = false;

  constructor(child: ChildProcess, patienceMs = 60_000) {
    this.child = child;
    this.#patienceMs = patienceMs;
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        this.#wake();
      });
    }
    this.ended = new Promise((settle) => {
      child.on('close', (status) => {
        this.#isClosed = true;
        settle(status);
        this.#wake();
      });
    });
  }

  /** The first line that matches; rejects when the process ends before it comes, or after a minute. */
  says(pattern: RegExp): Promise<string> {
    return this.until(() => this.lines.find((each) => pattern.test(each)), String(pattern));
  }

  /** What `find` finds in the lines, asked after each; rejects when the process ends, or a minute does. */
  async until<Found>(find: () => Found | undefined, what: string): Promise<Found> {
    let isLate = false;
    const guard = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, this.#patienceMs);
    try {
      for (;;) {
        const found = find();
        if (found !== undefined) return found;
        if (this.#isClosed) throw new Error(`it ended without ${what}:\n${this.#lastLines()}`);
        if (isLate) {
          const seconds = this.#patienceMs / 1_000;
          throw new Error(`${what} did not come within ${seconds} s, but:\n${this.#lastLines()}`);
        }
        await new Promise<void>((settle) => this.#waiting.push(settle));
      }
    } finally {
      clearTimeout(guard);
    }
  }

  #lastLines(): string {
    const shown = this.lines.slice(-linesShown);
    const before = this.lines.length - shown.length;
    return [...(before > 0 ? [`(${before} lines before)`] : []), ...shown].join('\n');
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) call();
  }
}

export interface ServiceAddresses {
  readonly v4: string;
  readonly v6: string;
}

export interface PodNetwork {
  readonly pods: readonly Pod[];
  /** As `ip netns` knows them: those of the pods and the bridge's. */
  readonly namespaces: readonly string[];
  /** Gives a pod the addresses of a service; `name` leads to both of them in every pod. */
  service(name: string, pod: Pod): ServiceAddresses;
  /** Ends every process in the pods, then the pods. */
  close(): Promise<void>;
}

/** Databases and ssh look for the name of their user. */
const accounts = `root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:the application:/tmp:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`;

/** What `ip netns exec` mounts over the files of /etc. */
function filesOf(namespace: string): string {
  return join('/etc/netns', namespace);
}

const ip = (...args: string[]) => execFileSync('ip', args);

/** Makes `count` pods. */
export function makePods(count: number): PodNetwork {
  const prefix = `tracecar-pods-${process.pid}`;
  const bridge = `${prefix}-bridge`;
  const pods: Pod[] = [];
  let services = 0;
  makeBridge(bridge);
  for (let index = 1; index <= count; index += 1) {
    pods.push(makePod(`${prefix}-${index}`, bridge, index));
  }
  return {
    pods,
    namespaces: [...pods.map(({ namespace }) => namespace), bridge],
    service: (name, pod) => {
      services += 1;
      const address = { v4: `10.96.0.${services}`, v6: `fd96::${services}` };
      ip('-n', pod.namespace, 'address', 'add', `${address.v4}/32`, 'dev', 'lo');
      ip('-n', pod.namespace, 'address', 'add', `${address.v6}/128`, 'dev', 'lo', 'nodad');
      ip('-n', bridge, 'route', 'add', address.v4, 'via', pod.v4);
      ip('-n', bridge, '-6', 'route', 'add', address.v6, 'via', pod.v6);
      for (const { namespace } of pods) {
        const lines = `${address.v4} ${name}\n${address.v6} ${name}\n`;
        appendFileSync(join(filesOf(namespace), 'hosts'), lines);
      }
      return address;
    },
    close: async () => {
      for (const pod of pods) await pod.close();
      spawnSync('ip', ['netns', 'delete', bridge]);
    },
  };
}

function makeBridge(bridge: string): void {
  ip('netns', 'add', bridge);
  // What has no service's address has no route from here, so forwarding lets nothing out.
  const settings = [
    'net.ipv4.ip_forward=1',
    'net.ipv6.conf.all.forwarding=1',
    'net.ipv4.conf.all.send_redirects=0',
    'net.ipv4.conf.default.send_redirects=0',
  ];
  ip('netns', 'exec', bridge, 'sysctl', '-q', '-w', ...settings);
  ip('-n', bridge, 'link', 'add', 'br0', 'type', 'bridge');
  ip('-n', bridge, 'link', 'set', 'br0', 'up');
  ip('-n', bridge, 'address', 'add', '10.7.0.254/24', 'dev', 'br0');
  ip('-n', bridge, 'address', 'add', 'fd07::fe/64', 'dev', 'br0', 'nodad');
}

function makePod(namespace: string, bridge: string, index: number): Pod {
  const pod = new Pod(namespace, index);
  ip('netns', 'add', namespace);
  mkdirSync(filesOf(namespace), { recursive: true });
  writeFileSync(join(filesOf(namespace), 'hosts'), '127.0.0.1 localhost\n::1 ip6-localhost\n');
  writeFileSync(join(filesOf(namespace), 'resolv.conf'), 'nameserver 127.0.0.1\n');
  writeFileSync(join(filesOf(namespace), 'passwd'), accounts);
  const peer = ['peer', 'name', `pod${index}`, 'netns', bridge];
  ip('-n', namespace, 'link', 'add', 'eth0', 'type', 'veth', ...peer);
  ip('-n', bridge, 'link', 'set', `pod${index}`, 'master', 'br0', 'up');
  ip('-n', namespace, 'link', 'set', 'lo', 'up');
  ip('-n', namespace, 'address', 'add', `${pod.v4}/24`, 'dev', 'eth0');
  ip('-n', namespace, 'address', 'add', `${pod.v6}/64`, 'dev', 'eth0', 'nodad');
  ip('-n', namespace, 'link', 'set', 'eth0', 'up');
  ip('-n', namespace, 'route', 'add', 'default', 'via', '10.7.0.254');
  ip('-n', namespace, '-6', 'route', 'add', 'default', 'via', 'fd07::fe');
  return pod;
}
