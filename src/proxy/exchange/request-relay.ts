/**
 * The request's way upstream: head and body of the exchange under way, framed again and written, or
 * written as they were sent.
 *
 * Body bytes that come while the upstream is being dialled are held (the connection stops reading
 * when `heldBytes` says so). A body that turns out bad, or is cut, never gets a last chunk: the
 * exchange destroys the upstream. The head goes out with the first body bytes that are there.
 *
 *   Idle ──► Reading ──► Done          Reading ──► Stopped: the rest is read and thrown away
 */

import { assert } from '../../base/assert.ts';
import type { Milliseconds } from '../../base/clock.ts';
import { BodyKind } from '../../wire/http1/body-kind.ts';
import { BodyReader, type BodySink, BodyState } from '../../wire/http1/body-reader.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import type { Refusal } from '../../wire/http1/refusal.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import { BodyBatch, Framing } from './body-batch.ts';

/** Who can put the head of the request under way into a message. */
export interface HeadSource {
  putRequestHead(out: WriteSlab): void;
}

export const RequestState = { Idle: 0, Reading: 1, Done: 2, Stopped: 3 } as const;

export class RequestRelay implements BodySink {
  state: number = RequestState.Idle;
  /** Body bytes read so far, without framing. */
  bytes = 0;
  /** Why the body was refused; set when `feed` returns -1. */
  refusal: Refusal;
  readonly #scope: ProxyScope;
  readonly #source: HeadSource;
  readonly #reader: BodyReader;
  readonly #batch = new BodyBatch();
  #framing: number = Framing.Plain;
  /** Chunk lines and trailers go on as they came. */
  #isRaw = false;
  /** But for trailers that may not: those are taken out. */
  #sievesTrailers = false;
  /** Nobody asked for our help, so a slow body is its server's affair. */
  #mayBeSlow = false;
  /** The upstream of this attempt has not been sent the head. */
  #owesHead = false;
  #upstream: UpstreamConnection | undefined;
  /** The downstream sends no body before it has seen 100 (Continue), or has lost patience. */
  #awaitsContinue = false;
  /** Window of the slow-body check, and when the last byte came. */
  #windowMs = 0;
  #windowBytes = 0;
  #lastByteMs = 0;

  constructor(scope: ProxyScope, source: HeadSource) {
    this.#scope = scope;
    this.#source = source;
    this.#reader = new BodyReader(scope.limits);
    this.refusal = this.#reader.refusal;
  }

  /** A request head is complete; its body, if any, follows. */
  begin(head: MessageHead, now: Milliseconds): void {
    this.bytes = 0;
    this.#owesHead = true;
    this.#upstream = undefined;
    this.#windowMs = now;
    this.#windowBytes = 0;
    this.#lastByteMs = now;
    this.#awaitsContinue = head.expectsContinue;
    this.#framing = head.bodyKind === BodyKind.Chunked ? Framing.Chunked : Framing.Plain;
    this.#isRaw = false;
    this.#sievesTrailers = false;
    this.#mayBeSlow = false;
    if (head.bodyKind === BodyKind.None) {
      this.state = RequestState.Done;
    } else {
      this.state = RequestState.Reading;
      this.#reader.begin(head);
    }
  }

  /** The body goes on as it was sent: it is read all the same, and refused as any other. */
  passAsSent(): void {
    this.#mayBeSlow = true;
    this.#isRaw = this.#framing === Framing.Chunked;
    this.#framing = Framing.Plain;
  }

  /**
   * Before the body is read: trailers of these lower-case names stay behind, and those that have no place in
   * trailers, of a body that goes on as it was sent too.
   */
  withholdTrailers(names: ReadonlySet<string>): void {
    const isChunked = this.#isRaw || this.#framing === Framing.Chunked;
    if (!isChunked) return;
    this.#sievesTrailers = this.#isRaw;
    this.#reader.withholdTrailers(names, this.#isRaw);
  }

  /** The exchange is over: holds nothing more. */
  end(): void {
    this.state = RequestState.Idle;
    this.#owesHead = false;
    this.#upstream = undefined;
    this.#batch.clear();
  }

  get isReading(): boolean {
    return this.state === RequestState.Reading;
  }

  /** Bytes that wait to be sent: here, or unsent in the upstream's socket. */
  get heldBytes(): number {
    const upstream = this.#upstream;
    return this.#batch.length + (upstream === undefined ? 0 : upstream.socket.writableLength);
  }

