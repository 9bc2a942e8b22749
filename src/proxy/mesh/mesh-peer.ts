/**
 * Who is at the other end of a downstream connection, as its certificate has proved.
 *
 * Only mesh-server.ts makes one, behind a handshake of the mesh: chain, SVID and times have been
 * checked. It says nothing of what the peer may do (policy), and nothing is believed that it says.
 */

import type { Socket } from 'node:net';
import type { Svid } from '../../identity/svid.ts';

export interface MeshPeer extends Svid {
  /** SHA-256 of its leaf's DER, lower-case hex. */
  readonly hash: string;
  /** When the leaf ends, milliseconds since the epoch. */
  readonly notAfterMs: number;
  /** NameTable id of `id`, for records (`principalId`). */
  readonly nameId: number;
}

const peers = new WeakMap<Socket, MeshPeer>();
const ofRequests = new WeakSet<Socket>();

/** Of a socket behind mutual TLS of the mesh, or of this pod's call to itself; else undefined. */
export function meshPeerOf(socket: Socket): MeshPeer | undefined {
  return peers.get(socket);
}

/** Everything that reads `socket` from now on knows that `peer` is there. */
export function setMeshPeer(socket: Socket, peer: MeshPeer): void {
  peers.set(socket, peer);
}

/** The peer has said in its handshake that it writes the requests on `socket` itself. */
export function setWritesRequests(socket: Socket): void {
  ofRequests.add(socket);
}

/**
 * Whether what it says of those before it is its own word, and not its application's: nothing that an
 * application sends is in the handshake. False where the peer relays bytes unread.
 */
export function writesRequests(socket: Socket): boolean {
  return ofRequests.has(socket);
}
