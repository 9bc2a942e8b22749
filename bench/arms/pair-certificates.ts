/**
 * Keys and certificates of one pair: P-256, one root, the same identity on both ends.
 *
 * Tracecar's halves find theirs where a sidecar keeps its identity for a restart, so that no authority runs
 * beside what is measured; they are as `tracecar ca` issues them. Rivals read PEM files.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemRandom } from '../../src/base/random.ts';
import { Secret } from '../../src/base/secret.ts';
import { generateKeys, privateKeyPem, spkiOf } from '../../src/identity/certificate.ts';
import { IdentityStore } from '../../src/identity/identity-store.ts';
import { issueLeaf, issueRoot, signerOf } from '../../src/identity/leaf.ts';
import { readTrustBundle } from '../../src/identity/trust-bundle.ts';

/** Of both ends. */
export const pairIdentity = 'spiffe://cluster.local/ns/bench/sa/bench';

export type Half = 'outbound' | 'inbound';

export interface PairCertificates {
  readonly identity: string;
  /** PEM files. The leaf is for `localhost` too, which is what HAProxy can compare. */
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
  /** Chain and key in one file, as HAProxy reads them. */
  readonly both: string;
  /** A folder for the resources of one half of Tracecar. */
  folderOf(half: Half): string;
  /** Of `tracecar proxy`. */
  tracecarFlags(half: Half): readonly string[];
}

const dayMs = 86_400_000;

/** Makes them, in files of `directory`. */
export function pairCertificates(directory: string): PairCertificates {
  const now = Date.now();
  const life = { notBeforeMs: now - 60_000, notAfterMs: now + dayMs };
  const root = issueRoot('Tracecar bench', life, systemRandom);
  const signer = signerOf(root.pem, root.keys.privateKey);
  const leaf = (dnsNames: readonly string[]) => {
    const { publicKey, privateKey } = generateKeys();
    const request = { id: pairIdentity, dnsNames, publicKey: spkiOf(publicKey), ...life };
    return { pem: issueLeaf(signer, request, systemRandom).pem, key: privateKeyPem(privateKey) };
  };
  const file = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const bundle = readTrustBundle(root.pem);
  if ('problem' in bundle) throw new Error(bundle.problem);
  const roots = file('roots.pem', root.pem);
  const token = file('token', 'no authority is asked\n');
  const named = leaf(['localhost']);
  const folderOf = (half: Half) => {
    const folder = join(directory, half);
    mkdirSync(folder, { recursive: true });
    return folder;
  };
  const tracecarFlags = (half: Half) => {
    const kept = join(directory, `identity-${half}`);
    mkdirSync(kept, { recursive: true, mode: 0o700 });
    const { pem, key } = leaf([]);
    const problem = new IdentityStore(kept, token).write({
      ...{ privateKey: new Secret(key), certificates: pem },
      ...{ roots: root.pem, configuredHash: bundle.hash },
    });
    if (problem !== undefined) throw new Error(problem.problem);
    return [
      ...['--identity', '127.0.0.1:9', '--token', token, '--trust-bundle', roots],
      ...['--identity-dir', kept],
    ];
  };
  return {
    identity: pairIdentity,
    chain: file('chain.pem', named.pem),
    key: file('key.pem', named.key),
    roots,
    both: file('both.pem', named.pem + named.key),
    folderOf,
    tracecarFlags,
  };
}
