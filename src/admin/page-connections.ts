/**
 * The open connections of a page server: a bounded number, of which nobody can hold all.
 *
 *   one more than may be ─► whoever has most loses one: the oldest without a question, else the oldest
 *
 * So a flood from one address evicts itself, and a kubelet that comes with one connection is heard,
 * however many others are held open and whatever they ask.
 */

import type { Socket } from 'node:net';

/** Of one address, in the order in which they came; true while a question is being answered. */
type Peer = Map<Socket, boolean>;

export class PageConnections {
  readonly #max: number;
  readonly #peers = new Map<string, Peer>();
  #open = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(socket: Socket): void {
    // Without an address it is gone already, and closes at once.
    const address = socket.remoteAddress ?? '';
    const peer: Peer = this.#peers.get(address) ?? new Map();
    this.#peers.set(address, peer);
    peer.set(socket, false);
    this.#open++;
    socket.once('close', () => this.#remove(address, socket));
    if (this.#open > this.#max) this.#evict(socket);
  }

  /** A whole head has come on it. */
  ask(socket: Socket): void {
    this.#mark(socket, true);
  }

  answered(socket: Socket): void {
    this.#mark(socket, false);
  }

  #mark(socket: Socket, isAsking: boolean): void {
    for (const peer of this.#peers.values()) {
      if (peer.has(socket)) peer.set(socket, isAsking);
    }
  }

  /** For `newcomer`, which goes itself only where its peer has others. */
  #evict(newcomer: Socket): void {
    let most: readonly [string, Peer] = ['', new Map()];
    for (const each of this.#peers) {
      const isAlone = each[1].size === 1 && each[1].has(newcomer);
      if (!isAlone && rankOf(each[1]) > rankOf(most[1])) most = each;
    }
    const [address, peer] = most;
    const victim = oldestIdle(peer) ?? peer.keys().next().value;
    if (victim === undefined) return;
    // At once: its end is told a turn later, and until then it would be chosen again.
    this.#remove(address, victim);
    victim.destroy();
  }

  #remove(address: string, socket: Socket): void {
    const peer = this.#peers.get(address);
    if (!peer?.delete(socket)) return;
    this.#open--;
    if (peer.size === 0) this.#peers.delete(address);
  }
}

function oldestIdle(peer: Peer): Socket | undefined {
  for (const [socket, isAsking] of peer) if (!isAsking) return socket;
  return undefined;
}

/** Who has most loses one; of those with as many, one that loses no question. */
function rankOf(peer: Peer): number {
  return 2 * peer.size + (oldestIdle(peer) === undefined ? 0 : 1);
}
