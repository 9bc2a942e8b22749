/**
 * A certificate and its key, from two files that somebody writes one after the other.
 *
 * Until both are there they do not fit together: whoever reads them goes on with what was good, looks
 * again, and says what is wrong once it stays so. The text names the command that shows it; nothing of
 * the key is in it.
 */

import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto';

export interface PairFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Why the two cannot be used together, for people; undefined: they can. `key`: PEM. */
export function misfitOf(
  certificate: X509Certificate,
  key: string | Buffer,
  { certificateFile, keyFile }: PairFiles,
): string | undefined {
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    return `${keyFile} holds no private key that can be read (\`openssl pkey -noout -in ${keyFile}\` says why)`;
  }
  if (certificate.checkPrivateKey(privateKey)) return undefined;
  const [of, from] = [
    `openssl x509 -noout -pubkey -in ${certificateFile}`,
    `openssl pkey -pubout -in ${keyFile}`,
  ];
  return `${certificateFile} is not for ${keyFile}: key values mismatch (compare \`${of}\` with \`${from}\`)`;
}
