/**
 * The one header list of a message: its text, and where each part lies in it.
 *
 * Filled by HeadReader, judged by framing.ts, printed by print.ts; nobody re-derives anything from
 * bytes. One object serves one direction of a connection for all its messages, so what it says is
 * valid until the next read. Drawing of one field, offsets into `text`:
 *
 *    X-Name:   value  CRLF
 *    ^nameStart ^valueStart
 *          ^nameEnd  ^valueEnd
 *                         ^lineEnd
 */

import { BodyKind } from './body-kind.ts';
import { FieldId } from './field-id.ts';
import { methodName } from './method.ts';
import { RememberedText } from './remembered-text.ts';

/** Who may get a field: everybody, nobody, or only whom the message reaches as it was sent. */
export const Dropped = { Kept: 0, Normalised: 1, Never: 2 } as const;

/** Most heads have fewer fields; a connection that sees more grows its arrays once. */
const FIRST_FIELDS = 16;

export class MessageHead {
  /** Latin-1 text from the start line's first byte to the empty line's end, all of it. */
  text = '';
  /** An empty line came before a request; `text` is without it. */
  isBehindLine = false;
  /** `Method` of a request, 0 in a response. */
  method = 0;
  minorVersion: 0 | 1 = 1;
  /** 100 to 599 in a response, 0 in a request. */
  status = 0;
  /** The request-target as sent; in a response the reason phrase. */
  targetStart = 0;
  targetEnd = 0;
  /** End of the start line: just past its CRLF. */
  startLineEnd = 0;
  /** Where the empty line begins. */
  fieldsEnd = 0;
  count = 0;
  /** One `FieldId` per field. */
  ids: Uint8Array;
  nameStart: Int32Array;
  nameEnd: Int32Array;
  valueStart: Int32Array;
  valueEnd: Int32Array;
  lineEnd: Int32Array;
  /** One `Dropped` per field: Normalised = of this hop, Never = nominated, or removed by the proxy. */
  dropped: Uint8Array;
  bodyKind: number = BodyKind.None;
  /** Declared bytes; valid for BodyKind.Length, and in answers to HEAD and 304. */
  contentLength = 0;
  /** Index of the Content-Length field, or -1. */
  lengthIndex = -1;
  /** Content-Length is written as we would write it; false makes the printer rewrite it. */
  lengthIsCanonical = true;
  persistent = true;
  expectsContinue = false;
  /** A switch of protocols is asked for; the Upgrade field's mark says to whom that may be passed on. */
  hasUpgrade = false;
  /**
   * A `Reason` why the message may go on only as it was sent, to where it was going: 0 = none. Only a
   * lenient reader takes such a message. Where it was found, and the field.
   */
  fault = 0;
  /** How many there are; what is told is the first one. */
  faults = 0;
  /** A method that is not known, as it was sent; '' of others, and of one that is endless. */
  sentMethod = '';
  faultAt = 0;
  faultField = '';
  /** Index of Host, or -1 (HTTP/1.0 only); where its hostname ends in `text`. */
  hostIndex = -1;
  hostnameEnd = 0;
  /** End of the path in `text` (`?` or targetEnd), for a target in origin-form. */
  pathEnd = 0;
  /** The path to use in place of the one in `text`, '' when that one is already normal. */
  normalPath = '';
  /** Scheme and authority of an absolute-form target, lower-case; '' for any other form. */
  targetScheme: '' | 'http' | 'https' = '';
  targetAuthority = '';
  /** What routing asks: a `RequestView` of model/request-view.ts. */
  readonly view: RequestHeadView;
  /** The path of this message once somebody has asked for it. */
  #path = '';
  readonly #authority = new RememberedText();
  readonly #hostnames = new RememberedText();
  readonly #userAgent = new RememberedText();
  /** The last hostname as sent, and in lower case. */
  #hostnameSent = '';
  #hostname = '';

  constructor() {
    const arrays = fieldArrays(FIRST_FIELDS);
    this.ids = arrays.ids;
    this.nameStart = arrays.nameStart;
    this.nameEnd = arrays.nameEnd;
    this.valueStart = arrays.valueStart;
    this.valueEnd = arrays.valueEnd;
    this.lineEnd = arrays.lineEnd;
    this.dropped = arrays.dropped;
    this.view = new RequestHeadView(this);
  }

  /** Index of the first field with that id at or after `from` (dropped ones too), or -1. */
  indexOf(id: number, from = 0): number {
    const ids = this.ids;
    for (let index = from; index < this.count; index++) if (ids[index] === id) return index;
    return -1;
  }

  /** Value of a field, without surrounding white space. */
  value(index: number): string {
    return this.text.slice(this.valueStart[index], this.valueEnd[index]);
  }

  /** Name of a field as sent. */
  name(index: number): string {
    return this.text.slice(this.nameStart[index], this.nameEnd[index]);
  }

  /** Whether the field's name is `lowerName`, without case. */
  isNamed(index: number, lowerName: string): boolean {
    const start = this.nameStart[index]!;
    if (this.nameEnd[index]! - start !== lowerName.length) return false;
    return equalsLower(this.text, start, lowerName);
  }

  /** Takes every field of that lower-case name out of what is printed. */
  drop(lowerName: string): void {
    for (let index = 0; index < this.count; index++) {
      if (this.isNamed(index, lowerName)) this.dropped[index] = Dropped.Never;
    }
  }

  /** Keeps the first fault of this message. */
  noteFault(reason: number, at: number, field: string): void {
    this.faults++;
    if (this.faults > 1) return;
    this.fault = reason;
    this.faultAt = at;
    this.faultField = field;
  }

