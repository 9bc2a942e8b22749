/**
 * Protocol detection: what does a downstream speak, by its first bytes? Sans-IO.
 *
 *   HTTP/1.x   a whole `METHOD target HTTP/1.` (`GET key\r\n` is also a Redis command)
 *   HTTP/2     the 24 bytes of its preface (RFC 9113 3.4)
 *   TLS        a handshake record that begins a ClientHello (RFC 8446 5.1, 4.1.2)
 *   other      everything else; CONNECT too, so that a call to a forward proxy passes untouched
 *
 * The verdict is the same however the bytes are split, and comes with the first byte that settles it.
 */

import { Method, methodName } from './http1/method.ts';

export const Protocol = { Undecided: 0, Http1: 1, Http2: 2, Tls: 3, Other: 4 } as const;

const Part = { Method: 0, Target: 1, Version: 2, Hello: 3 } as const;

const SPACE = 0x20;
const DELETE = 0x7f;
const version = 'HTTP/1.';

const HANDSHAKE_RECORD = 0x16;
const CLIENT_HELLO = 1;
/** Of a record: type, version (3, then anything), length; then the handshake's type. */
const VERSION_AT = 1;
const TYPE_AT = 5;

/** Names that begin a forwardable request, then HTTP/2's preface; at most 31, one bit each. */
const starts: readonly string[] = [
  ...Object.values(Method)
    .filter((id) => id !== Method.Connect)
    .map((id) => methodName(id)),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
];
const PREFACE = starts.length - 1;
const prefaceBytes = starts[PREFACE]!.length;

/** Judges the first bytes of one connection. */
export class ProtocolDetector {
  verdict: number = Protocol.Undecided;
  readonly #targetBytesMax: number;
  #part: number = Part.Method;
  /** Bytes of the part under way. */
  #length = 0;
  /** By bit: the starts that the bytes so far may still be. */
  #candidates = (1 << starts.length) - 1;

  /** A longer target counts as HTTP: its reader knows the answer (414). */
  constructor(targetBytesMax: number) {
    this.#targetBytesMax = targetBytesMax;
  }

  /** Takes the next bytes until the verdict is there; returns it. */
  feed(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length && this.verdict === Protocol.Undecided; at++) {
      const byte = bytes[at]!;
      if (this.#part === Part.Method) this.#takeStart(byte);
      else if (this.#part === Part.Target) this.#takeTarget(byte);
      else if (this.#part === Part.Version) this.#takeVersion(byte);
      else this.#takeHello(byte);
    }
    return this.verdict;
  }

  #takeStart(byte: number): void {
    if (this.#length === 0 && byte === HANDSHAKE_RECORD) {
      this.#next(Part.Hello);
      this.#length = 1;
      return;
    }
    let left = 0;
    let isWhole = false;
    for (let index = 0; index < starts.length; index++) {
      if ((this.#candidates & (1 << index)) === 0) continue;
      const start = starts[index]!;
      if (this.#length === start.length) isWhole ||= byte === SPACE;
      else if (start.charCodeAt(this.#length) === byte) left |= 1 << index;
    }
    this.#candidates = left;
    if (isWhole) this.#next(Part.Target);
    else if (left === 0) this.verdict = Protocol.Other;
    else if (++this.#length === prefaceBytes) this.verdict = Protocol.Http2;
  }

  #takeTarget(byte: number): void {
    if (byte === SPACE && this.#length > 0) this.#next(Part.Version);
    else if (byte <= SPACE || byte === DELETE) this.verdict = Protocol.Other;
    else if (++this.#length > this.#targetBytesMax) this.verdict = Protocol.Http1;
  }

  #takeVersion(byte: number): void {
    if (byte !== version.charCodeAt(this.#length)) this.verdict = Protocol.Other;
    else if (++this.#length === version.length) this.verdict = Protocol.Http1;
  }

  #takeHello(byte: number): void {
    const at = this.#length++;
    if (at === TYPE_AT) {
      this.verdict = byte === CLIENT_HELLO ? Protocol.Tls : Protocol.Other;
    } else if (at === VERSION_AT && byte !== 3) this.verdict = Protocol.Other;
  }

  #next(part: number): void {
    this.#part = part;
    this.#length = 0;
  }
}
