/**
 * Certificates that nobody in a mesh may believe, each wrong in one thing, with who has to notice.
 *
 * Each is made for the workload `default/web` of `cluster.local`, as a peer that lies would show it:
 * `for (const { name, make } of hostileLeaves) connect({ cert: make(root).certificates, ... })`.
 */

import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import {
  type CertificateParts,
  distinguishedName,
  extension,
  generateKeys,
  type KeyPair,
  pemOf,
  privateKeyPem,
  signCertificate,
  spkiOf,
} from '../../src/identity/certificate.ts';
import {
  bits,
  type DerValue,
  encode,
  integer,
  isTrue,
  objectIdentifier,
  ownDer,
  sequence,
  tagged,
  taggedBytes,
  time,
} from '../../src/identity/der.ts';
import { type MeshLeaf, type MeshSigner, makeIssuer, makeLeaf, makeRoot } from './mesh-material.ts';

/**
 * Who refuses: `chain` OpenSSL's verification (or its limits), `svid` readSvid, which is asked about a
 * chain that has been verified, `id` the comparison with the expected id (it is a good leaf, of another).
 */
export type RefusedBy = 'chain' | 'svid' | 'id';

export interface HostileLeaf {
  /** A fact: `has two URI names`. */
  readonly name: string;
  readonly refusedBy: RefusedBy;
  /** `root` is what the other end trusts. */
  make(root: MeshSigner): MeshLeaf;
}

const web = { serviceAccount: 'web' };
const webId = 'spiffe://cluster.local/ns/default/sa/web';
const uri = (text: string) => taggedBytes(6, Buffer.from(text, 'latin1'));
const dns = (text: string) => taggedBytes(2, Buffer.from(text, 'latin1'));
const serverAuth = '1.3.6.1.5.5.7.3.1';
const clientAuth = '1.3.6.1.5.5.7.3.2';

interface Odd {
  readonly subject?: DerValue;
  readonly names?: readonly DerValue[];
  readonly isAuthority?: boolean;
  /** First byte of the key usage; null leaves the extension out. */
  readonly usage?: number | null;
  readonly isUsageCritical?: boolean;
  /** Null leaves the extension out. */
  readonly purposes?: readonly string[];
  readonly keys?: KeyPair;
}

