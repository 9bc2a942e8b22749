/**
 * Reads message bodies from bytes, incrementally: by length, in chunks, until the end, or none.
 *
 * Data goes to the sink as ranges of the caller's chunk, nothing is copied. Chunk extensions are
 * checked, counted and dropped; trailers are trailers.ts's. The sink gets one call per run of data in
 * one chunk of the input: whoever relays should gather small runs before writing (a body in chunks of
 * one byte makes one call a byte). A body that is cut is never Done.
 */

import { BodyKind } from './body-kind.ts';
import { CR, LF } from './byte-class.ts';
import { ChunkHead, ChunkHeadState } from './chunk-head.ts';
import type { MessageHead } from './message-head.ts';
import { noRefusal, Reason, type Refusal, type Role, refuse } from './refusal.ts';
import { TrailerSection, TrailerState } from './trailers.ts';
import type { BodyLimits } from './wire-limits.ts';

export const BodyState = { More: 0, Done: 1, Refused: 2 } as const;

export interface BodySink {
  /** Data bytes `chunk[start..end)`, at least one; valid during the call only. */
  onBody(chunk: Buffer, start: number, end: number): void;
}

const Step = {
  /** Nothing (more) to read. */
  Done: 0,
  Length: 1,
  UntilClose: 2,
  ChunkHead: 3,
  ChunkData: 4,
  ChunkCr: 5,
  ChunkLf: 6,
  Trailers: 7,
  Refused: 8,
} as const;

export class BodyReader {
  /** After `read`: index in the chunk of the first byte that is not this body's. */
  position = 0;
  /** Why, after BodyState.Refused. Its offset counts from the body's first byte. */
  refusal: Refusal = noRefusal;
  /** After Done: trailer lines that may be passed on, each with its CRLF; '' if none. */
  trailers = '';
  /** After Done: there were others. */
  hasLeftOut = false;
  /** After `read`: index in the chunk where the trailer section begins or goes on; else `position`. */
  trailersFrom = 0;
  readonly #chunkHead: ChunkHead;
  readonly #section: TrailerSection;
  #step: number = Step.Done;
  #role: Role = 'request';
  /** Bytes that are still to come of the body, or of the chunk. */
  #remaining = 0;
  /** Body bytes, framing included, in earlier calls of `read`. */
  #before = 0;

  constructor(limits: BodyLimits) {
    this.#chunkHead = new ChunkHead(limits.chunkExtensionBytesMax, limits.messageExtensionBytesMax);
    this.#section = new TrailerSection(
      limits.trailerBytesMax,
      limits.trailerFieldsMax,
      limits.fieldNameBytesMax,
    );
  }

  /** Starts the body of the message with this head. The head is not kept. */
  begin(head: MessageHead): void {
    this.refusal = noRefusal;
    this.trailers = '';
    this.hasLeftOut = false;
    this.#before = 0;
    this.#role = head.status === 0 ? 'request' : 'response';
    switch (head.bodyKind) {
      case BodyKind.Length:
        this.#remaining = head.contentLength;
        this.#step = Step.Length;
        break;
      case BodyKind.Chunked:
        this.#chunkHead.beginBody();
        this.#section.begin(head);
        this.#step = Step.ChunkHead;
        break;
      case BodyKind.UntilClose:
        this.#step = Step.UntilClose;
        break;
      default:
        this.#step = Step.Done;
    }
  }

  /** After `begin` with a chunked body; see TrailerSection. */
  withholdTrailers(names: ReadonlySet<string>, isAsSent: boolean): void {
    this.#section.withhold(names, isAsSent);
  }

  /**
   * Reads on in `chunk` from index `from` and hands data to `sink`. Returns a `BodyState`: More when
   * the chunk is used up, Done when the body is complete, Refused with `refusal` set; data that came
   * before the defect has been handed out.
   */
  read(chunk: Buffer, from: number, sink: BodySink): number {
    switch (this.#step) {
      case Step.Done:
        this.position = from;
        return BodyState.Done;
      case Step.Length:
        return this.#readLength(chunk, from, sink);
      case Step.UntilClose:
        if (from < chunk.length) sink.onBody(chunk, from, chunk.length);
        this.position = chunk.length;
        return BodyState.More;
      case Step.Refused:
        return BodyState.Refused;
      default:
        return this.#readChunked(chunk, from, sink);
    }
  }

  /** The peer sent its last byte: Done if the body is complete with that, else Refused (cut). */
  end(): number {
    if (this.#step === Step.Refused) return BodyState.Refused;
    if (this.#step !== Step.Done && this.#step !== Step.UntilClose) {
      return this.#refuse(Reason.BodyCut, this.#before, '');
    }
    this.#step = Step.Done;
    return BodyState.Done;
  }

  #readLength(chunk: Buffer, from: number, sink: BodySink): number {
    const end = Math.min(chunk.length, from + this.#remaining);
    this.#remaining -= end - from;
    this.#before += end - from;
    this.position = end;
    if (this.#remaining === 0) this.#step = Step.Done;
    if (end > from) sink.onBody(chunk, from, end);
    return this.#step === Step.Done ? BodyState.Done : BodyState.More;
  }

  #readChunked(chunk: Buffer, from: number, sink: BodySink): number {
    let at = from;
    while (at < chunk.length) {
      if (this.#step === Step.ChunkHead) {
        const state = this.#chunkHead.read(chunk, at);
        at = this.#chunkHead.position;
        if (state === ChunkHeadState.Refused) {
          return this.#refuseIn(this.#chunkHead.reason, from, at, '');
        }
        if (state === ChunkHeadState.More) break;
        this.#remaining = this.#chunkHead.size;
        this.#step = this.#remaining === 0 ? Step.Trailers : Step.ChunkData;
      } else if (this.#step === Step.ChunkData) {
        const end = Math.min(chunk.length, at + this.#remaining);
        this.#remaining -= end - at;
        if (this.#remaining === 0) this.#step = Step.ChunkCr;
        sink.onBody(chunk, at, end);
        at = end;
      } else if (this.#step === Step.Trailers) {
        return this.#readTrailers(chunk, from, at);
      } else {
        const wanted = this.#step === Step.ChunkCr ? CR : LF;
        if (chunk[at] !== wanted) return this.#refuseIn(Reason.ChunkEnd, from, at, '');
        this.#step = this.#step === Step.ChunkCr ? Step.ChunkLf : Step.ChunkHead;
        at++;
      }
    }
    this.#before += at - from;
    this.position = at;
    this.trailersFrom = at;
    return BodyState.More;
  }

  #readTrailers(chunk: Buffer, from: number, at: number): number {
    const section = this.#section;
    this.trailersFrom = at;
    const state = section.read(chunk, at);
    if (state === TrailerState.Refused) {
      return this.#refuseIn(section.reason, from, section.position, section.field);
    }
    this.#before += section.position - from;
    this.position = section.position;
    if (state === TrailerState.More) return BodyState.More;
    this.trailers = section.kept;
    this.hasLeftOut = section.leftOut > 0;
    this.#step = Step.Done;
    return BodyState.Done;
  }

  #refuseIn(reason: number, from: number, at: number, field: string): number {
    this.position = at;
    return this.#refuse(reason, this.#before + at - from, field);
  }

  #refuse(reason: number, offset: number, field: string): number {
    this.refusal = refuse(reason, this.#role, offset, field);
    this.#step = Step.Refused;
    return BodyState.Refused;
  }
}
