/**
 * The line before each chunk: its size, and extensions that are checked, counted and dropped.
 *
 * RFC 9112 section 7.1 without white space: none around the size (two readings of `4 ` exist), none
 * in extensions outside quotes. Sizes have at most 12 hexadecimal digits, so that they are exact in a
 * double. Extensions are limited per chunk and per message, since they cost work and carry nothing.
 */

import { CR, hexValue, isToken, isValue, LF } from './byte-class.ts';
import { Reason } from './refusal.ts';

export const ChunkHeadState = { More: 0, Done: 1, Refused: 2 } as const;

const DIGITS_MAX = 12;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const Step = {
  Size: 0,
  /** Right behind `;`. */
  NameStart: 1,
  Name: 2,
  /** Right behind `=`. */
  ValueStart: 3,
  Token: 4,
  Quoted: 5,
  Escaped: 6,
  /** Behind a closing quote. */
  QuotedEnd: 7,
  LineLf: 8,
} as const;

export class ChunkHead {
  /** After `read`: index of the first byte that is not this line's, or of the defect. */
  position = 0;
  /** After Done: bytes of the chunk; 0 for the last one. */
  size = 0;
  /** After Refused: a `Reason`. */
  reason = 0;
  readonly #chunkMax: number;
  readonly #messageMax: number;
  #step: number = Step.Size;
  #digits = 0;
  #extensionBytes = 0;
  #messageBytes = 0;

  constructor(chunkExtensionBytesMax: number, messageExtensionBytesMax: number) {
    this.#chunkMax = chunkExtensionBytesMax;
    this.#messageMax = messageExtensionBytesMax;
  }

  /** A new message. */
  beginBody(): void {
    this.#messageBytes = 0;
    this.#beginLine();
  }

  /** Reads on; after Done the next call begins the next line. */
  read(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#step === Step.Size) {
      at = this.#readSize(chunk, from);
      if (at < 0) return ChunkHeadState.Refused;
    }
    for (; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (this.#step === Step.LineLf) {
        if (byte !== LF) return this.#refuse(Reason.BareCr, at);
        this.#beginLine();
        this.position = at + 1;
        return ChunkHeadState.Done;
      }
      const reason = this.#takeExtension(byte);
      if (reason !== Reason.None) return this.#refuse(reason, at);
    }
    this.position = at;
    return ChunkHeadState.More;
  }

  #beginLine(): void {
    this.#step = Step.Size;
    this.#digits = 0;
    this.#extensionBytes = 0;
  }

  /** The index behind the size and the byte that ends it, or -1 when refused. */
  #readSize(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#digits === 0) this.size = 0;
    for (; at < chunk.length; at++) {
      const digit = hexValue[chunk[at]!]!;
      if (digit > 15) return this.#endSize(chunk[at]!, at);
      if (++this.#digits > DIGITS_MAX) {
        this.#refuse(Reason.ChunkSize, at);
        return -1;
      }
      this.size = this.size * 16 + digit;
    }
    return at;
  }

  #endSize(byte: number, at: number): number {
    if (this.#digits > 0 && byte === CR) {
      this.#step = Step.LineLf;
      return at + 1;
    }
    if (this.#digits > 0 && byte === SEMICOLON) {
      this.#step = Step.NameStart;
      return at + 1;
    }
    this.#refuse(byte === LF ? Reason.BareLf : Reason.ChunkSize, at);
    return -1;
  }

  /** One byte of the extensions; moves to LineLf at the CR that ends them. */
  #takeExtension(byte: number): number {
    const isQuoted = this.#step === Step.Quoted || this.#step === Step.Escaped;
    if (byte === CR && !isQuoted) {
      if (this.#step === Step.NameStart || this.#step === Step.ValueStart) {
        return Reason.ChunkExtension;
      }
      this.#step = Step.LineLf;
      return Reason.None;
    }
    if (++this.#extensionBytes > this.#chunkMax) return Reason.ChunkExtensionLong;
    if (++this.#messageBytes > this.#messageMax) return Reason.ChunkExtensionLong;
    if (byte === LF) return Reason.BareLf;
    const next = isQuoted ? stepInQuotes(this.#step, byte) : stepOutside(this.#step, byte);
    if (next < 0) return Reason.ChunkExtension;
    this.#step = next;
    return Reason.None;
  }

  #refuse(reason: number, at: number): number {
    this.reason = reason;
    this.position = at;
    return ChunkHeadState.Refused;
  }
}

function stepInQuotes(step: number, byte: number): number {
  if (isValue[byte] !== 1) return -1;
  if (step === Step.Escaped) return Step.Quoted;
  if (byte === QUOTE) return Step.QuotedEnd;
  return byte === BACKSLASH ? Step.Escaped : Step.Quoted;
}

/** The step behind `byte`, or -1 when it may not stand there. */
function stepOutside(step: number, byte: number): number {
  const isTokenByte = isToken[byte] === 1;
  switch (step) {
    case Step.NameStart:
      return isTokenByte ? Step.Name : -1;
    case Step.Name:
      if (isTokenByte) return Step.Name;
      if (byte === EQUALS) return Step.ValueStart;
      return byte === SEMICOLON ? Step.NameStart : -1;
    case Step.ValueStart:
      if (byte === QUOTE) return Step.Quoted;
      return isTokenByte ? Step.Token : -1;
    case Step.Token:
      if (isTokenByte) return Step.Token;
      return byte === SEMICOLON ? Step.NameStart : -1;
    default:
      return byte === SEMICOLON ? Step.NameStart : -1;
  }
}
