/**
 * The sentinel: an address that nobody has, to which only the redirection rules of this pod answer.
 *
 *   prove ─┬─ dial 192.0.2.1:15001 ──► outbound rules ──► our outbound capture ─┬─ takes ──► proven
 *          └─ dial 192.0.2.1:15006 ──► inbound rules ───► our inbound capture ──┘
 *
 * A dial by the proxy's own user is never redirected, except to the sentinel (injector/init/rules.ts):
 * one that comes back shows that the rules of its direction are in force and that original destinations
 * can be read. That the kernel enters the inbound rules for what comes from elsewhere it cannot show.
 * Rules are asked after the route: a family without one to the sentinel is left out, and that is told.
 * Whoever dialled it, such a connection is never passed on: that would be a loop without an end.
 */

import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import type { WakeUps } from '../../base/deadlines.ts';
import type { Direction } from '../../model/routing-table.ts';
import type { OriginalDestination } from '../socket/original-destination.ts';
import { printAddress } from '../socket/print-address.ts';

export type Family = 'v4' | 'v6';

/** The rules of one direction and family. */
export interface ProvenRules {
  readonly direction: Direction;
  readonly family: Family;
}

/** Addresses of the documentation ranges (RFC 5737, RFC 3849): nobody listens there. */
export const sentinels = Object.freeze({ v4: '192.0.2.1', v6: '2001:db8::1' });

/** Codes of a process that is short of something: they say nothing about the rules. */
const ownWants = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

/** Codes of a destination without a route (a blackhole or a prohibition too), or that a router has none to. */
const unreachable = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EINVAL', 'EACCES']);

/** How a dial ended that had no route. */
const noRoute = 'no route';

const names = Object.freeze({ v4: 'IPv4', v6: 'IPv6' });

export interface SentinelOptions {
  /** Others than `sentinels`, for tests. */
  readonly addresses?: Readonly<Record<Family, string>>;
  /** As `hasRoute`. */
  hasRoute?(address: string, port: number): Promise<boolean>;
  /** A line for a person: the family that nothing is proven of has changed. */
  tell?(text: string): void;
}

const nothingToProve =
  'this pod has no address of a family that the sidecar listens for, so nothing proves its redirection rules (POD_IPS, or else the interfaces, say what it has when the sidecar starts)';

export class Sentinel {
  readonly #wakeUps: WakeUps;
  readonly #portOf: (direction: Direction) => number;
  readonly #addresses: Readonly<Record<Family, string>>;
  readonly #hasRoute: (address: string, port: number) => Promise<boolean>;
  readonly #tell: (text: string) => void;
  /** The family that was left out of the last proof. */
  #leftOut: Family | undefined;
  readonly #dials = new Set<Dial>();

  /** `portOf` gives those of the captures, 15001 and 15006 in a pod. */
  constructor(
    wakeUps: WakeUps,
    portOf: (direction: Direction) => number,
    options: SentinelOptions = {},
  ) {
    this.#wakeUps = wakeUps;
    this.#portOf = portOf;
    this.#addresses = options.addresses ?? sentinels;
    this.#hasRoute = options.hasRoute ?? hasRoute;
    this.#tell = options.tell ?? (() => undefined);
  }

