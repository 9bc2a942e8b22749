/**
 * The response's way downstream: interim heads, the final head, the body, framed again and written.
 *
 * It decides what the upstream's bytes mean and says so to the exchange: not yet, whole, bad, cut, or
 * a switch of protocols. Head and first body bytes are one write. A response whose length only the end
 * of the connection tells goes to an HTTP/1.1 downstream in chunks, so that a cut can be seen and the
 * connection kept; one that goes on as it was sent keeps its framing and its end.
 */

import type { Milliseconds } from '../../base/clock.ts';
import { failure } from '../../model/failure.ts';
import { BodyKind } from '../../wire/http1/body-kind.ts';
import { type BodySink, BodyState } from '../../wire/http1/body-reader.ts';
import { FieldId } from '../../wire/http1/field-id.ts';
import { isTunnelOf } from '../../wire/http1/framing.ts';
import { HeadState } from '../../wire/http1/head-reader.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';
import {
  headRoom,
  printResponseHead,
  printResponseHeadAsSent,
  putHeadEnd,
  putResponseHead,
  putResponseHeadAsSent,
} from '../../wire/http1/print.ts';
import type { Refusal } from '../../wire/http1/refusal.ts';
import { upgradeTokens } from '../../wire/http1/upgrade-tokens.ts';
import { applyEdits } from '../plan/header-edits.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { WriteSlab } from '../socket/write-slab.ts';
import type { UpstreamConnection } from '../upstream/upstream-connection.ts';
import { BodyBatch, Framing } from './body-batch.ts';
import type { Exchange } from './exchange.ts';
import { bodyForOutside, printRefusal } from './local-reply.ts';

const FINAL_STATUS = 200;
const SWITCHING = 101;

export class ResponseRelay implements BodySink {
  /** Body bytes read so far, without framing. */
  bytes = 0;
  /** When the first byte came; -1 = none yet. */
  firstByteMs: Milliseconds = -1;
  /** Whether any byte of the final head has been written downstream. */
  isHeadSent = false;
  readonly #scope: ProxyScope;
  readonly #exchange: Exchange;
  readonly #batch = new BodyBatch();
  /** When the head that is being read began; -1 = none is. */
  #headStartMs: Milliseconds = -1;
  #interims = 0;
  #framing: number = Framing.Plain;
  /** Chunk lines and trailers go on as they came. */
  #isRaw = false;
  /** The body goes no further: another one does in its place. */
  #isWithheld = false;
  /** How the body will be framed downstream: a `BodyKind`; and the lines that edits add. */
  #bodyKind: number = BodyKind.None;
  #addedLines = '';

  constructor(scope: ProxyScope, exchange: Exchange) {
    this.#scope = scope;
    this.#exchange = exchange;
  }

  /** An attempt begins: nothing has come. */
  begin(): void {
    this.bytes = 0;
    this.firstByteMs = -1;
    this.isHeadSent = false;
    this.#headStartMs = -1;
    this.#interims = 0;
    this.#isRaw = false;
    this.#isWithheld = false;
    this.#batch.clear();
  }

