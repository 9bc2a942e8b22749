/**
 * Keep messages: tells sidecars of this mesh which traces they are to export after all.
 *
 *   POST /.tracecar/keep      x-tracecar-keep: <32 hex>,<32 hex>,...      at most 100, no body
 *
 * Each peer is told at most every 100 ms, over one kept connection, and once: a message that fails is
 * counted and not sent again, because the trace is then incomplete and nothing else. Worker only. What
 * is sent goes to who has proved to be a sidecar (recall.ts), so nobody outside ever gets one.
 */

import { Agent, type IncomingMessage, request } from 'node:http';
import type { WakeUps } from '../base/deadlines.ts';
import { keepLimits } from '../model/limits.ts';
import type { ExchangeRecord } from './exchange-record.ts';
import type { PeerTeller } from './recall.ts';
import { traceIdOf } from './record-span.ts';

const KEEP_PATH = '/.tracecar/keep';
const KEEP_FIELD = 'x-tracecar-keep';

/** Ids, not messages. */
export interface KeepSenderCounts {
  sent: number;
  failed: number;
  /** Too many waited. */
  dropped: number;
}

interface Peer {
  readonly address: string;
  readonly port: number;
  /** Trace ids that wait, 32 hex digits each. */
  waiting: string[];
  /** Of the messages under way; undefined when there are none. */
  sending: Promise<void> | undefined;
}

export class KeepSender implements PeerTeller {
  readonly counts: KeepSenderCounts = { sent: 0, failed: 0, dropped: 0 };
  readonly #wakeUps: WakeUps;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1, maxTotalSockets: SOCKETS_MAX });
  /** Those with ids that wait or are under way. */
  readonly #peers = new Map<string, Peer>();
  #isDue = false;

  constructor(wakeUps: WakeUps) {
    this.#wakeUps = wakeUps;
  }

  tell(address: string, port: number, record: ExchangeRecord): void {
    const peer = this.#peerOf(address, port);
    if (peer === undefined || peer.waiting.length >= keepLimits.waitingIdsMax) {
      this.counts.dropped++;
      return;
    }
    const id = traceIdOf(record);
    // Several spans of one trace may be about one peer.
    if (!peer.waiting.includes(id)) peer.waiting.push(id);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#wakeUps.after(keepLimits.messageMs, () => {
      this.#isDue = false;
      this.#sendAll();
    });
  }

  /** Sends what waits, and ends connections; resolves when everything has its answer. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#peers.values(), (peer) => this.#send(peer)));
    this.#agent.destroy();
  }

  #peerOf(address: string, port: number): Peer | undefined {
    const key = `${address} ${port}`;
    const known = this.#peers.get(key);
    if (known !== undefined || this.#peers.size >= keepLimits.peersMax) return known;
    const peer: Peer = { address, port, waiting: [], sending: undefined };
    this.#peers.set(key, peer);
    return peer;
  }

  #sendAll(): void {
    for (const peer of this.#peers.values()) void this.#send(peer);
  }

  #send(peer: Peer): Promise<void> {
    peer.sending ??= this.#sendWaiting(peer);
    return peer.sending;
  }

  /** Message after message until nothing waits. Never rejects. */
  async #sendWaiting(peer: Peer): Promise<void> {
    while (peer.waiting.length > 0) {
      const ids = peer.waiting.splice(0, keepLimits.messageIdsMax);
      const isTaken = await this.#post(peer, ids.join(','));
      if (isTaken) this.counts.sent += ids.length;
      else this.counts.failed += ids.length;
    }
    peer.sending = undefined;
    this.#peers.delete(`${peer.address} ${peer.port}`);
  }

  #post({ address, port }: Peer, ids: string): Promise<boolean> {
    return new Promise((resolve) => {
      const headers = { [KEEP_FIELD]: ids, 'content-length': 0 };
      const options = { host: address, port, method: 'POST', path: KEEP_PATH, headers };
      const post = request({ ...options, agent: this.#agent }, (response: IncomingMessage) => {
        response.resume();
        response.on('close', () => {
          callOff();
          resolve(response.statusCode === NO_CONTENT);
        });
      });
      const callOff = this.#wakeUps.after(keepLimits.answerMs, () => post.destroy());
      post.on('error', () => {
        callOff();
        resolve(false);
      });
      post.end();
    });
  }
}

const SOCKETS_MAX = keepLimits.peersMax;
const NO_CONTENT = 204;
