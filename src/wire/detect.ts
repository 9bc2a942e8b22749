/**
 * Protocol detection: what does a downstream speak, by its first bytes? Sans-IO.
 *
 *   HTTP/1.x   a whole `METHOD target HTTP/1.`, an empty line before it let pass; of a method that is not
 *              known the whole line, so that what only looks like HTTP passes untouched
 *              (`GET key\r\n` is a Redis command, `EHLO a\r\n` SMTP: both are told by their line's end)
 *   HTTP/2     the 24 bytes of its preface (RFC 9113 3.4)
 *   TLS        a handshake record that begins a ClientHello (RFC 8446 5.1, 4.1.2)
 *   other      everything else; CONNECT too, so that a call to a forward proxy passes untouched
 *
 * The verdict is the same however the bytes are split, and comes with the first byte that settles it.
 */

import { CR, isToken, LF, SP } from './http1/byte-class.ts';
import { Method, methodName } from './http1/method.ts';

export const Protocol = { Undecided: 0, Http1: 1, Http2: 2, Tls: 3, Other: 4 } as const;

/**
 * How long the rest of an undecided beginning is worth waiting for: what may become a method that is
 * known, a word that looks like a method, and anything else, which whoever sent it may think is whole.
 */
export const Patience = { None: 0, Word: 1, Line: 2 } as const;

const Part = {
  Method: 0,
  Target: 1,
  Version: 2,
  Minor: 3,
  Hello: 4,
  Preface: 5,
  EmptyLine: 6,
} as const;

const DELETE = 0x7f;
const version = 'HTTP/1.';
const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';

/** The longest registered method has 17 (UPDATEREDIRECTREF). */
const METHOD_BYTES_MAX = 24;

const HANDSHAKE_RECORD = 0x16;
const CLIENT_HELLO = 1;
/** Of a record: type, version (3, then anything), length; then the handshake's type. */
const VERSION_AT = 1;
const TYPE_AT = 5;

/** Methods that are known, then HTTP/2's; at most 31, one bit each. */
const names: readonly string[] = [...Object.values(Method).map((id) => methodName(id)), 'PRI'];
const CONNECT = names.indexOf(methodName(Method.Connect));
const PRI = names.length - 1;

/** Judges the first bytes of one connection. */
export class ProtocolDetector {
  verdict: number = Protocol.Undecided;
  /** A `Patience`, for as long as there is no verdict; it only gets less. */
  patience: number = Patience.Line;
  readonly #targetBytesMax: number;
  #part: number = Part.Method;
  /** Bytes of the part under way. */
  #length = 0;
  /** By bit: the names that the bytes so far may still be. */
  #candidates = (1 << names.length) - 1;
  #isBehindLine = false;

  /** A longer target counts as HTTP where the method is known: its reader knows the answer (414). */
  constructor(targetBytesMax: number) {
    this.#targetBytesMax = targetBytesMax;
  }

