/**
 * How the worker calls sidecars that have proved who they are: by mutual TLS of the mesh, as requests
 * go to them, and with the keys of the hot thread.
 *
 * What is sent so is a trace's id at most; still nobody else hears it, and where STRICT asks for mutual
 * TLS nothing else is heard.
 */

import { X509Certificate } from 'node:crypto';
import { Agent as PlainAgent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { PeerCertificate } from 'node:tls';
import { withPlainPeers } from '../../base/peer-certificate.ts';
import type { Secret } from '../../base/secret.ts';
import { MESH_PROTOCOL } from '../../model/security.ts';

/** What is needed of the mesh's key, certificates and roots, PEM; `generation` counts up with each set. */
export interface OwnKeys {
  readonly generation: number;
  readonly certificates: string;
  readonly privateKey: Secret;
  readonly roots: string;
}

/** The same as it goes from thread to thread. */
export interface PeerKeys extends Omit<OwnKeys, 'privateKey'> {
  readonly privateKey: string;
}

/** The one connection to a sidecar. */
export interface PeerAgent {
  readonly agent: PlainAgent;
  /** Of the keys that it was made with; 0: it speaks plain text. */
  readonly generation: number;
}

/** To a sidecar that has proved nothing. */
export function plainAgent(): PeerAgent {
  return { agent: new PlainAgent({ keepAlive: true, maxSockets: 1 }), generation: 0 };
}

/** To the sidecar of the workload `identity`, a SPIFFE id, and to nobody else. */
export function secureAgent(keys: PeerKeys, identity: string): PeerAgent {
  const agent = new SecureAgent({
    keepAlive: true,
    maxSockets: 1,
    cert: keys.certificates,
    key: keys.privateKey,
    ca: keys.roots,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [MESH_PROTOCOL],
    servername: '',
    checkServerIdentity: (_host, certificate) => problemOf(certificate, identity),
  });
  return { agent: withPlainPeers(agent), generation: keys.generation };
}

/** Leaves of the mesh have one name; the text of several is another one, however they are written. */
function problemOf({ raw }: PeerCertificate, identity: string): Error | undefined {
  const { subjectAltName, ca } = new X509Certificate(raw);
  if (!ca && subjectAltName === `URI:${identity}`) return undefined;
  return new Error(`expected ${identity}, and ${subjectAltName ?? 'nobody'} answered`);
}
