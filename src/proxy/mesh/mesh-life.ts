/**
 * How long a connection behind mutual TLS may go on: what it was made with is not believed for ever.
 *
 *   the peer's leaf ends ─┐
 *   our own leaf ends ────┼─ the first of them ─► onMeshEnd
 *   our own is replaced ──┘  and `meshDrainMs` after that
 *
 * Whoever renews in time notices nothing: its sidecar makes new connections with the new leaf long
 * before. HTTP closes after the answer under way, what is not read is cut.
 */

import type { Socket } from 'node:net';
import type { Milliseconds } from '../../base/clock.ts';
import { Deadline, type DeadlineOwner } from '../../base/deadlines.ts';
import type { MeshMaterial } from '../../identity/mesh-identity.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { tlsFactsOf } from '../tls/tls-server.ts';
import { type MeshPeer, meshPeerOf } from './mesh-peer.ts';

/** A timer of the platform cannot wait for a month. */
const LOOK_MS = 86_400_000;

export interface MeshLived {
  /** Its time is over; called once, unless `end` was called before. */
  onMeshEnd(): void;
}

/** Of what reads `socket`; undefined where no mutual TLS ends (a pod that calls itself has none). */
export function meshLifeOf(
  scope: ProxyScope,
  socket: Socket,
  owner: MeshLived,
): MeshLife | undefined {
  if (scope.mesh === undefined || tlsFactsOf(socket) === undefined) return undefined;
  const peer = meshPeerOf(socket);
  return peer === undefined ? undefined : new MeshLife(scope, peer, owner);
}

export class MeshLife implements DeadlineOwner {
  /** Nothing new is to begin on it. */
  isOver = false;
  readonly #scope: ProxyScope;
  readonly #owner: MeshLived;
  readonly #deadline = new Deadline(this);
  #endMs: Milliseconds;
  /** The own set that it was made with is known. */
  #isMade = false;
  readonly #unfollow: (() => void) | undefined;

  /** Begins at once. */
  constructor(scope: ProxyScope, peer: MeshPeer, owner: MeshLived) {
    this.#scope = scope;
    this.#owner = owner;
    this.#endMs = peer.notAfterMs - scope.clock.epochMs;
    this.#unfollow = scope.mesh?.follow((material) => this.#follow(material));
  }

  /** The connection has ended. */
  end(): void {
    this.#unfollow?.();
    this.#scope.deadlines.remove(this.#deadline);
  }

  onDeadline(now: Milliseconds): void {
    if (now < this.#endMs) {
      this.#arm();
      return;
    }
    this.isOver = true;
    this.end();
    try {
      this.#owner.onMeshEnd();
    } catch (error) {
      this.#scope.containBug({ destroy: () => undefined }, error);
    }
  }

  #follow(material: MeshMaterial): void {
    const { clock, limits } = this.#scope;
    const isNewer = this.#isMade;
    this.#isMade = true;
    const latest = isNewer ? clock.now() + limits.meshDrainMs : material.notAfterMs - clock.epochMs;
    this.#endMs = Math.min(this.#endMs, latest);
    this.#arm();
  }

  #arm(): void {
    const { clock, deadlines } = this.#scope;
    deadlines.set(this.#deadline, Math.min(this.#endMs, clock.now() + LOOK_MS));
  }
}
