/**
 * What goes on of a certificate that downstream has shown to a Gateway: the value of
 * x-forwarded-client-cert, in Envoy's form.
 *
 *   Hash=SHA-256 OF THE DER;Subject="CN=shop,O=Acme";URI=spiffe://...;DNS=client.example.com
 */

import type { TLSSocket } from 'node:tls';

const NAMES_MAX = 8;
const VALUE_CHARACTERS_MAX = 1_024;

/** '' where none was shown. Whoever may connect is decided before this. */
export function shownCertificate(secure: TLSSocket): string {
  const certificate = secure.getPeerX509Certificate();
  if (certificate === undefined) return '';
  const hash = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  const subject = quoted(certificate.subject.split('\n').reverse().join(','));
  const parts = [`Hash=${hash}`, `Subject=${subject}`];
  for (const name of (certificate.subjectAltName ?? '').split(', ').slice(0, NAMES_MAX)) {
    // Node.js quotes names that hold what could be taken for another one; those are left out.
    const [, kind, value = ''] = /^(URI|DNS):([\x21-\x7e]+)$/.exec(name) ?? [];
    if (kind !== undefined && !/[",;]/.test(value)) parts.push(`${kind}=${value}`);
  }
  return parts.join(';').slice(0, VALUE_CHARACTERS_MAX);
}

/** In quotes where it has to be; what cannot stand in a header field is left out. */
function quoted(text: string): string {
  const plain = text.replaceAll(/[^\x20-\x7e]/g, '?');
  return `"${plain.replaceAll(/["\\]/g, '\\$&')}"`;
}
