/**
 * The sentinel: an address that nobody has, to which only the redirection rules of this pod answer.
 *
 *   prove ── dial 192.0.2.1:15001 ──► rules of the kernel ──► our outbound capture ── takes ──► proven
 *
 * A dial by the proxy's own user is never redirected, except to the sentinel (injector/init/rules.ts):
 * one that comes back shows that the rules are in force and that original destinations can be read.
 * Whoever dialled it, such a connection is never passed on: that would be a loop without an end.
 */

import { connect, type Socket } from 'node:net';
import type { Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { OriginalDestination } from './original-destination.ts';
import { printAddress } from './print-address.ts';

export type Family = 'v4' | 'v6';

/** Addresses of the documentation ranges (RFC 5737, RFC 3849): nobody listens there. */
export const sentinels = Object.freeze({ v4: '192.0.2.1', v6: '2001:db8::1' });

/** Codes of a process that is short of something: they say nothing about the rules. */
const ownWants = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']);

const missingRules =
  'the redirection rules of this pod are not in force (did `tracecar init` run here? `nft list table inet tracecar` shows them)';

export class Sentinel {
  readonly #wakeUps: WakeUps;
  readonly #port: () => number;
  readonly #addresses: Readonly<Record<Family, string>>;
  readonly #dials = new Set<Dial>();

  /** `port` is that of the outbound capture, 15001 in a pod; other addresses are for tests. */
  constructor(
    wakeUps: WakeUps,
    port: () => number,
    addresses: Readonly<Record<Family, string>> = sentinels,
  ) {
    this.#wakeUps = wakeUps;
    this.#port = port;
    this.#addresses = addresses;
  }

  /**
   * Empty when the sentinel of every family came back, each within `timeoutMs`; one line for a person
   * when not; undefined when that cannot be told now. Never rejects.
   */
  async prove(families: readonly Family[], timeoutMs: Milliseconds): Promise<string | undefined> {
    const dials = families.map((family) => {
      const dial = new Dial(this.#addresses[family], this.#port(), timeoutMs, this.#wakeUps);
      this.#dials.add(dial);
      return dial;
    });
    const answers = await Promise.all(dials.map(({ answer }) => answer));
    for (const dial of dials) this.#dials.delete(dial);
    return answers.find((answer) => answer !== '' && answer !== undefined) ?? worst(answers);
  }

  /** Whether a captured connection was going to the sentinel: then it is of no more use. */
  takes({ address, port }: OriginalDestination): boolean {
    if (port !== this.#port()) return false;
    if (address !== this.#addresses.v4 && address !== this.#addresses.v6) return false;
    for (const dial of this.#dials) if (dial.address === address) dial.end('');
    return true;
  }

  /** A connection came whose destination reads as ourselves or cannot be read: ours, perhaps. */
  misread(destination: OriginalDestination | undefined): void {
    for (const dial of this.#dials) dial.misread(destination);
  }
}

/** Of answers among which there is no problem. */
function worst(answers: readonly (string | undefined)[]): string | undefined {
  return answers.includes(undefined) ? undefined : '';
}

/** One dial of the sentinel. Whoever answers, nothing is said. */
class Dial {
  readonly address: string;
  readonly answer: Promise<string | undefined>;
  readonly #port: number;
  readonly #socket: Socket;
  #isConnected = false;
  #readAs = '';
  #settle!: (answer: string | undefined) => void;
  readonly #callOff: () => void;

  constructor(address: string, port: number, timeoutMs: Milliseconds, wakeUps: WakeUps) {
    this.address = address;
    this.#port = port;
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
    this.#callOff();
    this.#settle(answer);
    this.#socket.destroy();
  }

  #fail(code: string): void {
    if (ownWants.has(code)) {
      this.end(undefined);
      return;
    }
    const problem = this.#isConnected ? this.#whoAnswered() : `${missingRules}: ${code}`;
    this.end(`${problem}, for a dial of the sentinel ${printAddress(this.address, this.#port)}`);
  }

  /** Somebody did, and it was not what it should have been. */
  #whoAnswered(): string {
    if (this.#readAs === '') return `${missingRules}: another host answers`;
    return `the original destination reads as ${this.#readAs}`;
  }
}
