/**
 * The SPIFFE id of a certificate whose chain has been verified (X.509-SVID, sections 2 to 5).
 *
 * Exactly one URI name, a leaf that may sign, for both ends of TLS. Names are read from DER, never from
 * the text that OpenSSL prints of them, in which a name may pretend to be several.
 */

/** The workload that a certificate is about. */
export interface Svid {
  /** `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT`. */
  readonly id: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Why it is nobody's, for a person. */
export interface SvidProblem {
  readonly problem: string;
}

/** @param der one certificate, as it came in the handshake (`getPeerCertificate().raw`, X509Certificate.raw) */
export type ReadSvid = (der: Buffer) => Svid | SvidProblem;
