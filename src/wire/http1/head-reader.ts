/**
 * Reads message heads from bytes, incrementally: the entrance of this room.
 *
 * Owns the bytes of an unfinished head and nothing else; request-line.ts, status-line.ts and
 * field-lines.ts walk over them, framing.ts judges the result. Every byte is looked at once. The
 * verdict, its reason and its offset are the same for every split of the bytes, and a refused head
 * stays refused until `reset`.
 */

import { FieldId } from './field-id.ts';
import { readFieldLines } from './field-lines.ts';
import { settleRequest, settleResponse } from './framing.ts';
import { HeadCursor, Progress, Step } from './head-cursor.ts';
import { latin1Text } from './latin1.ts';
import type { MessageHead } from './message-head.ts';
import { noRefusal, type Refusal, type Role } from './refusal.ts';
import { readRequestLine } from './request-line.ts';
import { readStatusLine } from './status-line.ts';
import type { HeadLimits } from './wire-limits.ts';

export const HeadState = { More: 0, Done: 1, Refused: 2 } as const;

/** Room for a first piece of a head; grows by doubling, up to the head's limit. */
const FIRST_HELD_BYTES = 1024;

const nothingHeld = Buffer.alloc(0);

export class HeadReader {
  /** Response role: the method that the response answers, a `Method`; set before `read`. */
  requestMethod = 0;
  /** Response role: a switch of protocols was asked for, so 101 may be the answer; set likewise. */
  allowsSwitch = false;
  /** After `read`: index in the chunk of the first byte that is not the head's. */
  position = 0;
  /** Bytes held of an unfinished head, at most the head's limit; 0 when none has begun. */
  heldBytes = 0;
  /** Why, after HeadState.Refused. */
  refusal: Refusal = noRefusal;
  /** After HeadState.Refused: what came before the fault is in the head, a request line at least. */
  hasStartLine = false;
  readonly #head: MessageHead;
  readonly #isRequest: boolean;
  readonly #cursor: HeadCursor;
  readonly #connectionBytesMax: number;
  #held: Buffer = nothingHeld;

  constructor(head: MessageHead, role: Role, limits: HeadLimits) {
    this.#head = head;
    this.#isRequest = role === 'request';
    this.#cursor = new HeadCursor(head, role, limits);
    this.#connectionBytesMax = limits.connectionBytesMax;
  }

  /**
   * Takes heads that may go on only as they were sent, to where they were going: of requests those with
   * an odd target, method or Host (`head.fault` says so), of responses those with lines that end in LF.
   * What decides where a message ends is as strict as ever. Set before a head begins.
   */
  set isLenient(isLenient: boolean) {
    this.#cursor.isLenient = isLenient;
  }

  /**
   * Takes `https://` in a request's target, for whom `head.targetScheme` then says so; others refuse it:
   * nobody has asked them for such a resource. Set before a head begins.
   */
  set takesHttps(takesHttps: boolean) {
    this.#cursor.takesHttps = takesHttps;
  }

  /**
   * Reads on in `chunk` from index `from`. Returns a `HeadState`: More when the chunk is used up,
   * Done when the head is complete (it is valid until the next `read`; `position` says where the body
   * or the next message begins), Refused with `refusal` set. The chunk is not kept.
   */
  read(chunk: Buffer, from: number): number {
    const cursor = this.#cursor;
    if (cursor.step === Step.Refused) return HeadState.Refused;
    if (this.heldBytes > 0) return this.#readHeld(chunk, from);
    cursor.place(chunk, from, from, chunk.length);
    const progress = this.#advance(chunk.length);
    this.position = cursor.at;
    if (progress === Progress.Next) return this.#finish();
    // Of an empty line before the head only the step is remembered.
    if (progress === Progress.More && cursor.step >= Step.Method) {
      this.#hold(chunk, cursor.start, chunk.length);
    }
    cursor.release();
    return progress === Progress.More ? HeadState.More : this.#refused();
  }

  /** Forgets an unfinished or refused head. */
  reset(): void {
    this.#cursor.step = Step.Start;
    this.#cursor.release();
    this.#letGo();
    this.refusal = noRefusal;
    this.hasStartLine = false;
  }

  /** The head goes on in a new chunk: put its bytes behind the held ones, then as ever. */
  #readHeld(chunk: Buffer, from: number): number {
    const cursor = this.#cursor;
    const before = this.heldBytes;
    // Bytes beyond the head's limit cannot be needed to judge it.
    const taken = Math.min(chunk.length - from, cursor.headBytesMax - before);
    this.#hold(chunk, from, from + taken);
    cursor.place(this.#held, 0, before, before + taken);
    const progress = this.#advance(before + taken);
    this.position = from + cursor.at - before;
    if (progress === Progress.Next) return this.#finish();
    cursor.release();
    return progress === Progress.More ? HeadState.More : this.#refused();
  }

  #advance(end: number): number {
    const cursor = this.#cursor;
    if (cursor.step < Step.LineStart) {
      const progress = this.#isRequest ? readRequestLine(cursor, end) : readStatusLine(cursor);
      if (progress !== Progress.Next) return progress;
    }
    const progress = readFieldLines(cursor);
    if (progress === Progress.Refused && this.#isRequest) {
      this.#head.text = latin1Text(cursor.buffer, cursor.start, cursor.at);
      this.#tell();
    }
    return progress;
  }

  /** Of a request that is refused: for its record. */
  #tell(): void {
    const head = this.#head;
    this.hasStartLine = true;
    if (head.hostIndex < 0) head.hostIndex = head.indexOf(FieldId.Host);
  }

  /** Makes the head's text, which is the only string of a plain head, and judges it. */
  #finish(): number {
    const cursor = this.#cursor;
    const head = this.#head;
    head.text = latin1Text(cursor.buffer, cursor.start, cursor.at);
    cursor.release();
    if (this.#held !== nothingHeld) this.#letGo();
    const { isLenient } = cursor;
    const refusal = this.#isRequest
      ? settleRequest(head, this.#connectionBytesMax, isLenient)
      : settleResponse(
          head,
          this.requestMethod,
          this.#connectionBytesMax,
          isLenient,
          this.allowsSwitch,
        );
    if (refusal === undefined) {
      cursor.step = Step.Start;
      return HeadState.Done;
    }
    if (this.#isRequest) this.#tell();
    cursor.refusal = refusal;
    cursor.step = Step.Refused;
    return this.#refused();
  }

  #refused(): number {
    this.refusal = this.#cursor.refusal;
    this.#letGo();
    return HeadState.Refused;
  }

  #hold(chunk: Buffer, from: number, to: number): void {
    const needed = this.heldBytes + to - from;
    if (needed > this.#held.length) {
      const room = Math.max(FIRST_HELD_BYTES, needed, this.#held.length * 2);
      const bigger = Buffer.allocUnsafeSlow(Math.min(room, this.#cursor.headBytesMax));
      this.#held.copy(bigger, 0, 0, this.heldBytes);
      this.#held = bigger;
    }
    chunk.copy(this.#held, this.heldBytes, from, to);
    this.heldBytes = needed;
  }

  #letGo(): void {
    this.#held = nothingHeld;
    this.heldBytes = 0;
  }
}
