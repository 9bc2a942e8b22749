/**
 * Drives the readers over a byte stream as the proxy would, and says what would go on.
 *
 * Not a test: the corpus, the laws and the differential tests share it. The bytes come in any pieces;
 * what comes out must not depend on them.
 */

import { type TrafficLimits, trafficLimits } from '../../src/model/limits.ts';
import { BodyReader, type BodySink, BodyState } from '../../src/wire/http1/body-reader.ts';
import { HeadReader, HeadState } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import {
  headRoom,
  printRequestHead,
  printResponseHead,
  printResponseHeadAsSent,
  putHeadEnd,
  putRequestHeadAsSent,
} from '../../src/wire/http1/print.ts';
import { type Role, reasonName } from '../../src/wire/http1/refusal.ts';

export interface DrivenMessage {
  readonly head: string;
  /** Data without framing. */
  body: string;
  trailers: string;
  /** The whole body has come. */
  complete: boolean;
}

export interface Outcome {
  readonly messages: readonly DrivenMessage[];
  readonly refused:
    | { reason: string; cause: string; at: 'head' | 'body'; field: string; offset: number }
    | undefined;
  /** Bytes behind the last message of a connection that takes no more. */
  readonly unread: number;
  /** Bytes of a head that has begun and is not complete. */
  readonly held: number;
  /** The most bytes that were held of a head at any time. */
  readonly heldMax: number;
}

export interface DriveOptions {
  readonly role?: Role;
  /** `Method` id that a response answers. */
  readonly requestMethod?: number;
  readonly limits?: TrafficLimits;
  /** The peer closes after the last piece (default); else an open message is simply incomplete. */
  readonly closes?: boolean;
  /** Takes what may go on as it was sent, and prints it so. */
  readonly isLenient?: boolean;
  /** Sees every head that is taken, as it was sent. */
  readonly onHead?: (head: MessageHead) => void;
}

class Driver implements BodySink {
  readonly messages: DrivenMessage[] = [];
  refused: Outcome['refused'];
  unread = 0;
  heldMax = 0;
  readonly #head = new MessageHead();
  readonly #headReader: HeadReader;
  readonly #bodyReader: BodyReader;
  readonly #role: Role;
  readonly #isLenient: boolean;
  readonly #onHead: ((head: MessageHead) => void) | undefined;
  #inBody = false;
  #isOver = false;

  constructor(options: DriveOptions) {
    const limits = options.limits ?? trafficLimits;
    this.#role = options.role ?? 'request';
    this.#onHead = options.onHead;
    this.#headReader = new HeadReader(this.#head, this.#role, limits);
    this.#headReader.requestMethod = options.requestMethod ?? 1;
    this.#isLenient = options.isLenient ?? false;
    this.#headReader.isLenient = this.#isLenient;
    this.#bodyReader = new BodyReader(limits);
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    this.messages[this.messages.length - 1]!.body += chunk.toString('latin1', start, end);
  }

  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.refused === undefined) {
      if (this.#isOver) {
        this.unread += chunk.length - at;
        return;
      }
      at = this.#inBody ? this.#readBody(chunk, at) : this.#readHead(chunk, at);
      this.heldMax = Math.max(this.heldMax, this.#headReader.heldBytes);
    }
  }

  get held(): number {
    return this.#headReader.heldBytes;
  }

  close(): void {
    if (this.refused !== undefined || !this.#inBody) return;
    if (this.#bodyReader.end() === BodyState.Refused) this.#refuse('body');
    else this.#endMessage();
  }

  #readHead(chunk: Buffer, at: number): number {
    const state = this.#headReader.read(chunk, at);
    if (state === HeadState.More) return chunk.length;
    if (state === HeadState.Refused) {
      this.#refuse('head');
      return chunk.length;
    }
    const head = this.#head;
    this.#onHead?.(head);
    const printed = this.#isLenient ? printAsSent(head, this.#role) : this.#print(head);
    this.messages.push({ head: printed, body: '', trailers: '', complete: false });
    this.#bodyReader.begin(head);
    this.#inBody = true;
    return this.#readBody(chunk, this.#headReader.position);
  }

  #print(head: MessageHead): string {
    return this.#role === 'request'
      ? printRequestHead(head, '')
      : printResponseHead(head, '', head.bodyKind, 1, head.persistent);
  }

  #readBody(chunk: Buffer, at: number): number {
    const state = this.#bodyReader.read(chunk, at, this);
    if (state === BodyState.Refused) this.#refuse('body');
    if (state === BodyState.Done) this.#endMessage();
    return this.#bodyReader.position;
  }

  #endMessage(): void {
    const message = this.messages[this.messages.length - 1]!;
    message.trailers = this.#bodyReader.trailers;
    message.complete = true;
    this.#inBody = false;
    this.#isOver = this.#role === 'response' || !this.#head.persistent;
  }

  #refuse(at: 'head' | 'body'): void {
    const reader = at === 'head' ? this.#headReader : this.#bodyReader;
    const { reason, cause, field, offset } = reader.refusal;
    this.refused = { reason: reasonName(reason), cause, at, field, offset };
  }
}

/** The head as it goes on where no rule is about it. */
function printAsSent(head: MessageHead, role: Role): string {
  if (role === 'response') return printResponseHeadAsSent(head);
  const out = Buffer.alloc(headRoom(head));
  const end = putHeadEnd(out, putRequestHeadAsSent(head, out, 0));
  return out.toString('latin1', 0, end);
}

/** Reads the pieces one after the other, as one connection. */
export function drive(pieces: Iterable<Buffer>, options: DriveOptions = {}): Outcome {
  const driver = new Driver(options);
  for (const piece of pieces) driver.read(piece);
  if (options.closes !== false) driver.close();
  const { messages, refused, unread, held, heldMax } = driver;
  return { messages, refused, unread, held, heldMax };
}

/** The bytes in one piece. */
export function whole(bytes: Buffer): Buffer[] {
  return [Buffer.from(bytes)];
}

/** One piece per byte. */
export function* byteByByte(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

/** Pieces that end at the given places. */
export function splitAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.toSorted((left, right) => left - right), bytes.length];
  return sorted.slice(1).map((end, index) => bytes.subarray(sorted[index], end));
}