  /** Takes the next bytes until the verdict is there; returns it. */
  feed(bytes: Uint8Array): number {
    for (let at = 0; at < bytes.length && this.verdict === Protocol.Undecided; at++) {
      const byte = bytes[at]!;
      if (this.#part === Part.Method) this.#takeMethod(byte);
      else if (this.#part === Part.Target) this.#takeTarget(byte);
      else if (this.#part === Part.Version) this.#takeVersion(byte);
      else if (this.#part === Part.Minor) this.#takeMinor(byte);
      else if (this.#part === Part.Hello) this.#takeHello(byte);
      else if (this.#part === Part.Preface) this.#takePreface(byte);
      else this.#takeLineEnd(byte);
    }
    return this.verdict;
  }

  #takeMethod(byte: number): void {
    if (isToken[byte] === 1) {
      this.#narrow(byte);
      if (++this.#length > METHOD_BYTES_MAX) this.verdict = Protocol.Other;
    } else if (this.#length > 0) this.#endMethod(byte);
    else this.#takeFirst(byte);
  }

  /** What no method begins with. */
  #takeFirst(byte: number): void {
    if (this.#isBehindLine) this.verdict = Protocol.Other;
    else if (byte === HANDSHAKE_RECORD) {
      this.#next(Part.Hello);
      this.#length = 1;
    } else if (byte === CR) {
      this.#isBehindLine = true;
      this.patience = Patience.Word;
      this.#next(Part.EmptyLine);
    } else this.verdict = Protocol.Other;
  }

  #narrow(byte: number): void {
    let left = 0;
    for (let index = 0; index < names.length; index++) {
      const bit = 1 << index;
      if ((this.#candidates & bit) === 0) continue;
      if (names[index]!.charCodeAt(this.#length) === byte) left |= bit;
    }
    this.#candidates = left;
    if (left !== 0) return;
    const most = isOfMethods(byte) ? Patience.Word : Patience.None;
    if (most < this.patience) this.patience = most;
  }

  #endMethod(byte: number): void {
    const index = this.#known();
    if (byte !== SP || index === CONNECT) this.verdict = Protocol.Other;
    else if (index !== PRI) {
      if (index < 0) this.#tire();
      this.#next(Part.Target);
    } else if (this.#isBehindLine) this.verdict = Protocol.Other;
    else {
      this.#part = Part.Preface;
      this.#length++;
    }
  }

  /** The name that the whole method is, or -1. */
  #known(): number {
    for (let index = 0; index < names.length; index++) {
      const isLeft = (this.#candidates & (1 << index)) !== 0;
      if (isLeft && names[index]!.length === this.#length) return index;
    }
    return -1;
  }

  /** The method is none that is known. */
  #tire(): void {
    this.#candidates = 0;
    if (this.patience === Patience.Line) this.patience = Patience.Word;
  }

  #takePreface(byte: number): void {
    if (byte !== preface.charCodeAt(this.#length)) this.verdict = Protocol.Other;
    else if (++this.#length === preface.length) this.verdict = Protocol.Http2;
  }

  #takeTarget(byte: number): void {
    if (byte === SP && this.#length > 0) this.#next(Part.Version);
    else if (byte <= SP || byte === DELETE) this.verdict = Protocol.Other;
    else if (++this.#length > this.#targetBytesMax) {
      this.verdict = this.#candidates === 0 ? Protocol.Other : Protocol.Http1;
    }
  }

  #takeVersion(byte: number): void {
    if (byte !== version.charCodeAt(this.#length)) this.verdict = Protocol.Other;
    else if (++this.#length === version.length) {
      if (this.#candidates !== 0) this.verdict = Protocol.Http1;
      else this.#next(Part.Minor);
    }
  }

  /** The rest of a line whose method is not known: a digit, CR, LF. */
  #takeMinor(byte: number): void {
    const at = this.#length++;
    const isRight = at === 0 ? byte >= DIGIT_0 && byte <= DIGIT_9 : byte === (at === 1 ? CR : LF);
    if (!isRight) this.verdict = Protocol.Other;
    else if (at === 2) this.verdict = Protocol.Http1;
  }

  #takeHello(byte: number): void {
    const at = this.#length++;
    if (at === TYPE_AT) {
      this.verdict = byte === CLIENT_HELLO ? Protocol.Tls : Protocol.Other;
    } else if (at === VERSION_AT && byte !== 3) this.verdict = Protocol.Other;
  }

  #takeLineEnd(byte: number): void {
    if (byte === LF) this.#next(Part.Method);
    else this.verdict = Protocol.Other;
  }

  #next(part: number): void {
    this.#part = part;
    this.#length = 0;
  }
}

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const UPPER_A = 0x41;
const UPPER_Z = 0x5a;
const HYPHEN = 0x2d;

/** Whether registered methods have such bytes; a token may have many more. */
function isOfMethods(byte: number): boolean {
  return (byte >= UPPER_A && byte <= UPPER_Z) || byte === HYPHEN;
}
