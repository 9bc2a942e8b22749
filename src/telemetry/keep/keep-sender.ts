/**
 * Keep messages: tells sidecars of this mesh which traces they are to export after all.
 *
 *   POST /.tracecar/keep      x-tracecar-keep: <32 hex>,<32 hex>,...      at most 100, no body
 *
 * Each peer is told at most every 100 ms, over one kept connection, and once: a message that fails is
 * counted and not sent again, because the trace is then incomplete and nothing else. Worker only. What
 * is sent goes to who has proved to be a sidecar (recall.ts), so nobody outside ever gets one; a peer that
 * has proved an identity is told by mutual TLS only (peer-keys.ts).
 *
 * Addresses are true and ports are what callers claim, so peers may be forged: silent, slow, switching
 * protocols. Each message ends after `answerMs` whatever came, and a peer that gave no answer is forgotten
 * with what waits for it. At most `peersMax` are known. A further one takes the place of one at rest, or,
 * where one address has many that have never answered well, of the eldest of those; so no address can
 * keep those of others out.
 */

import { type IncomingMessage, request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import type { WakeUps } from '../../base/deadlines.ts';
import { keepLimits } from '../../model/telemetry-limits.ts';
import type { ExchangeRecord } from '../record/exchange-record.ts';
import { traceIdOf } from '../span/record-span.ts';
import { type PeerAgent, type PeerKeys, plainAgent, secureAgent } from './peer-keys.ts';
import type { PeerTeller } from './recall.ts';

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
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** SPIFFE id that its sidecar has proved; '': none, so it is told in plain text. */
  readonly identity: string;
  /** Its one connection; undefined before the first one. */
  agent: PeerAgent | undefined;
  /** It has taken a message. */
  isProven: boolean;
  /** Trace ids that wait, 32 hex digits each. */
  waiting: string[];
  /** Of the messages under way; undefined when there are none. */
  sending: Promise<void> | undefined;
}

/** Status of an answer that did not come. */
const NO_ANSWER = 0;
const NO_CONTENT = 204;

export class KeepSender implements PeerTeller {
  readonly counts: KeepSenderCounts = { sent: 0, failed: 0, dropped: 0 };
  readonly #wakeUps: WakeUps;
  readonly #identityOf: (record: ExchangeRecord) => string;
  #keys: PeerKeys | undefined;
  /** By key; first those whose begin or last good answer is the longest ago. Also those at rest. */
  readonly #peers = new Map<string, Peer>();
  #isDue = false;

  /** `identityOf`: SPIFFE id that the peer of a record has proved, '' for none. */
  constructor(wakeUps: WakeUps, identityOf: (record: ExchangeRecord) => string = () => '') {
    this.#wakeUps = wakeUps;
    this.#identityOf = identityOf;
  }

  /** What peers with an identity are called with from now on; connections of older keys end by and by. */
  setKeys(keys: PeerKeys): void {
    this.#keys = keys;
  }

  tell(address: string, port: number, record: ExchangeRecord): void {
    const peer = this.#peerOf(address, port, this.#identityOf(record));
    if (peer.waiting.length >= keepLimits.waitingIdsMax) {
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
      for (const each of this.#peers.values()) void this.#send(each);
    });
  }

  /** Sends what waits, and ends connections; resolves when everything has its answer, or none. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#peers.values(), (peer) => this.#send(peer)));
    for (const peer of this.#peers.values()) this.#forget(peer);
  }

  #peerOf(address: string, port: number, identity: string): Peer {
    const key = `${address} ${port} ${identity}`;
    const known = this.#peers.get(key);
    if (known !== undefined) {
      if (isAtRest(known)) this.#refresh(known);
      return known;
    }
    if (this.#peers.size >= keepLimits.peersMax) this.#forget(this.#leastMissed());
    const peer: Peer = {
      key,
      address,
      port,
      identity,
      agent: undefined,
      isProven: false,
      waiting: [],
      sending: undefined,
    };
    this.#peers.set(key, peer);
    return peer;
  }

  /** Whose place another one gets; there is one at least. */
  #leastMissed(): Peer {
    const unproven = new Map<string, number>();
    let crowd = '';
    // One address may have several sidecars, as on one machine.
    let most = keepLimits.unprovenPeersMax;
    for (const { address, isProven } of this.#peers.values()) {
      if (isProven) continue;
      const count = (unproven.get(address) ?? 0) + 1;
      unproven.set(address, count);
      if (count <= most) continue;
      most = count;
      crowd = address;
    }
    const peers = [...this.#peers.values()];
    const forged = peers.find(({ address, isProven }) => address === crowd && !isProven);
    return forged ?? peers.find(isAtRest) ?? peers[0]!;
  }

