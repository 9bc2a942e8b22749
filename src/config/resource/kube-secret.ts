/**
 * Kubernetes Secrets that hold a serving certificate: `kubernetes.io/tls`, or a generic one as Istio reads
 * it (`cert`, `key`, `cacert`).
 *
 * What is written there is never told to anybody: complaints are about the document as a whole, because
 * tools print the lines that they are about.
 */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { Cursor } from '../syntax/cursor.ts';

/** PEM, as it is written; '' where there is none. */
export interface SecretSpec {
  readonly certificate: string;
  readonly key: string;
  /** Who vouches for downstream's certificates. */
  readonly roots: string;
}

const names = {
  certificate: ['tls.crt', 'cert'],
  key: ['tls.key', 'key'],
  roots: ['ca.crt', 'cacert'],
} as const;

/** From the document's root; undefined for one that holds none of it, which is left alone. */
export function secretSpec(root: Cursor): SecretSpec | undefined {
  const texts = new Map<string, string>();
  const fields = root.entries() ?? [];
  let isWhole = true;
  for (const { key: field, value } of fields) {
    if (field !== 'data' && field !== 'stringData') continue;
    for (const { key, value: written } of value.entries() ?? []) {
      if (!isKnown(key)) continue;
      const text = written.scalar();
      const decoded = typeof text !== 'string' ? undefined : field === 'data' ? decode(text) : text;
      if (decoded === undefined) isWhole = false;
      else texts.set(key, decoded);
    }
  }
  if (!isWhole) {
    const fix = 'Write `stringData:` for PEM as it is; `data:` is base64, as kubectl prints it.';
    root.complain('bad-secret', 'A value of this Secret is not base64 of a text', fix);
  }
  const of = (keys: readonly string[]) => keys.map((key) => texts.get(key)).find(Boolean) ?? '';
  const spec = {
    certificate: of(names.certificate),
    key: of(names.key),
    roots: of(names.roots),
  };
  if (texts.size === 0 && isWhole) return undefined;
  const problem = isWhole ? problemOf(spec) : '';
  if (problem !== '') {
    root.complain('bad-secret', problem, 'Write PEM: the certificate, its key, and roots if any.');
  }
  return spec;
}

/**
 * Why it could not be served; '' when it could, as far as it is there. A resource that is wrong keeps what it
 * was before, so what nobody could use must be found here.
 */
function problemOf({ certificate, key, roots }: SecretSpec): string {
  try {
    const leaf = certificate === '' ? undefined : new X509Certificate(certificate);
    const own = key === '' ? undefined : createPrivateKey(key);
    if (leaf !== undefined && own !== undefined && !leaf.checkPrivateKey(own)) {
      return 'The key of this Secret is not that of its certificate';
    }
    if (roots !== '') for (const each of blocksOf(roots)) new X509Certificate(each);
    return '';
  } catch {
    // What OpenSSL says may quote what it has read.
    return 'A certificate or key of this Secret cannot be read';
  }
}

/** The certificates of a PEM text, at least one piece. */
function blocksOf(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [text];
}

function isKnown(key: string): boolean {
  return Object.values(names).some((keys) => keys.some((each) => each === key));
}

function decode(written: string): string | undefined {
  const packed = written.replaceAll(/\s/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(packed) || packed.length % 4 !== 0) return undefined;
  return Buffer.from(packed, 'base64').toString('utf8');
}
