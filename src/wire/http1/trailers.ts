/**
 * The trailer section of a chunked body: collected, checked, and filtered (RFC 9110 section 6.5).
 *
 * Lines are as strict as a head's. What comes out are only fields that the head declared in Trailer
 * (of a message that goes on as it was sent: all) and that may stand there at all: never framing, routing,
 * authentication, request modifiers or content description, never what was judged in the head, and
 * never merged into the head (reliability.md rows 125 and 199).
 */

import { COLON, CR, HTAB, isToken, isValue, LF, SP } from './byte-class.ts';
import { FieldId, fieldNames } from './field-id.ts';
import { latin1Text } from './latin1.ts';
import { Dropped, type MessageHead } from './message-head.ts';
import { Reason } from './refusal.ts';

const TrailerStep = {
  LineStart: 0,
  Name: 1,
  Value: 2,
  ValueLf: 3,
  EndLf: 4,
} as const;

/** Names that never pass as trailers, besides every known field that steers and families of names. */
const forbiddenNames = new Set([
  ...fieldNames.filter((_, id) => id < FieldId.ServerTiming || id > FieldId.XDatadogTraceId),
  'age',
  'authorization',
  'cache-control',
  'content-range',
  'cookie',
  'expires',
  'location',
  'max-forwards',
  'pragma',
  'proxy-authenticate',
  'proxy-authentication-info',
  'range',
  'retry-after',
  'set-cookie',
  'vary',
  'warning',
  'www-authenticate',
]);
const forbiddenPrefixes = ['if-', 'x-forwarded-', 'x-tracecar-', 'sec-', 'access-control-'];

/** Results of `TrailerSection.read`. */
export const TrailerState = { More: 0, Done: 1, Refused: 2 } as const;

const noNames: ReadonlySet<string> = new Set();

export class TrailerSection {
  /** Index in the chunk of the first byte that is not the section's. */
  position = 0;
  reason = 0;
  /** Name of the field that was refused. */
  field = '';
  /** Lines that are not among `kept`. */
  leftOut = 0;
  readonly #bytesMax: number;
  readonly #fieldsMax: number;
  readonly #nameBytesMax: number;
  #declared: ReadonlySet<string> = noNames;
  #withheld: ReadonlySet<string> = noNames;
  #isAsSent = false;
  #step: number = TrailerStep.LineStart;
  #line = '';
  #bytes = 0;
  #lineBytes = 0;
  #fields = 0;
  #kept = '';

  constructor(bytesMax: number, fieldsMax: number, nameBytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#fieldsMax = fieldsMax;
    this.#nameBytesMax = nameBytesMax;
  }

  /** Starts over, with what the head declares. */
  begin(head: MessageHead): void {
    this.#declared = declaredBy(head);
    this.#step = TrailerStep.LineStart;
    this.#line = '';
    this.#bytes = 0;
    this.#lineBytes = 0;
    this.#fields = 0;
    this.#kept = '';
    this.#withheld = noNames;
    this.#isAsSent = false;
    this.leftOut = 0;
    this.reason = Reason.None;
    this.field = '';
  }

  /** After `begin`: fields of these lower-case names are left out too; `isAsSent`: undeclared ones stay. */
  withhold(names: ReadonlySet<string>, isAsSent: boolean): void {
    this.#withheld = names;
    this.#isAsSent = isAsSent;
  }

  /** The lines that may be passed on, each with its CRLF; '' when there are none. */
  get kept(): string {
    return this.#kept;
  }

  /** Reads on; the section ends with its empty line. Holds one line at most, below the limit. */
  read(chunk: Buffer, from: number): number {
    let lineFrom = from;
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at]!;
      const reason = this.#take(byte);
      if (reason !== Reason.None) {
        this.#line += latin1Text(chunk, lineFrom, at);
        return this.#refuse(reason, at);
      }
      if (byte !== LF) continue;
      if (this.#lineBytes === 0) {
        this.position = at + 1;
        return TrailerState.Done;
      }
      this.#keep(this.#line + latin1Text(chunk, lineFrom, at + 1));
      lineFrom = at + 1;
    }
    this.#line += latin1Text(chunk, lineFrom, chunk.length);
    this.position = chunk.length;
    return TrailerState.More;
  }

  /** Moves on by one byte; a reason when it may not stand here. */
  #take(byte: number): number {
    if (++this.#bytes > this.#bytesMax) return Reason.TrailersLong;
    switch (this.#step) {
      case TrailerStep.LineStart:
        return this.#takeFirst(byte);
      case TrailerStep.Name:
        this.#lineBytes++;
        if (byte === COLON) this.#step = TrailerStep.Value;
        else if (isToken[byte] !== 1) return nameFault(byte);
        else if (this.#lineBytes > this.#nameBytesMax) return Reason.FieldNameLong;
        return Reason.None;
      case TrailerStep.Value:
        this.#lineBytes++;
        if (byte === CR) this.#step = TrailerStep.ValueLf;
        else if (isValue[byte] !== 1) return byte === LF ? Reason.BareLf : Reason.FieldValueByte;
        return Reason.None;
      default:
        if (byte !== LF) return Reason.BareCr;
        this.#step = TrailerStep.LineStart;
        return Reason.None;
    }
  }

  #takeFirst(byte: number): number {
    if (byte === CR) {
      this.#step = TrailerStep.EndLf;
      return Reason.None;
    }
    if (byte === SP || byte === HTAB) return Reason.Fold;
    if (byte === COLON) return Reason.FieldNameEmpty;
    if (isToken[byte] !== 1) return byte === LF ? Reason.BareLf : Reason.FieldNameByte;
    if (++this.#fields > this.#fieldsMax) return Reason.TrailersLong;
    this.#lineBytes = 1;
    this.#step = TrailerStep.Name;
    return Reason.None;
  }

  #keep(line: string): void {
    const name = line.slice(0, line.indexOf(':')).toLowerCase();
    if (this.#mayPass(name)) this.#kept += line;
    else this.leftOut++;
    this.#line = '';
    this.#lineBytes = 0;
  }

  #mayPass(name: string): boolean {
    if (!this.#isAsSent && !this.#declared.has(name)) return false;
    // CGI-like readers take `_` for `-`.
    const dashed = name.replaceAll('_', '-');
    return mayBeTrailer(dashed) && !this.#withheld.has(name) && !this.#withheld.has(dashed);
  }

  #refuse(reason: number, at: number): number {
    const colon = this.#line.indexOf(':');
    this.field = (colon < 0 ? this.#line : this.#line.slice(0, colon)).trim();
    this.reason = reason;
    this.position = at;
    return TrailerState.Refused;
  }
}

function nameFault(byte: number): number {
  if (byte === LF) return Reason.BareLf;
  if (byte === CR) return Reason.FieldNoColon;
  return byte === SP || byte === HTAB ? Reason.FieldNameSpace : Reason.FieldNameByte;
}

function mayBeTrailer(name: string): boolean {
  const isForbidden = forbiddenPrefixes.some((prefix) => name.startsWith(prefix));
  return !forbiddenNames.has(name) && !isForbidden;
}

function declaredBy(head: MessageHead): ReadonlySet<string> {
  let index = head.indexOf(FieldId.Trailer);
  if (index < 0) return noNames;
  const declared = new Set<string>();
  for (; index >= 0; index = head.indexOf(FieldId.Trailer, index + 1)) {
    if (head.dropped[index] !== Dropped.Kept) continue;
    for (const member of head.value(index).split(',')) declared.add(member.trim().toLowerCase());
  }
  return declared;
}
