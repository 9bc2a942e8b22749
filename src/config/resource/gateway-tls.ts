/**
 * Gateway TLS: `servers[].tls` of a Gateway, the fields of Istio's ServerTLSSettings.
 *
 * Only read here; which files a `credentialName` stands for depends on the workload and is found when its
 * table is compiled (gateway-credentials.ts).
 */

import { getCiphers } from 'node:tls';
import type { ListenerTls } from '../../model/routing-table.ts';
import {
  checkedText,
  choice,
  flag,
  list,
  needed,
  optional,
  placed,
  record,
  text,
} from '../syntax/schema.ts';
import { filePath, minProtocolVersion } from './listener-tls.ts';
import { isDnsName } from './values.ts';

const secretName = checkedText((name, cursor) => {
  if (isDnsName(name)) return name;
  const fix =
    'Write the name of a Secret beside the gateway: lower-case letters, digits, `-`, `.`.';
  return cursor.complain('bad-name', `\`${name}\` is not the name of a Secret`, fix);
});

/** Those of TLS 1.3 cannot be chosen one by one; the others must keep their secrets when a key is lost. */
const isStrong = /^ECDHE-(?:ECDSA|RSA)-(?:AES(?:128|256)-GCM|CHACHA20-POLY1305)/;
const known = new Set(getCiphers().map((name) => name.toUpperCase()));
const strong = [...known].filter((name) => isStrong.test(name)).toSorted();

const cipher = checkedText((written, cursor) => {
  const name = written.toUpperCase();
  const fix = `Write some of ${strong.join(', ')}.`;
  if (!known.has(name)) {
    return cursor.complain('bad-cipher', `\`${written}\` is not a cipher suite`, fix);
  }
  if (isStrong.test(name)) return name;
  const message = `\`${written}\` is never served: no forward secrecy, or no authenticated encryption`;
  return cursor.complain('bad-cipher', message, fix);
});

const certificatePair = record(
  { serverCertificate: needed(filePath), privateKey: needed(filePath) },
  { caCertificates: 'write it beside `tlsCertificates`' },
);

/** `passthrough` only at a Gateway: TLS goes on as it comes, by the name that it asks for. */
type GatewayTlsMode = ListenerTls['mode'] | 'passthrough';

export const gatewayTls = record(
  {
    httpsRedirect: optional(flag),
    mode: optional(
      choice<GatewayTlsMode>(
        {
          SIMPLE: 'simple',
          MUTUAL: 'mutual',
          OPTIONAL_MUTUAL: 'optional-mutual',
          PASSTHROUGH: 'passthrough',
        },
        {
          AUTO_PASSTHROUGH: 'gateways between clusters',
          ISTIO_MUTUAL: 'identities of the mesh at a gateway',
        },
      ),
    ),
    serverCertificate: optional(filePath),
    privateKey: optional(filePath),
    caCertificates: optional(filePath),
    tlsCertificates: optional(list(certificatePair)),
    credentialName: optional(placed(secretName)),
    credentialNames: optional(list(placed(secretName))),
    caCertCredentialName: optional(placed(secretName)),
    subjectAltNames: optional(list(text)),
    minProtocolVersion: optional(minProtocolVersion),
    cipherSuites: optional(list(cipher)),
  },
  {
    maxProtocolVersion: 'TLS 1.3 is always offered',
    verifyCertificateSpki: 'pinned keys',
    verifyCertificateHash: 'pinned certificates',
    caCrl: 'revocation lists',
  },
);

export type GatewayTls = NonNullable<ReturnType<typeof gatewayTls>>;