  /** Until when a begun head must be complete; Infinity when none is being read. */
  deadline(): Milliseconds {
    if (this.#headStartMs < 0) return Number.POSITIVE_INFINITY;
    return this.#headStartMs + this.#scope.limits.responseHeadTimeoutMs;
  }

  /** Bytes of the upstream, while the head is awaited. */
  takeHead(upstream: UpstreamConnection, chunk: Buffer, now: Milliseconds): void {
    const exchange = this.#exchange;
    const reader = upstream.headReader;
    if (this.firstByteMs < 0) {
      this.firstByteMs = now;
      reader.requestMethod = exchange.head.method;
      reader.isLenient = exchange.isAsSent;
      reader.allowsSwitch = exchange.offersSwitch;
    }
    let from = 0;
    do {
      if (this.#headStartMs < 0) this.#headStartMs = now;
      const verdict = reader.read(chunk, from);
      if (verdict === HeadState.More) {
        exchange.arm();
        return;
      }
      if (verdict === HeadState.Refused) {
        this.#refuse(reader.refusal);
        return;
      }
      this.#headStartMs = -1;
      from = reader.position;
      const { status } = upstream.head;
      const isUnasked = status === SWITCHING && !reader.allowsSwitch;
      if (isUnasked || (status >= FINAL_STATUS && !isTunnelOf(reader.requestMethod, status))) {
        this.#beginFinal(upstream, now);
        this.takeBody(upstream, chunk, from, now);
        return;
      }
      if (status === SWITCHING || status >= FINAL_STATUS) {
        this.#switch(upstream.head, chunk, from, now);
        return;
      }
      if (!this.#takeInterim(upstream.head, now)) return;
    } while (from < chunk.length);
  }

  /** Bytes of the upstream after the final head. */
  takeBody(upstream: UpstreamConnection, chunk: Buffer, from: number, now: Milliseconds): void {
    const { downstream } = this.#exchange;
    let isDone = true;
    let position = from;
    if (upstream.head.bodyKind !== BodyKind.None) {
      const verdict = upstream.bodyReader.read(chunk, from, this);
      if (verdict === BodyState.Refused) {
        this.#refuse(upstream.bodyReader.refusal);
        return;
      }
      isDone = verdict === BodyState.Done;
      position = upstream.bodyReader.position;
      if (this.#isRaw && position > from) this.#batch.add(chunk, from, position);
    }
    const isFirst = !this.isHeadSent;
    // Nobody will wait for the rest of the request.
    if (isFirst && isDone) this.#exchange.onWholeAtOnce();
    this.#write(isDone, upstream);
    if (isDone) {
      this.#exchange.ending.complete(position === chunk.length && isReusable(upstream), now);
      return;
    }
    if (isFirst) this.#exchange.onHeadWritten(now);
    if (downstream.isFull) upstream.socket.pause();
  }

  /** FIN of the upstream in the middle of, or as the end of, the body. */
  takeEnd(upstream: UpstreamConnection, now: Milliseconds): void {
    if (upstream.bodyReader.end() !== BodyState.Done) {
      if (this.#exchange.isAsSent) this.#exchange.ending.cut();
      else this.#exchange.fail(failure['upstream-cut'], 'closed in the middle of the body');
      return;
    }
    this.#write(true, upstream);
    this.#exchange.ending.complete(false, now);
  }

  onBody(chunk: Buffer, start: number, end: number): void {
    this.bytes += end - start;
    if (!this.#isRaw && !this.#isWithheld) this.#batch.add(chunk, start, end);
  }

  #write(isDone: boolean, upstream: UpstreamConnection): void {
    const { out } = this.#scope;
    if (!this.isHeadSent) this.#putHead(upstream.head, out);
    this.isHeadSent = true;
    const isLast = isDone && this.#framing === Framing.Chunked;
    const trailers = isLast && !this.#isWithheld ? upstream.bodyReader.trailers : '';
    this.#batch.putInto(out, this.#framing, isLast, trailers);
    out.send(this.#exchange.downstream.socket);
  }

  #putHead(head: MessageHead, out: WriteSlab): void {
    const { isAsSent, keepsAlive } = this.#exchange;
    const memory = out.reserve(headRoom(head));
    if (isAsSent) {
      const saysClose = !keepsAlive && head.persistent && this.#exchange.expectsMore;
      out.length = putResponseHeadAsSent(head, saysClose, memory, out.length);
      if (!this.#exchange.tellsVerdict) return;
      // The line of ours comes last, so that the empty line moves behind it.
      const end = head.text.slice(head.fieldsEnd);
      out.length -= end.length;
      this.#exchange.putVerdict(out);
      out.putText(end);
      return;
    }
    const { minorVersion } = this.#exchange.head;
    const kind = this.#bodyKind;
    out.length = putResponseHead(head, kind, minorVersion, keepsAlive, memory, out.length);
    out.putText(this.#addedLines);
    if (this.#exchange.tellsVerdict) this.#exchange.putVerdict(out);
    out.length = putHeadEnd(out.reserve(2), out.length);
  }

  /** Relays a 1xx where the downstream can know it; false when the exchange has failed. */
  #takeInterim(head: MessageHead, now: Milliseconds): boolean {
    const exchange = this.#exchange;
    if (++this.#interims > this.#scope.limits.interimResponsesMax) {
      exchange.fail(failure['upstream-protocol-error'], 'too many interim responses');
      return false;
    }
    const request = exchange.head;
    if (head.status === 100) exchange.onContinue(now);
    const isWanted = request.minorVersion === 1 && (head.status !== 100 || request.expectsContinue);
    if (isWanted) {
      const text = exchange.isAsSent
        ? printResponseHeadAsSent(head)
        : printResponseHead(head, '', BodyKind.None, 1, true);
      exchange.downstream.socket.write(text, 'latin1');
    }
    return true;
  }

  /** 101, or a success of CONNECT: behind the head goes whatever the new protocol brings. */
  #switch(head: MessageHead, chunk: Buffer, from: number, now: Milliseconds): void {
    const exchange = this.#exchange;
    if (head.status === SWITCHING && !isTaken(exchange.head, head)) {
      exchange.fail(failure['upstream-protocol-error'], 'a switch to a protocol not asked for');
      return;
    }
    const { out } = this.#scope;
    const lines = exchange.onAnswer(head, now);
    const edits = exchange.responseEdits;
    if (!exchange.isAsSent) applyEdits(edits, head);
    this.#bodyKind = BodyKind.None;
    this.#addedLines = lines + edits.lines;
    // Nothing is said of the end of a connection that has another use now.
    exchange.keepsAlive = true;
    this.#putHead(head, out);
    out.send(exchange.downstream.socket);
    this.isHeadSent = true;
    exchange.switchProtocols(chunk, from, now);
  }

  #beginFinal(upstream: UpstreamConnection, now: Milliseconds): void {
    const exchange = this.#exchange;
    const { head } = upstream;
    const { minorVersion } = exchange.head;
    if (head.bodyKind !== BodyKind.None) upstream.bodyReader.begin(head);
    if (upstream.idleMs < 0) upstream.idleMs = this.#idleMs(head);
    let bodyKind = head.bodyKind;
    if (exchange.isAsSent) {
      this.#isRaw = bodyKind === BodyKind.Chunked;
      this.#framing = Framing.Plain;
      this.#bodyKind = bodyKind;
      this.#addedLines = '';
      exchange.onFinalHead(head, bodyKind !== BodyKind.UntilClose, now);
      return;
    }
    const own = exchange.isOutside ? bodyForOutside(head) : '';
    if (bodyKind === BodyKind.UntilClose && minorVersion === 1) bodyKind = BodyKind.Chunked;
    else if (bodyKind === BodyKind.Chunked && minorVersion === 0) bodyKind = BodyKind.UntilClose;
    this.#framing = bodyKind === BodyKind.Chunked ? Framing.Chunked : Framing.Plain;
    const lines = exchange.onFinalHead(head, bodyKind !== BodyKind.UntilClose, now);
    const edits = exchange.responseEdits;
    applyEdits(edits, head);
    this.#bodyKind = bodyKind;
    this.#addedLines = lines === '' ? edits.lines : lines + edits.lines;
    if (own !== '') this.#replaceBody(head, own);
  }

  /** What is behind `head` is read to its end, and `text` goes on. */
  #replaceBody(head: MessageHead, text: string): void {
    this.#isWithheld = true;
    const bytes = Buffer.from(text, 'latin1');
    this.#batch.add(bytes, 0, bytes.length);
    if (this.#bodyKind !== BodyKind.Length) return;
    head.drop('content-length');
    this.#addedLines += `content-length: ${bytes.length}\r\n`;
  }

  /** Our own limit, or a second less than what the peer's Keep-Alive promises. */
  #idleMs(head: MessageHead): Milliseconds {
    const { poolIdleMs } = this.#scope.limits;
    const index = head.indexOf(FieldId.KeepAlive);
    if (index === -1) return poolIdleMs;
    const seconds = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(head.value(index))?.[1];
    return seconds === undefined
      ? poolIdleMs
      : Math.max(0, Math.min(poolIdleMs, Number(seconds) * 1000 - 1000));
  }

  #refuse(refusal: Refusal): void {
    this.#exchange.fail(failure[refusal.cause], printRefusal(refusal));
  }
}

/** Whether the 101 takes what the request has offered. */
function isTaken(request: MessageHead, response: MessageHead): boolean {
  const offered = upgradeTokens(request);
  const taken = upgradeTokens(response);
  return taken.length > 0 && taken.every((token) => offered.includes(token));
}

function isReusable(upstream: UpstreamConnection): boolean {
  const { head } = upstream;
  return head.persistent && head.bodyKind !== BodyKind.UntilClose;
}
