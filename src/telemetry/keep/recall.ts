/**
 * Recall: what becomes of the records of a trace that gets its verdict late, in the worker.
 *
 *   a kept record, a Mark ──► history of the trace ──► the queue
 *         │                          │
 *         └──── peers of each ───────┘──► KeepSender: "keep it too"
 *
 * A trace is recalled once: what is recorded of it afterwards goes the same way at once. Only peers
 * that have proved to be sidecars are told: an upstream that answered with a server-timing of ours but
 * does not keep the trace, and a downstream's sidecar that was answered before the verdict.
 */

import type { Milliseconds } from '../../base/clock.ts';
import {
  type ExchangeRecord,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../record/exchange-record.ts';
import type { RecordText } from '../record/record-text.ts';
import type { RingReader } from '../record/ring-reader.ts';
import { KeepMarks, Verdict } from './keep-marks.ts';
import type { RecordHistory } from './record-history.ts';

/** Who tells peers. */
export interface PeerTeller {
  /** That the trace of `record` is to be kept, to who answers at `address` and `port`. */
  tell(address: string, port: number, record: ExchangeRecord): void;
}

/** Where recalled records go. */
export type PushSpan = (record: ExchangeRecord, text: RecordText) => void;

/** A callback port of a sidecar that has none. */
const NO_INBOUND_HALF = 1;
const PEER_FLAGS = RecordFlag.PeerMeshed | RecordFlag.PeerKeeps;

export class Recall {
  /** Records that nobody had chosen when they ended, and that were exported after all. */
  recalled = 0;
  readonly #marks: KeepMarks;
  readonly #history: RecordHistory;
  readonly #push: PushSpan;
  readonly #peers: PeerTeller;
  /** Who has asked for the trace that is being recalled; '' for nobody in particular. */
  #teller = '';

  constructor(seed: number, history: RecordHistory, push: PushSpan, peers: PeerTeller) {
    this.#marks = new KeepMarks(seed);
    this.#history = history;
    this.#push = push;
    this.#peers = peers;
  }

  /** Memory of the history. */
  get bytes(): number {
    return this.#history.bytes;
  }

  /** A record that the hot thread has kept, on its way to the queue. */
  onKept(record: ExchangeRecord, text: RecordText, now: Milliseconds): void {
    this.#tellPeer(record, text);
    this.#mark(record, now);
  }

  /** A peer asks for a trace: it need not be told of it. */
  onMark(record: ExchangeRecord, text: RecordText, now: Milliseconds): void {
    const teller = addressOf(text);
    // On one machine all have the same address.
    this.#teller = isLoopback(teller) ? '' : teller;
    this.#mark(record, now);
    this.#teller = '';
  }

  /** Takes the next record, which nobody has chosen: into the history, or further if it is marked. */
  takeNext(reader: RingReader, record: ExchangeRecord, now: Milliseconds): void {
    if (this.#isNextMarked(reader)) {
      reader.readNumbers(record);
      this.#recall(record, reader.text);
    } else if (this.#history.isOn) this.#history.add(reader, now);
    else reader.skip();
  }

  /** Time passes. */
  forget(now: Milliseconds): void {
    this.#history.forget(now);
    this.#marks.expire(now);
  }

  #isNextMarked(reader: RingReader): boolean {
    if (this.#marks.isEmpty) return false;
    const id0 = reader.nextTraceWord(0);
    const id1 = reader.nextTraceWord(1);
    const id2 = reader.nextTraceWord(2);
    return this.#marks.verdictOf(id0, id1, id2, reader.nextTraceWord(3)) === Verdict.Keep;
  }

  #mark(record: ExchangeRecord, now: Milliseconds): void {
    const { traceId0, traceId1, traceId2, traceId3 } = record;
    const isNew = this.#marks.mark(traceId0, traceId1, traceId2, traceId3, Verdict.Keep, now);
    if (isNew) this.#history.take(traceId0, traceId1, traceId2, traceId3, this.#recall);
  }

  readonly #recall = (record: ExchangeRecord, text: RecordText): void => {
    if ((record.flags & RecordFlag.Muted) === 0) {
      record.flags |= RecordFlag.Kept;
      record.sampledBy = SampledBy.Retro;
      this.recalled++;
      this.#push(record, text);
    }
    this.#tellPeer(record, text);
  };

  #tellPeer(record: ExchangeRecord, text: RecordText): void {
    const { flags } = record;
    let port = 0;
    if (record.kind === RecordKind.Client) {
      if ((flags & PEER_FLAGS) === RecordFlag.PeerMeshed) port = record.peerPort;
    } else if (record.kind === RecordKind.Server && (flags & RecordFlag.PeerKeeps) === 0) {
      if (record.callbackPort > NO_INBOUND_HALF) port = record.callbackPort;
    }
    if (port === 0 || text.peerAddress === text.extra) return;
    const address = addressOf(text);
    if (address !== this.#teller) this.#peers.tell(address, port, record);
  }
}

function addressOf(text: RecordText): string {
  return text.bytes.latin1Slice(text.peerAddress, text.extra);
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