  /**
   * Empty when the sentinel came back by all of `rules`, each within `timeoutMs`, but for a family
   * without a route to it where the other one has one; a line for a person when not, or when there are
   * none; undefined when that cannot be told now. Never rejects.
   */
  async prove(rules: readonly ProvenRules[], timeoutMs: Milliseconds): Promise<string | undefined> {
    if (rules.length === 0) return nothingToProve;
    const dials = rules.map(({ direction, family }) => {
      const port = this.#portOf(direction);
      const dial = new Dial(direction, this.#addresses[family], port, timeoutMs, this.#wakeUps);
      this.#dials.add(dial);
      return dial;
    });
    const answers = await Promise.all(dials.map((dial) => this.#answerOf(dial)));
    for (const dial of dials) this.#dials.delete(dial);
    const isRouted = answers.map((answer) => answer !== noRoute);
    const failed = dials.filter((_dial, index) => isRouted[index] && (answers[index] ?? '') !== '');
    const [first] = failed;
    if (first === undefined) {
      if (!isRouted.includes(true)) return this.#unprovable(rules);
      this.#leaveOut(rules[isRouted.indexOf(false)]?.family);
      return answers.includes(undefined) ? undefined : '';
    }
    const isOne = failed.every(({ direction }) => direction === first.direction);
    return first.explain(isOne ? `${first.direction} ` : '');
  }

  /** As Dial.answer, or that it had no route: then rules say nothing to it. */
  async #answerOf({ answer, address, port }: Dial): Promise<string | undefined> {
    const ending = await answer;
    if (ending === undefined || !unreachable.has(ending)) return ending;
    // Without rules a router may say the same.
    return (await this.#hasRoute(address, port)) ? ending : noRoute;
  }

  #unprovable(rules: readonly ProvenRules[]): string {
    const places = new Set(rules.map(({ family }) => this.#addresses[family]));
    return `nothing proves the redirection rules of this pod, because it has no route to the sentinel ${[...places].join(' or ')} (a default route is one, and so is \`ip route add\` of that address to any interface but lo; nobody has it)`;
  }

  #leaveOut(family: Family | undefined): void {
    if (family === this.#leftOut) return;
    this.#leftOut = family;
    const text =
      family === undefined
        ? 'the redirection rules of both families are proven again'
        : `the redirection rules of ${names[family]} are not proven, only those of the other family: this pod has no route of it to the sentinel ${this.#addresses[family]}`;
    this.#tell(text);
  }

  /** Whether what `direction` captured was going to the sentinel: then it is of no more use. */
  takes({ address, port }: OriginalDestination, direction: Direction): boolean {
    if (address !== this.#addresses.v4 && address !== this.#addresses.v6) return false;
    if (port !== this.#portOf('outbound') && port !== this.#portOf('inbound')) return false;
    for (const dial of this.#dials) {
      // Somebody else's dial that went another way says nothing of these rules.
      if (dial.address === address && dial.port === port && dial.direction === direction) {
        dial.end('');
      }
    }
    return true;
  }

  /** A connection came whose destination reads as ourselves or cannot be read: ours, perhaps. */
  misread(destination: OriginalDestination | undefined, direction: Direction): void {
    for (const dial of this.#dials) if (dial.direction === direction) dial.misread(destination);
  }
}

/** One dial of the sentinel. Whoever answers, nothing is said. */
class Dial {
  readonly direction: Direction;
  readonly address: string;
  readonly port: number;
  /** Empty when it came back; else how it ended; undefined when that says nothing of the rules. */
  readonly answer: Promise<string | undefined>;
  readonly #socket: Socket;
  #isConnected = false;
  #isOver = false;
  /** How it ended, when it did not come back. */
  #ending = '';
  #readAs = '';
  #settle!: (answer: string | undefined) => void;
  readonly #callOff: () => void;

  constructor(
    direction: Direction,
    address: string,
    port: number,
    timeoutMs: Milliseconds,
    wakeUps: WakeUps,
  ) {
    this.direction = direction;
    this.address = address;
    this.port = port;
    this.answer = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#socket = connect({ host: address, port });
    this.#socket.on('connect', () => {
      this.#isConnected = true;
    });
    this.#socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (!this.#isConnected) this.#fail(code ?? 'no connection');
    });
    this.#socket.on('close', () => this.#fail('no answer'));
    // Without a reader its end would not be seen.
    this.#socket.resume();
    // Timers run before the sockets of their turn: after a stall of ours it may have come back already.
    let callOff = wakeUps.after(timeoutMs, () => {
      callOff = wakeUps.after(0, () => this.#fail('no answer'));
    });
    this.#callOff = () => callOff();
  }

  misread(destination: OriginalDestination | undefined): void {
    this.#readAs =
      destination === undefined ? 'nothing' : printAddress(destination.address, destination.port);
  }

  end(answer: string | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ending = answer ?? '';
    this.#callOff();
    this.#settle(answer);
    this.#socket.destroy();
  }

  /** One line for a person; `which` names the direction when the other one's rules are in force. */
  explain(which: string): string {
    const problem =
      this.#isConnected && this.#readAs !== ''
        ? `the original destination reads as ${this.#readAs}`
        : `the ${which}redirection rules of this pod are not in force (did \`tracecar init\` run here? \`nft list table inet tracecar\` shows them): ${this.#ending}`;
    return `${problem}, for a dial of the sentinel ${printAddress(this.address, this.port)}`;
  }

  #fail(code: string): void {
    if (ownWants.has(code)) this.end(undefined);
    else this.end(this.#isConnected ? 'another host answers' : code);
  }
}

/**
 * Whether the kernel knows a way to `address`. Connecting a UDP socket looks for one and sends nothing,
 * so no router has a say. What says nothing of routes counts as one.
 */
export function hasRoute(address: string, port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const end = (error?: NodeJS.ErrnoException) => {
      settle(error === undefined || !unreachable.has(error.code ?? ''));
      socket.close();
    };
    socket.once('error', end);
    socket.connect(port, address, end as () => void);
  });
}