/** Every certificate that the table names; the first reason to refuse it is `name`. */
export const hostileLeaves: readonly HostileLeaf[] = [
  {
    name: 'has expired',
    refusedBy: 'chain',
    make: (root) => makeLeaf(root, { ...web, lifeMs: -1_000 }),
  },
  {
    name: 'is not valid for two minutes yet',
    refusedBy: 'chain',
    make: (root) => makeLeaf(root, { ...web, backdateMs: -120_000 }),
  },
  {
    name: 'is signed by a root that nobody knows',
    refusedBy: 'chain',
    make: () => makeLeaf(makeRoot(), web),
  },
  {
    name: 'is signed by an issuer whose root nobody knows',
    refusedBy: 'chain',
    make: () => makeLeaf(makeIssuer(makeRoot()), web),
  },
  {
    name: 'comes without the issuer that signed it',
    refusedBy: 'chain',
    make: (root) => makeLeaf({ ...makeIssuer(root), issuers: '' }, web),
  },
  {
    name: 'is signed by an issuer that has expired',
    refusedBy: 'chain',
    make: (root) => makeLeaf(makeIssuer(root, -1_000), web),
  },
  { name: 'is signed by another leaf', refusedBy: 'chain', make: signedByLeaf },
  { name: 'is ten issuers deep', refusedBy: 'chain', make: deepChain },
  { name: 'brings over 100 KiB of chain', refusedBy: 'chain', make: longChain },
  { name: 'signs itself', refusedBy: 'chain', make: selfSigned },
  { name: 'has another signature than its bytes', refusedBy: 'chain', make: tornSignature },
  { name: 'has an RSA key of 1024 bits', refusedBy: 'chain', make: weakKey },
  { name: 'is signed with SHA-1', refusedBy: 'chain', make: signedWithSha1 },
  {
    name: 'is for servers only, and calls',
    refusedBy: 'chain',
    make: (root) => oddLeaf(root, { purposes: [serverAuth] }),
  },
  {
    name: 'is of another service account',
    refusedBy: 'id',
    make: (root) => makeLeaf(root, { serviceAccount: 'other' }),
  },
  {
    name: 'is of another namespace',
    refusedBy: 'id',
    make: (root) => makeLeaf(root, { ...web, namespace: 'other' }),
  },
  {
    name: 'is of another trust domain',
    refusedBy: 'id',
    make: (root) => makeLeaf(root, { ...web, trustDomain: 'other.local' }),
  },
  {
    name: 'is of a trust domain that begins like ours',
    refusedBy: 'id',
    make: (root) => makeLeaf(root, { ...web, trustDomain: 'cluster.local.evil.example' }),
  },
  svid('has two URI names', { names: [uri(webId), uri('spiffe://cluster.local/ns/a/sa/b')] }),
  svid('has its URI name twice', { names: [uri(webId), uri(webId)] }),
  svid('has no name at all', { names: [] }),
  svid('has its id in the common name only', { names: [], subject: distinguishedName(webId) }),
  svid('has its id in a DNS name only', { names: [dns(webId)] }),
  svid('has the text URI: in a DNS name', { names: [dns(`a, URI:${webId}`)] }),
  svid('has a comma in a DNS name beside its id', { names: [uri(webId), dns('a,b')] }),
  svid('has a NUL in a DNS name beside its id', {
    names: [uri(webId), dns('good.example\0.evil')],
  }),
  svid('has a NUL in its URI', { names: [uri(`${webId}\0.evil`)] }),
  svid('has a line break in its URI', { names: [uri(`${webId}\n`)] }),
  svid('has a byte above ASCII in its URI', { names: [uri(`${webId}\xe9`)] }),
  svid('has 1000 names beside its id', {
    names: [uri(webId), ...Array.from({ length: 1_000 }, (_, index) => dns(`n${index}.example`))],
  }),
  svid('has 100 names beside its id', {
    names: [uri(webId), ...Array.from({ length: 100 }, (_, index) => dns(`n${index}`))],
  }),
  svid('is an authority', { isAuthority: true }),
  svid('has a key that may sign certificates', { usage: 0x84 }),
  svid('has a key that may not sign handshakes', { usage: 0x20 }),
  svid('has no key usage', { usage: null }),
  svid('has a key usage that is not critical', { isUsageCritical: false }),
  ...(
    [
      ['is a web address', 'https://cluster.local/ns/default/sa/web'],
      ['has a scheme in capitals', 'SPIFFE://cluster.local/ns/default/sa/web'],
      ['has a trust domain in capitals', 'spiffe://Cluster.Local/ns/default/sa/web'],
      ['has no trust domain', 'spiffe:///ns/default/sa/web'],
      ['has a port', 'spiffe://cluster.local:443/ns/default/sa/web'],
      ['has a user', 'spiffe://me@cluster.local/ns/default/sa/web'],
      ['has a query', `${webId}?a=b`],
      ['has a fragment', `${webId}#a`],
      ['ends with a slash', `${webId}/`],
      ['goes on after the account', `${webId}/more`],
      ['has no account', 'spiffe://cluster.local/ns/default/sa/'],
      ['has no namespace', 'spiffe://cluster.local/ns//sa/web'],
      ['has a percent-encoded letter', 'spiffe://cluster.local/ns/default/sa/%77eb'],
      ['has an encoded slash', 'spiffe://cluster.local/ns/default%2fsa%2fweb/sa/web'],
      ['climbs up', 'spiffe://cluster.local/ns/../sa/web'],
      ['is of no workload', 'spiffe://cluster.local'],
      ['is longer than 2048 bytes', `spiffe://cluster.local/ns/default/sa/${'a'.repeat(2_048)}`],
      ['has an account of 254 characters', `spiffe://cluster.local/ns/a/sa/${'a'.repeat(254)}`],
    ] as const
  ).map(([name, text]) => svid(`has a URI that ${name}`, { names: [uri(text)] })),
];

function svid(name: string, odd: Odd): HostileLeaf {
  return { name, refusedBy: 'svid', make: (root) => oddLeaf(root, odd) };
}

/** A leaf of `by` that is usual but for what `odd` says. */
function oddLeaf(by: MeshSigner, odd: Odd): MeshLeaf {
  const keys = odd.keys ?? generateKeys();
  const { parts, notAfterMs } = oddParts(by, odd, spkiOf(keys.publicKey));
  const der = signCertificate(parts, by.signer.privateKey);
  return finished(der, by.issuers, keys.privateKey, notAfterMs);
}