  /** From now on bytes go to `upstream`, the head before them. */
  connect(upstream: UpstreamConnection): void {
    this.#upstream = upstream;
  }

  /** A failed attempt's connection is gone; a next one may come. */
  disconnect(): void {
    this.#upstream = undefined;
    this.#owesHead = true;
  }

  /**
   * Reads body bytes from `chunk[from..]`; returns the index of the first byte beyond the body, or
   * -1 when the body is refused. Call `flush` before the chunk is overwritten.
   */
  feed(chunk: Buffer, from: number, now: Milliseconds): number {
    if (this.state === RequestState.Done) return from;
    if (this.state === RequestState.Stopped) return chunk.length;
    const verdict = this.#reader.read(chunk, from, this);
    if (verdict === BodyState.Refused) {
      this.refusal = this.#reader.refusal;
      this.#batch.clear();
      return -1;
    }
    const { position } = this.#reader;
    if (position > from) this.#awaitsContinue = false;
    if (this.#isRaw && position > from) this.#addRaw(chunk, from, verdict === BodyState.Done);
    this.#lastByteMs = now;
    this.#windowBytes += position - from;
    if (verdict === BodyState.Done) this.state = RequestState.Done;
    return position;
  }

  #addRaw(chunk: Buffer, from: number, isDone: boolean): void {
    const { position, trailersFrom, trailers, hasLeftOut } = this.#reader;
    // Where the whole section lies in this chunk and is sound, it goes on with the rest of it.
    if (!this.#sievesTrailers || (isDone && !hasLeftOut && trailersFrom > from)) {
      this.#batch.add(chunk, from, position);
      return;
    }
    if (trailersFrom > from) this.#batch.add(chunk, from, trailersFrom);
    if (!isDone) return;
    const section = Buffer.from(`${trailers}\r\n`, 'latin1');
    this.#batch.add(section, 0, section.length);
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    if (!this.#isRaw) this.#batch.add(chunk, start, end);
  }

  /** Writes what is due, or keeps it until there is an upstream. */
  flush(): void {
    const upstream = this.#upstream;
    if (upstream === undefined) {
      this.#batch.keep();
      return;
    }
    const { out } = this.#scope;
    if (this.#owesHead) this.#source.putRequestHead(out);
    this.#owesHead = false;
    const isLast = this.state === RequestState.Done && this.#framing === Framing.Chunked;
    this.#batch.putInto(out, this.#framing, isLast, isLast ? this.#reader.trailers : '');
    out.send(upstream.socket);
  }

  /** The answer is an error and the upstream wants no more of the body: throw the rest away. */
  stop(): void {
    assert(this.isReading, 'only a body that is being read can be stopped');
    this.state = RequestState.Stopped;
    this.#batch.clear();
  }

  /** 100 (Continue) has been relayed: from now on the body is awaited. */
  onContinue(now: Milliseconds): void {
    this.#awaitsContinue = false;
    this.onResumed(now);
  }

  /** The connection reads again after a pause that was not the downstream's fault. */
  onResumed(now: Milliseconds): void {
    this.#lastByteMs = now;
    this.#windowMs = now;
    this.#windowBytes = 0;
  }

  /** When the body is next judged too slow; Infinity when no body is awaited. */
  deadline(): Milliseconds {
    if (!this.#isTimed()) return Number.POSITIVE_INFINITY;
    const { bodyIdleMs, bodyRateWindowMs } = this.#scope.limits;
    return Math.min(this.#lastByteMs + bodyIdleMs, this.#windowMs + bodyRateWindowMs);
  }

  /** Whether the body is too slow at `now`; begins a new window when the old one was good. */
  isTooSlow(now: Milliseconds): boolean {
    const { bodyIdleMs, bodyRateWindowMs, bodyRateBytesPerSecondMin } = this.#scope.limits;
    if (!this.#isTimed()) return false;
    if (now >= this.#lastByteMs + bodyIdleMs) return true;
    if (now < this.#windowMs + bodyRateWindowMs) return false;
    const wanted = (bodyRateBytesPerSecondMin * bodyRateWindowMs) / 1000;
    if (this.#windowBytes < wanted) return true;
    this.#windowMs = now;
    this.#windowBytes = 0;
    return false;
  }

  /** The downstream owes body bytes, and has not all the time in the world for them. */
  #isTimed(): boolean {
    return this.isReading && !this.#awaitsContinue && !this.#mayBeSlow;
  }
}
