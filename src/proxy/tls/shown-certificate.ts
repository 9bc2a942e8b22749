/**
 * What goes on of a certificate that downstream has shown to a Gateway: the value of
 * x-forwarded-client-cert, in Envoy's form.
 *
 *   Hash=SHA-256 OF THE DER;Subject="CN=shop,O=Acme";URI=spiffe://...;DNS=client.example.com
 */

import type { TLSSocket } from 'node:tls';
import { dnsNamesOf, uriNamesOf } from '../../identity/uri-names.ts';

const NAMES_MAX = 8;
const VALUE_CHARACTERS_MAX = 1_024;
const SUBJECT_CHARACTERS_MAX = 256;

/** '' where none was shown. Whoever may connect is decided before this. */
export function shownCertificate(secure: TLSSocket): string {
  const certificate = secure.getPeerX509Certificate();
  if (certificate === undefined) return '';
  const hash = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  const subject = quoted(certificate.subject.split('\n').reverse().join(','));
  const parts = [`Hash=${hash}`, `Subject=${subject}`];
  const names = [
    ...uriNamesOf(certificate.raw).map((name) => ['URI', name] as const),
    ...dnsNamesOf(certificate.raw).map((name) => ['DNS', name] as const),
  ];
  for (const [kind, name] of names.slice(0, NAMES_MAX)) {
    // What could be taken for the end of it, or for another part, is left out.
    if (/^[\x21-\x7e]+$/.test(name) && !/[",;=\\]/.test(name)) parts.push(`${kind}=${name}`);
  }
  return joined(parts);
}

/**
 * Its subject, or without one its first URI or DNS name, for spans and logs, at most 256 characters; '' where
 * none was shown.
 */
export function shownSubject(secure: TLSSocket): string {
  const certificate = secure.getPeerX509Certificate();
  if (certificate === undefined) return '';
  const { raw, subject } = certificate;
  const name = subject?.split('\n').reverse().join(', ');
  return (name || uriNamesOf(raw)[0] || dnsNamesOf(raw)[0] || '').slice(0, SUBJECT_CHARACTERS_MAX);
}

/** Without the parts for which there is no room: half of one could be taken for something else. */
function joined(parts: readonly string[]): string {
  let value = '';
  for (const part of parts) {
    const longer = value === '' ? part : `${value};${part}`;
    if (longer.length <= VALUE_CHARACTERS_MAX) value = longer;
  }
  return value;
}

/** In quotes where it has to be; what cannot stand in a header field is left out. */
function quoted(text: string): string {
  const plain = text.replaceAll(/[^\x20-\x7e]/g, '?');
  return `"${plain.replaceAll(/["\\]/g, '\\$&')}"`;
}

/** Whether what was shown has one of `wanted`, letter by letter, as a DNS name or a URI. */
export function isShownFor(secure: TLSSocket, wanted: readonly string[]): boolean {
  const der = secure.getPeerX509Certificate()?.raw;
  if (der === undefined) return false;
  const names = new Set([...uriNamesOf(der), ...dnsNamesOf(der)]);
  return wanted.some((name) => names.has(name));
}
