/**
 * Where a reader stands in a head: the state that survives between two chunks.
 *
 * `buffer` holds the head from `start` without a gap: the chunk itself, or what was held of earlier
 * chunks with the new one behind it. So a token is never in two pieces, and every check is made at a
 * fixed byte of the head, whatever the split.
 *
 *    buffer  [ ..... | head so far | unread .......... | ]
 *                    ^start        ^at                 ^end
 *                                              stop = end, or where the head's limit ends
 */

import { latin1Text } from './latin1.ts';
import type { MessageHead } from './message-head.ts';
import { noRefusal, Reason, type Refusal, type Role, refuse } from './refusal.ts';
import type { HeadLimits } from './wire-limits.ts';

/** What the next byte belongs to. */
export const Step = {
  Start: 0,
  LeadingLf: 1,
  AfterLeadingLine: 2,
  Method: 3,
  TargetStart: 4,
  Path: 5,
  Query: 6,
  OtherTarget: 7,
  /** A target that only a lenient reader takes, to its end. */
  OddTarget: 8,
  Version: 9,
  StatusLine: 10,
  ReasonPhrase: 11,
  StartLineLf: 12,
  /** From here on: fields. */
  LineStart: 13,
  Name: 14,
  ValueStart: 15,
  Value: 16,
  ValueLf: 17,
  EndLf: 18,
  Refused: 19,
} as const;

/** Result of one part of the machine; Next hands over to the part after it. */
export const Progress = { More: 0, Next: 1, Refused: 2 } as const;

const emptyBuffer = Buffer.alloc(0);

export class HeadCursor {
  buffer: Buffer = emptyBuffer;
  start = 0;
  at = 0;
  stop = 0;
  step: number = Step.Start;
  /** Start of the version text, from `start`. */
  versionStart = 0;
  /** The path holds an escape, an empty segment or one that begins with a dot. */
  pathIsOdd = false;
  /** The head may be one that goes on as it was sent: see HeadReader. */
  isLenient = false;
  /** An absolute target may be one of https. */
  takesHttps = false;
  refusal: Refusal = noRefusal;
  readonly head: MessageHead;
  readonly role: Role;
  readonly headBytesMax: number;
  readonly targetBytesMax: number;
  readonly nameBytesMax: number;
  readonly fieldsMax: number;

  constructor(head: MessageHead, role: Role, limits: HeadLimits) {
    this.head = head;
    this.role = role;
    this.headBytesMax = limits.headBytesMax;
    this.targetBytesMax = limits.targetBytesMax;
    this.nameBytesMax = limits.fieldNameBytesMax;
    this.fieldsMax = limits.headFieldsMax;
  }

  /** Points at bytes `buffer[at..end)` of a head that begins at `start`. */
  place(buffer: Buffer, start: number, at: number, end: number): void {
    this.buffer = buffer;
    this.at = at;
    this.begin(start, end);
  }

  /** Moves the head's first byte, and with it the place where its limit ends. */
  begin(start: number, end: number): void {
    this.start = start;
    this.stop = Math.min(end, start + this.headBytesMax);
  }

  /** Lets go of the bytes; the peer's chunk must not live as long as the connection. */
  release(): void {
    this.buffer = emptyBuffer;
  }

  /** All bytes are read and the head goes on: More, unless it has reached its limit. */
  pause(at: number, step: number): number {
    this.at = at;
    this.step = step;
    if (at - this.start < this.headBytesMax) return Progress.More;
    return this.refuse(Reason.HeadLong, at, this.#fieldUnderWay());
  }

  /** Ends the head with a reason found at index `at` of the buffer. */
  refuse(reason: number, at: number, field: string): number {
    this.refusal = refuse(reason, this.role, at - this.start, field);
    this.at = at;
    this.step = Step.Refused;
    return Progress.Refused;
  }

  /** A lenient reader notes the reason and reads on; any other is told to refuse. */
  takesFault(reason: number, at: number): boolean {
    if (this.isLenient) this.head.noteFault(reason, at - this.start, '');
    return this.isLenient;
  }

  /** As `refuse`, naming the field that is being read. */
  refuseField(reason: number, at: number, nameEnd: number): number {
    const nameStart = this.start + this.head.nameStart[this.head.count]!;
    const end = Math.min(nameEnd, nameStart + this.nameBytesMax);
    return this.refuse(reason, at, latin1Text(this.buffer, nameStart, end));
  }

  #fieldUnderWay(): string {
    if (this.step < Step.Name || this.step > Step.ValueLf) return '';
    const start = this.start + this.head.nameStart[this.head.count]!;
    const end =
      this.step === Step.Name ? this.at : this.start + this.head.nameEnd[this.head.count]!;
    return latin1Text(this.buffer, start, Math.min(end, start + this.nameBytesMax));
  }
}
