/**
 * What is spoken to an endpoint where that is not the bytes as they are: how it is dialled, and who has
 * to answer. One for each pool of such connections.
 *
 *   mesh-client.ts          mutual TLS of the mesh, to the workload of one SPIFFE id
 *   origination-client.ts   TLS to an outside service, by name (DestinationRule SIMPLE, MUTUAL)
 */

import type { Endpoint } from '../model/routing-table.ts';
import type { UpstreamTls } from '../model/security.ts';
import type { SecureSocket } from './secure-socket.ts';
import type { SecureTerms } from './socket-reads.ts';
import type { TlsProblem } from './tls-problem.ts';

/** For one connection. */
export interface TlsDial extends SecureTerms {
  /** Of the keys and roots that it is made with: a connection of another one is not lent again. */
  readonly generation: number;
  /** The newest that a trusted peer has offered, for the next handshake with it; a secret. */
  session: Buffer | undefined;
  /** What is wrong with the peer, whose handshake is over; undefined: it is who it has to be. */
  problemOf(secure: SecureSocket): TlsProblem | undefined;
}

export interface TlsClient {
  /** What the next connection is made with, or why there can be none. */
  dial(): TlsDial | TlsProblem;
  /** See `TlsDial.generation`; of the keys and roots that are in force. */
  readonly generation: number;
  /** SPIFFE id that is expected; '' outside the mesh. */
  readonly identity: string;
}

export function isProblem(dial: TlsDial | TlsProblem): dial is TlsProblem {
  return 'failure' in dial;
}

/** Two endpoints with the same key share a pool. */
export function poolKeyOf({ address, port, identity }: Endpoint, tls: UpstreamTls): string {
  const place = `${address} ${port}`;
  if (tls.mode === 'disable') return place;
  if (tls.mode === 'auto') return identity === '' ? place : `${place} ${identity}`;
  if (tls.mode === 'mesh') return `${place} ${identity || '-'}`;
  return `${place} ${JSON.stringify(tls)}`;
}
