/**
 * The URI and DNS names of a certificate, read from its DER: in the text that OpenSSL prints of names one may
 * pretend to be several.
 */

import { readCertificateParts } from './certificate-reader.ts';
import { childrenOf, contextTag, DerError, readDer } from './der-reader.ts';

const subjectAltName = '2.5.29.17';
/** Choices of GeneralName (RFC 5280 4.2.1.6). */
const dnsName = contextTag(2, false);
const uriName = contextTag(6, false);

/** In their order, as latin1 text; none of a certificate that cannot be read. */
export function uriNamesOf(der: Buffer): readonly string[] {
  return namesOf(der, uriName);
}

/** The same of its DNS names. */
export function dnsNamesOf(der: Buffer): readonly string[] {
  return namesOf(der, dnsName);
}

function namesOf(der: Buffer, kind: number): readonly string[] {
  try {
    const extension = readCertificateParts(der).extensions.get(subjectAltName);
    if (extension === undefined) return [];
    return childrenOf(readDer(extension.value), 'the names')
      .filter(({ tag }) => tag === kind)
      .map(({ content }) => content.toString('latin1'));
  } catch (error) {
    if (error instanceof DerError) return [];
    throw error;
  }
}
