/**
 * Upstream TLS: `trafficPolicy.tls` of a DestinationRule, the fields of Istio's ClientTLSSettings.
 *
 *   DISABLE        the bytes as they are          ISTIO_MUTUAL   mutual TLS of the mesh, or nothing
 *   SIMPLE         TLS to a service outside       MUTUAL         the same, with a certificate of ours
 *
 * The files are named here and read by the proxy. What its mode does not use is complained of: a
 * certificate that is never shown is a mistake somewhere.
 */

import { isIP } from 'node:net';
import type { UpstreamTls } from '../../model/security.ts';
import type { Cursor } from '../syntax/cursor.ts';
import {
  checkedText,
  choice,
  flag,
  list,
  needed,
  optional,
  type Reader,
  record,
} from '../syntax/schema.ts';
import { filePath } from './listener-tls.ts';
import { hostname } from './values.ts';

const NAME_CHARACTERS_MAX = 2_048;

/**
 * A DNS name, an address or a URI of a certificate (SPIFFE ids are URIs). `.com` would be any name below it
 * to OpenSSL, and `*` or a dot at the end is in no certificate.
 */
const alternativeName = checkedText((written, cursor) => {
  if (written.length <= NAME_CHARACTERS_MAX && isAlternativeName(written)) return written;
  const fix = 'Write a DNS name, an IP address or a URI as the certificate has it.';
  return cursor.complain('bad-text', `\`${written}\` is no name that a certificate can have`, fix);
});

function isAlternativeName(written: string): boolean {
  if (isIP(written) !== 0) return true;
  if (written.includes('://')) return /^[a-z][a-z\d+.-]*:\/\/[\x21-\x7e]+$/i.test(written);
  return /^(?:\*\.)?[\w-]+(?:\.[\w-]+)*$/.test(written);
}

const tlsRecord = record(
  {
    mode: needed(
      choice<UpstreamTls['mode']>({
        DISABLE: 'disable',
        SIMPLE: 'simple',
        MUTUAL: 'mutual',
        ISTIO_MUTUAL: 'mesh',
      }),
    ),
    clientCertificate: optional(filePath),
    privateKey: optional(filePath),
    caCertificates: optional(filePath),
    subjectAltNames: optional(list(alternativeName)),
    sni: optional(hostname),
    insecureSkipVerify: optional(flag),
  },
  {
    credentialName: 'Secrets by name; mount it and name its files',
    caCrl: 'revocation lists',
  },
);

type WrittenTls = NonNullable<ReturnType<typeof tlsRecord>>;

const ofOrigination = ['caCertificates', 'subjectAltNames', 'sni', 'insecureSkipVerify'] as const;
const ofOwnCertificate = ['clientCertificate', 'privateKey'] as const;

/** What is spoken to a host's endpoints; what its mode needs and does not find is complained of. */
export const upstreamTls: Reader<UpstreamTls> = (cursor) => {
  const written = tlsRecord(cursor);
  if (written === undefined) return undefined;
  const { mode } = written;
  if (mode === 'disable' || mode === 'mesh' || mode === 'auto') {
    const word = mode === 'disable' ? 'DISABLE' : 'ISTIO_MUTUAL';
    complainOfUnused(cursor, written, [...ofOwnCertificate, ...ofOrigination], word);
    return { mode };
  }
  if (mode === 'simple') complainOfUnused(cursor, written, ofOwnCertificate, 'SIMPLE');
  else for (const field of ofOwnCertificate) complainOfMissing(cursor, written, field);
  const { clientCertificate, privateKey } = written;
  if (mode === 'mutual' && (clientCertificate === undefined || privateKey === undefined)) {
    return undefined;
  }
  return {
    mode,
    serverName: written.sni ?? '',
    subjectAltNames: written.subjectAltNames ?? [],
    caFile: written.caCertificates ?? '',
    certificateFile: mode === 'mutual' ? clientCertificate! : '',
    keyFile: mode === 'mutual' ? privateKey! : '',
    isUnverified: written.insecureSkipVerify ?? false,
  };
};

function complainOfUnused(
  cursor: Cursor,
  written: WrittenTls,
  fields: readonly (keyof WrittenTls['offsets'] & string)[],
  mode: string,
): void {
  for (const field of fields) {
    const offset = written.offsets[field];
    if (offset === undefined) continue;
    const place = { ...cursor.at, path: `${cursor.path}.${field}`, offset };
    const message = `\`${field}\` means nothing with ${mode}`;
    const fix = 'Remove it, or write `mode: SIMPLE` or `mode: MUTUAL`.';
    cursor.reading.complaints.add('one-of', place, message, fix);
  }
}

function complainOfMissing(cursor: Cursor, written: WrittenTls, field: string): void {
  if (field in written.offsets) return;
  const place = { ...cursor.at, path: `${cursor.path}.${field}` };
  const message = `\`${field}\` is missing: MUTUAL needs it`;
  cursor.reading.complaints.add('field-missing', place, message, `Add \`${field}: /FILE.pem\`.`);
}
