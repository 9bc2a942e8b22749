/**
 * Protocol detection: is what a downstream says first an HTTP/1.x request line? Sans-IO.
 *
 * Only a whole `METHOD target HTTP/1.` counts: `GET key\r\n` is also a Redis command. CONNECT counts
 * as opaque, so that a call to a forward proxy passes untouched. The verdict is the same however the
 * bytes are split, and comes with the first byte that settles it: an opaque peer never waits.
 */

import { Method, methodName } from './http1/method.ts';

export const Protocol = { Undecided: 0, Http1: 1, Opaque: 2 } as const;

const Part = { Method: 0, Target: 1, Version: 2 } as const;

const SPACE = 0x20;
const DELETE = 0x7f;
const version = 'HTTP/1.';

/** Names that begin a forwardable request; at most 31, one bit each. */
const methods: readonly string[] = Object.values(Method)
  .filter((id) => id !== Method.Connect)
  .map((id) => methodName(id));

/** Judges the first bytes of one connection. */
export class ProtocolDetector {
  verdict: number = Protocol.Undecided;
  readonly #targetBytesMax: number;
  #part: number = Part.Method;
  /** Bytes of the part under way. */
  #length = 0;
  /** By bit: the names that the bytes so far may still be. */
  #candidates = (1 << methods.length) - 1;

  /** A longer target counts as HTTP: its reader knows the answer (414). */
  constructor(targetBytesMax: number) {
    this.#targetBytesMax = targetBytesMax;
  }

  /** Takes the next bytes until the verdict is there; returns it. */
  feed(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length && this.verdict === Protocol.Undecided; at++) {
      const byte = bytes[at]!;
      if (this.#part === Part.Method) this.#takeMethod(byte);
      else if (this.#part === Part.Target) this.#takeTarget(byte);
      else this.#takeVersion(byte);
    }
    return this.verdict;
  }

  #takeMethod(byte: number): void {
    let left = 0;
    let isWhole = false;
    for (let index = 0; index < methods.length; index++) {
      if ((this.#candidates & (1 << index)) === 0) continue;
      const name = methods[index]!;
      if (this.#length === name.length) isWhole ||= byte === SPACE;
      else if (name.charCodeAt(this.#length) === byte) left |= 1 << index;
    }
    this.#candidates = left;
    if (isWhole) this.#next(Part.Target);
    else if (left === 0) this.verdict = Protocol.Opaque;
    else this.#length++;
  }

  #takeTarget(byte: number): void {
    if (byte === SPACE && this.#length > 0) this.#next(Part.Version);
    else if (byte <= SPACE || byte === DELETE) this.verdict = Protocol.Opaque;
    else if (++this.#length > this.#targetBytesMax) this.verdict = Protocol.Http1;
  }

  #takeVersion(byte: number): void {
    if (byte !== version.charCodeAt(this.#length)) this.verdict = Protocol.Opaque;
    else if (++this.#length === version.length) this.verdict = Protocol.Http1;
  }

  #next(part: number): void {
    this.#part = part;
    this.#length = 0;
  }
}