function oddParts(by: MeshSigner, odd: Odd, publicKey: Buffer) {
  const now = Date.now();
  const notAfterMs = now + 3_600_000;
  const usage = odd.usage === undefined ? 0x80 : odd.usage;
  const purposes = odd.purposes ?? [serverAuth, clientAuth];
  const names = odd.names ?? [uri(webId)];
  const extensions = [
    extension('2.5.29.19', true, odd.isAuthority === true ? sequence(isTrue()) : sequence()),
    extension('2.5.29.37', false, sequence(...purposes.map(objectIdentifier))),
    extension('2.5.29.35', false, sequence(taggedBytes(0, by.signer.keyId))),
  ];
  if (usage !== null) {
    const isCritical = odd.isUsageCritical ?? true;
    extensions.push(extension('2.5.29.15', isCritical, bits(Buffer.of(usage))));
  }
  if (names.length > 0) extensions.push(extension('2.5.29.17', true, sequence(...names)));
  const parts: CertificateParts = {
    serial: Buffer.from('41424344454647484142434445464748', 'hex'),
    issuer: ownDer(by.signer.name),
    subject: odd.subject ?? sequence(),
    notBefore: now - 60_000,
    notAfter: notAfterMs,
    publicKey,
    extensions,
  };
  return { parts, notAfterMs };
}

function finished(der: Buffer, issuers: string, key: KeyObject, notAfterMs: number): MeshLeaf {
  return { certificates: pemOf(der) + issuers, privateKey: privateKeyPem(key), der, notAfterMs };
}

/** The certificate above is a good leaf, which is what a workload has that wants to be another. */
function signedByLeaf(root: MeshSigner): MeshLeaf {
  const aboveKeys = generateKeys();
  const name = distinguishedName('a leaf');
  const above = oddLeaf(root, { keys: aboveKeys, subject: name });
  const signer = { ...root.signer, privateKey: aboveKeys.privateKey, name: encode(name) };
  return oddLeaf({ roots: root.roots, issuers: above.certificates, signer }, {});
}

function deepChain(root: MeshSigner): MeshLeaf {
  let by = root;
  for (let depth = 0; depth < 10; depth += 1) by = makeIssuer(by);
  return oddLeaf(by, {});
}

function longChain(root: MeshSigner): MeshLeaf {
  const { issuers } = makeIssuer(root);
  const count = Math.ceil((110 * 1024) / new X509Certificate(issuers).raw.length);
  return oddLeaf({ ...root, issuers: issuers.repeat(count) }, {});
}

function selfSigned(): MeshLeaf {
  const keys = generateKeys();
  const subject = distinguishedName('myself');
  const by = { ...makeRoot(), issuers: '' };
  const signer = { ...by.signer, privateKey: keys.privateKey, name: encode(subject) };
  return oddLeaf({ ...by, signer }, { keys, subject });
}

function tornSignature(root: MeshSigner): MeshLeaf {
  const keys = generateKeys();
  const leaf = oddLeaf(root, { keys });
  const der = Buffer.from(leaf.der);
  const at = der.indexOf(webId);
  der.write('bad', at + webId.length - 3);
  return finished(der, root.issuers, keys.privateKey, leaf.notAfterMs);
}

function weakKey(root: MeshSigner): MeshLeaf {
  return oddLeaf(root, { keys: generateKeyPairSync('rsa', { modulusLength: 1_024 }) });
}

function signedWithSha1(root: MeshSigner): MeshLeaf {
  const keys = generateKeys();
  const { parts, notAfterMs } = oddParts(root, {}, spkiOf(keys.publicKey));
  const algorithm = sequence(objectIdentifier('1.2.840.10045.4.1'));
  const unsigned = sequence(
    tagged(0, integer(Buffer.of(2))),
    integer(parts.serial),
    algorithm,
    parts.issuer,
    sequence(time(parts.notBefore), time(parts.notAfter)),
    parts.subject,
    ownDer(parts.publicKey),
    tagged(3, sequence(...parts.extensions)),
  );
  const signature = sign('sha1', encode(unsigned), root.signer.privateKey);
  const der = encode(sequence(unsigned, algorithm, bits(signature)));
  return finished(der, root.issuers, keys.privateKey, notAfterMs);
}
