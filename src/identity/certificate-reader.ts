/**
 * The parts of a certificate as DER (RFC 5280 4.1): what identities are read from and signed with.
 *
 * Only the outer form is judged here; signatures and times are OpenSSL's.
 */

import {
  childrenOf,
  contextTag,
  DerError,
  type DerNode,
  expectTag,
  readBoolean,
  readDer,
  readObjectIdentifier,
  Tag,
} from './der-reader.ts';

export interface Extension {
  readonly isCritical: boolean;
  /** DER of the extension's own value. */
  readonly value: Buffer;
}

export interface RawCertificate {
  readonly version: 1 | 3;
  /** AlgorithmIdentifier of the signature. */
  readonly algorithm: DerNode;
  readonly subject: DerNode;
  /** SubjectPublicKeyInfo. */
  readonly keyInfo: DerNode;
  /** By their ids in dotted form, each at most once. */
  readonly extensions: ReadonlyMap<string, Extension>;
}

/** Throws DerError for what is no certificate. */
export function readCertificateParts(der: Buffer): RawCertificate {
  const [tbs, algorithm, signature, ...rest] = childrenOf(readDer(der), 'the certificate');
  if (rest.length > 0) throw new DerError('a certificate of more than three parts');
  expectTag(signature, Tag.BitString, 'the signature');
  const fields = [...childrenOf(tbs, 'the part that is signed')];
  const hasVersion = fields[0]?.tag === contextTag(0, true);
  const version = hasVersion ? readVersion(fields.shift()) : 1;
  // serial, signature, issuer, validity, subject, key, then optional parts by their tags
  const [, inner, , , subject, keyInfo, ...optional] = fields;
  const outer = expectTag(algorithm, Tag.Sequence, 'the algorithm of the signature');
  // RFC 5280 4.1.1.2: both places name the same algorithm; only one of them is signed.
  if (inner === undefined || !inner.whole.equals(outer.whole)) {
    throw new DerError('two different algorithms of one signature');
  }
  return {
    version,
    algorithm: outer,
    subject: expectTag(subject, Tag.Sequence, 'the subject'),
    keyInfo: expectTag(keyInfo, Tag.Sequence, 'the public key'),
    extensions: readExtensions(optional.find(({ tag }) => tag === contextTag(3, true))),
  };
}

function readVersion(node: DerNode | undefined): 1 | 3 {
  const { content } = expectTag(node?.children[0], Tag.Integer, 'the version');
  return content.length === 1 && content[0] === 2 ? 3 : 1;
}

function readExtensions(node: DerNode | undefined): ReadonlyMap<string, Extension> {
  const found = new Map<string, Extension>();
  if (node === undefined) return found;
  for (const each of childrenOf(node.children[0], 'the extensions')) {
    const [idNode, ...parts] = childrenOf(each, 'an extension');
    const id = readObjectIdentifier(idNode, 'the id of an extension');
    const [first] = parts;
    const hasFlag = first?.tag === Tag.Boolean;
    const isCritical = hasFlag && readBoolean(first, 'the critical mark of an extension');
    const { content } = expectTag(parts[hasFlag ? 1 : 0], Tag.OctetString, `extension ${id}`);
    if (found.has(id)) throw new DerError(`extension ${id} is there twice`);
    found.set(id, { isCritical, value: content });
  }
  return found;
}
