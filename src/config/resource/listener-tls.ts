/**
 * Listener TLS: `ingress[].tls` of a Sidecar, the fields of Istio's ServerTLSSettings.
 *
 * SIMPLE and MUTUAL from files by absolute path, as a Secret is mounted. The files are named here and
 * read by the proxy, so that a file that is not there yet is no mistake of the configuration.
 */

import type { ListenerTls } from '../../model/routing-table.ts';
import type { Cursor } from '../syntax/cursor.ts';
import { checkedText, choice, needed, optional, type Reader, record } from '../syntax/schema.ts';

const PATH_CHARACTERS_MAX = 4_096;

/** The absolute path of a file that the proxy reads. */
export const filePath = checkedText((written, cursor) => {
  const isFile = written.startsWith('/') && !written.endsWith('/');
  const isPlain = !/[\u0000-\u001f\u007f]/.test(written) && written.length <= PATH_CHARACTERS_MAX;
  if (isFile && isPlain) return written;
  const fix = 'Write a path from the root, for example `/etc/tracecar/tls/NAME/tls.crt`.';
  return cursor.complain('bad-path', `\`${written}\` is not the absolute path of a file`, fix);
});

/** TLS 1.2 at least, whatever is written. */
export const minProtocolVersion = choice<ListenerTls['minVersion']>(
  { TLSV1_2: 'TLSv1.2', TLSV1_3: 'TLSv1.3', TLS_AUTO: 'TLSv1.2' },
  { TLSV1_0: 'TLS below 1.2 is never served', TLSV1_1: 'TLS below 1.2 is never served' },
);

const tlsRecord = record(
  {
    mode: needed(
      choice<'simple' | 'mutual'>(
        { SIMPLE: 'simple', MUTUAL: 'mutual' },
        {
          PASSTHROUGH: 'routing by SNI; without `tls` the bytes are passed on untouched',
          AUTO_PASSTHROUGH: 'routing by SNI',
          ISTIO_MUTUAL: 'identities of the mesh',
          OPTIONAL_MUTUAL: 'certificates that downstream may leave out',
        },
      ),
    ),
    serverCertificate: optional(filePath),
    privateKey: optional(filePath),
    caCertificates: optional(filePath),
    minProtocolVersion: optional(minProtocolVersion),
  },
  {
    maxProtocolVersion: 'TLS 1.3 is always offered',
    cipherSuites: 'choosing ciphers',
    credentialName: 'Secrets by name; mount it and name its files',
    credentialNames: 'Secrets by name; mount one and name its files',
    caCertCredentialName: 'Secrets by name; mount it and name its file',
    tlsCertificates: 'several certificates',
    httpsRedirect: 'redirects',
    subjectAltNames: 'names that downstream must have',
    verifyCertificateSpki: 'pinned keys',
    verifyCertificateHash: 'pinned certificates',
    caCrl: 'revocation lists',
  },
);

type WrittenTls = NonNullable<ReturnType<typeof tlsRecord>>;

/** How TLS ends at an ingress listener; what its mode needs and does not find is complained of. */
export const listenerTls: Reader<ListenerTls> = (cursor) => {
  const written = tlsRecord(cursor);
  if (written === undefined) return undefined;
  const { mode, serverCertificate, privateKey, caCertificates } = written;
  const isMutual = mode === 'mutual';
  const modeName = isMutual ? 'MUTUAL' : 'SIMPLE';
  complainOfMissing(cursor, written, 'serverCertificate', modeName);
  complainOfMissing(cursor, written, 'privateKey', modeName);
  if (isMutual) complainOfMissing(cursor, written, 'caCertificates', modeName);
  else if ('caCertificates' in written.offsets) {
    const offset = written.offsets.caCertificates!;
    const place = { ...cursor.at, path: `${cursor.path}.caCertificates`, offset };
    const message = '`caCertificates` means nothing with SIMPLE: downstream shows no certificate';
    cursor.reading.complaints.add('one-of', place, message, 'Remove it, or write `mode: MUTUAL`.');
  }
  if (serverCertificate === undefined || privateKey === undefined) return undefined;
  if (isMutual && caCertificates === undefined) return undefined;
  return {
    mode,
    certificateFile: serverCertificate,
    keyFile: privateKey,
    caFile: isMutual ? caCertificates! : '',
    minVersion: written.minProtocolVersion ?? 'TLSv1.2',
  };
};

function complainOfMissing(
  cursor: Cursor,
  written: WrittenTls,
  field: 'serverCertificate' | 'privateKey' | 'caCertificates',
  mode: string,
): void {
  if (field in written.offsets) return;
  const place = { ...cursor.at, path: `${cursor.path}.${field}` };
  const message = `\`${field}\` is missing: ${mode} needs it`;
  cursor.reading.complaints.add('field-missing', place, message, `Add \`${field}: /FILE.pem\`.`);
}
