/**
 * What is spoken to an endpoint where that is not the bytes as they are: how it is dialled, and who has
 * to answer. One for each pool of such connections.
 *
 *   mesh-client.ts          mutual TLS of the mesh, to the workload of one SPIFFE id
 *   origination-client.ts   TLS to an outside service, by name (DestinationRule SIMPLE, MUTUAL)
 */

import type { Cluster, Endpoint } from '../../model/routing-table.ts';
import type { SecureSocket } from '../socket/secure-socket.ts';
import type { SecureTerms } from '../socket/socket-reads.ts';
import type { TlsProblem } from '../tls/tls-problem.ts';

/** For one connection. */
export interface TlsDial extends SecureTerms {
  /** Of the keys and roots that it is made with: a connection of another one is not lent again. */
  readonly generation: number;
  /** The newest that a trusted peer has offered, for the next handshake with it. */
  session: TlsSession | undefined;
  /**
   * Whether the peer, whose handshake is over, is who it has to be: then until when its certificate is
   * good, milliseconds since the epoch. `offered`: the session that it was asked to resume.
   */
  judge(secure: SecureSocket, offered: TlsSession | undefined): TlsProblem | number;
}

/** What a peer can prove itself with again without a certificate, which then nobody shows. */
export interface TlsSession {
  /** A secret. */
  readonly bytes: Buffer;
  /** When the certificate ends that it stands for, milliseconds since the epoch. */
  readonly notAfterMs: number;
}

export interface TlsClient {
  /**
   * What the next connection is made with, or why there can be none. `carriesRequests`: we write its
   * requests (`UpstreamUser.writesRequests`).
   */
  dial(carriesRequests: boolean): TlsDial | TlsProblem;
  /** See `TlsDial.generation`; of the keys and roots that are in force. */
  readonly generation: number;
  /** SPIFFE id that is expected; '' outside the mesh. */
  readonly identity: string;
}

export function isProblem(dial: TlsDial | TlsProblem): dial is TlsProblem {
  return 'failure' in dial;
}

/**
 * Two endpoints with the same key share a pool. `hasIdentity`: this sidecar has one; without it `auto` goes
 * plain, and must share nothing with what may not.
 */
export function poolKeyOf(
  { address, port, identity }: Endpoint,
  { tls, service }: Cluster,
  hasIdentity: boolean,
): string {
  const place = `${address} ${port}`;
  if (tls.mode === 'disable') return place;
  if (tls.mode === 'auto') return identity === '' || !hasIdentity ? place : `${place} ${identity}`;
  if (tls.mode === 'mesh') return `${place} ${identity || '-'}`;
  return `${place} ${service} ${JSON.stringify(tls)}`;
}