  /** The method of a request, also one that is not known; '' in a response. */
  methodText(): string {
    const isUnknown = this.method === 0 && this.status === 0;
    return isUnknown ? this.text.slice(0, this.targetStart - 1) : methodName(this.method);
  }

  /** What is forwarded as request-target: origin-form with a normal path, query untouched; or `*`. */
  target(): string {
    if (this.pathEnd === this.targetEnd) return this.path();
    if (this.normalPath === '') return this.text.slice(this.targetStart, this.targetEnd);
    return this.normalPath + this.text.slice(this.pathEnd, this.targetEnd);
  }

  /** Path without query, normalised. */
  path(): string {
    if (this.normalPath !== '') return this.normalPath;
    if (this.#path === '') this.#path = this.text.slice(this.targetStart, this.pathEnd);
    return this.#path;
  }

  /** Host as sent, '' when an HTTP/1.0 request has none. */
  authority(): string {
    const index = this.hostIndex;
    if (index < 0) return '';
    return this.#authority.of(this.text, this.valueStart[index]!, this.valueEnd[index]!);
  }

  /** User-Agent as sent, '' when there is none. */
  userAgent(): string {
    const index = this.indexOf(FieldId.UserAgent);
    if (index < 0) return '';
    return this.#userAgent.of(this.text, this.valueStart[index]!, this.valueEnd[index]!);
  }

  /** Host for routing: lower-case, port and one trailing dot cut; '' when there is none. */
  hostname(): string {
    if (this.hostIndex < 0) return '';
    const start = this.valueStart[this.hostIndex]!;
    const sent = this.#hostnames.of(this.text, start, this.hostnameEnd);
    if (sent !== this.#hostnameSent) {
      this.#hostnameSent = sent;
      this.#hostname = sent.toLowerCase();
    }
    return this.#hostname;
  }

  /** Forgets the last message, so that what the reader and framing.ts do not set is as at first. */
  clear(): void {
    this.count = 0;
    this.method = 0;
    this.status = 0;
    this.bodyKind = BodyKind.None;
    this.contentLength = 0;
    this.lengthIndex = -1;
    this.lengthIsCanonical = true;
    this.persistent = true;
    this.expectsContinue = false;
    this.hasUpgrade = false;
    this.fault = 0;
    this.faults = 0;
    this.sentMethod = '';
    this.hostIndex = -1;
    this.normalPath = '';
    this.targetScheme = '';
    this.targetAuthority = '';
    this.#path = '';
  }

  /** Room for one more field: doubles the arrays. Called by the reader below its limit. */
  grow(): void {
    const arrays = fieldArrays(this.ids.length * 2);
    this.ids = moved(this.ids, arrays.ids);
    this.nameStart = moved(this.nameStart, arrays.nameStart);
    this.nameEnd = moved(this.nameEnd, arrays.nameEnd);
    this.valueStart = moved(this.valueStart, arrays.valueStart);
    this.valueEnd = moved(this.valueEnd, arrays.valueEnd);
    this.lineEnd = moved(this.lineEnd, arrays.lineEnd);
    this.dropped = moved(this.dropped, arrays.dropped);
  }
}

/** Arrays for `fields` fields (a multiple of 4) in one piece of memory, as each piece costs its own. */
function fieldArrays(fields: number) {
  const memory = new ArrayBuffer(fields * (5 * 4 + 2));
  const positions = (place: number) => new Int32Array(memory, place * fields * 4, fields);
  return {
    nameStart: positions(0),
    nameEnd: positions(1),
    valueStart: positions(2),
    valueEnd: positions(3),
    lineEnd: positions(4),
    ids: new Uint8Array(memory, fields * 20, fields),
    dropped: new Uint8Array(memory, fields * 21, fields),
  };
}

function moved<T extends Uint8Array | Int32Array>(old: T, bigger: T): T {
  bigger.set(old);
  return bigger;
}

/** Whether `text` from `start` is `lower` without case; `lower` has no upper-case letters. */
export function equalsLower(text: string, start: number, lower: string): boolean {
  for (let at = 0; at < lower.length; at++) {
    const code = text.charCodeAt(start + at);
    const folded = code >= 0x41 && code <= 0x5a ? code | 0x20 : code;
    if (folded !== lower.charCodeAt(at)) return false;
  }
  return true;
}

/** What routing asks, answered from the list. Dropped fields are not forwarded, so not matched. */
export class RequestHeadView {
  readonly #head: MessageHead;

  constructor(head: MessageHead) {
    this.#head = head;
  }

  get method(): string {
    return this.#head.methodText();
  }

  get hostname(): string {
    return this.#head.hostname();
  }

  get path(): string {
    return this.#head.path();
  }

  get query(): string | undefined {
    const head = this.#head;
    return head.pathEnd < head.targetEnd
      ? head.text.slice(head.pathEnd + 1, head.targetEnd)
      : undefined;
  }

  /** Host as sent, with its port; '' when there is none. */
  get authority(): string {
    return this.#head.authority();
  }

  /**
   * The value of the field's line number `index` from 0, undefined when there are no more: of all that
   * may go on, also of what goes on only in a message as it was sent.
   */
  fieldLine(name: string, index: number): string | undefined {
    const head = this.#head;
    let left = index;
    for (let at = 0; at < head.count; at++) {
      if (head.dropped[at] === Dropped.Never || !head.isNamed(at, name)) continue;
      if (left === 0) return head.value(at);
      left--;
    }
    return undefined;
  }

  field(name: string): string | undefined {
    const head = this.#head;
    let joined: string | undefined;
    for (let index = 0; index < head.count; index++) {
      if (head.dropped[index] !== Dropped.Kept || !head.isNamed(index, name)) continue;
      joined = joined === undefined ? head.value(index) : `${joined},${head.value(index)}`;
    }
    return joined;
  }
}