  /** It begins, or has answered well: it is the youngest. */
  #refresh(peer: Peer): void {
    if (!this.#peers.delete(peer.key)) return;
    this.#peers.set(peer.key, peer);
  }

  /** Ends its connection, with the message that is under way, and gives up what waits. */
  #forget(peer: Peer): void {
    if (this.#peers.get(peer.key) === peer) this.#peers.delete(peer.key);
    this.counts.failed += peer.waiting.length;
    peer.waiting = [];
    peer.agent?.agent.destroy();
  }

  #send(peer: Peer): Promise<void> {
    if (peer.waiting.length > 0) peer.sending ??= this.#sendWaiting(peer);
    return peer.sending ?? Promise.resolve();
  }

  /** Message after message until nothing waits. Never rejects. */
  async #sendWaiting(peer: Peer): Promise<void> {
    while (peer.waiting.length > 0) {
      const ids = peer.waiting.splice(0, keepLimits.messageIdsMax);
      const status = await this.#post(peer, ids.join(','));
      if (status === NO_CONTENT) {
        this.counts.sent += ids.length;
        peer.isProven = true;
        this.#refresh(peer);
      } else this.counts.failed += ids.length;
      if (status === NO_ANSWER) this.#forget(peer);
    }
    peer.sending = undefined;
  }

  /** With the keys in force; undefined: there are none, and who has an identity is not told without. */
  #agentOf(peer: Peer): PeerAgent | undefined {
    if (peer.identity === '') {
      peer.agent ??= plainAgent();
      return peer.agent;
    }
    const keys = this.#keys;
    if (keys === undefined) return undefined;
    if (peer.agent?.generation !== keys.generation) {
      peer.agent?.agent.destroy();
      peer.agent = secureAgent(keys, peer.identity);
    }
    return peer.agent;
  }

  /** Resolves with the answer's status, or NO_ANSWER; after `answerMs` at the latest. */
  #post(peer: Peer, ids: string): Promise<number> {
    const used = this.#agentOf(peer);
    if (used === undefined) return Promise.resolve(NO_ANSWER);
    const { address, port } = peer;
    return new Promise((resolve) => {
      const headers = { [KEEP_FIELD]: ids, 'content-length': 0 };
      const options = { host: address, port, method: 'POST', path: KEEP_PATH, headers };
      const request = used.generation === 0 ? requestPlain : requestSecure;
      const post = request({ ...options, agent: used.agent });
      let status = NO_ANSWER;
      // It comes after every end, of an answer and of a connection.
      const end = () => {
        callOff();
        resolve(status);
      };
      const callOff = this.#wakeUps.after(keepLimits.answerMs, () => {
        post.destroy();
        end();
      });
      post.on('response', (response: IncomingMessage) => {
        status = response.statusCode ?? NO_ANSWER;
        // Any other has a body that nobody wants, of any length.
        if (status === NO_CONTENT) response.resume();
        else post.destroy();
      });
      // With nobody to switch to, Node.js would end the socket and say so to nobody.
      post.on('upgrade', (_response, socket) => socket.destroy());
      post.on('error', () => undefined);
      post.on('close', end);
      post.end();
    });
  }
}

function isAtRest({ waiting, sending }: Peer): boolean {
  return waiting.length === 0 && sending === undefined;
}
