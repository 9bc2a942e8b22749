/**
 * Keeps Node.js from taking apart the certificates of a TLS peer that it has dialled.
 *
 * After a good handshake `tls.connect` describes every certificate that the peer has sent, also those
 * that prove nothing, before anybody is asked who the peer is; of a key on an odd curve (secp256k1) that
 * description ends the process (Node 26.10: SIGSEGV). So whoever has one good certificate could end us.
 * Here it gets what a check of names needs, from the leaf alone.
 */

import type { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { PeerCertificate, TLSSocket } from 'node:tls';

/** The same agent, whose connections describe their peers so. */
export function withPlainPeers<T extends Agent>(agent: T): T {
  const dial = agent.createConnection;
  agent.createConnection = (options, done) => describePlainly(dial.call(agent, options, done));
  return agent;
}

/** The same socket; it has been dialled just now. What is no TLS socket is left alone. */
export function describePlainly<T extends Duplex | null | undefined>(socket: T): T {
  const secure = socket as Partial<TLSSocket> | null | undefined;
  if (typeof secure?.getPeerX509Certificate !== 'function') return socket;
  secure.getPeerCertificate = () => plainCertificate(secure as TLSSocket) as never;
  return socket;
}

/** What `tls.checkServerIdentity` reads, and `raw`: DER of the leaf, empty where there is none. */
function plainCertificate(secure: TLSSocket): Partial<PeerCertificate> {
  const certificate = secure.getPeerX509Certificate();
  if (certificate === undefined) return { raw: Buffer.alloc(0) };
  const { raw, subject, subjectAltName } = certificate;
  const commonName = /^CN=(.*)$/m.exec(subject ?? '')?.[1];
  return {
    raw,
    subject: { ...(commonName !== undefined && { CN: commonName }) } as PeerCertificate['subject'],
    ...(subjectAltName !== undefined && { subjectaltname: subjectAltName }),
  };
}
