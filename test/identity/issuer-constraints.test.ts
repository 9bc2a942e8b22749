/** Which issuers may sign for the mesh; OpenSSL is asked about each as well. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { checkOffer } from '../../src/identity/granted-leaf.ts';
import { issuersProblem } from '../../src/identity/issuer-constraints.ts';
import { readTrustBundle, type TrustBundle } from '../../src/identity/trust-bundle.ts';
import { outsideMaterial } from '../../src/main/ca-material.ts';
import { type MeshLeaf, type MeshSigner, makeLeaf } from '../support/mesh-material.ts';
import { issuerCases, makeOddIssuer, type OddIssuer } from '../support/odd-issuers.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-issuers-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** Whether OpenSSL believes the leaf at both ends of TLS. */
function opensslTakes(by: MeshSigner, { certificates }: MeshLeaf): boolean {
  const leaf = file('leaf.pem', certificates);
  const trusted = ['-CAfile', file('roots.pem', by.roots)];
  const between = by.issuers === '' ? [] : ['-untrusted', file('between.pem', by.issuers)];
  return ['sslserver', 'sslclient'].every((purpose) => {
    const args = ['verify', '-purpose', purpose, ...trusted, ...between, leaf];
    return spawnSync('openssl', args).status === 0;
  });
}

function offerOf(by: MeshSigner, { certificates, privateKey }: MeshLeaf) {
  return checkOffer({
    certificates,
    privateKey: new Secret(privateKey),
    bundle: readTrustBundle(by.roots) as TrustBundle,
    trustDomain: 'cluster.local',
    expectedId: undefined,
    nowMs: Date.now(),
  });
}

function outsideOf(odd: OddIssuer) {
  return outsideMaterial(
    {
      certificate: file('tls.crt', odd.by.issuers),
      key: file('tls.key', odd.privateKey),
      roots: file('ca.crt', odd.by.roots),
    },
    'cluster.local',
    Date.now(),
  );
}

for (const { name, problem, isStricter, ...terms } of issuerCases) {
  const verdict = problem === undefined ? 'is used' : 'is used by nobody';
  test(`an issuer ${name} ${verdict}`, async () => {
    const odd = makeOddIssuer(terms);
    const leaf = makeLeaf(odd.by, { serviceAccount: 'web' });
    // What is not supported is refused by us alone.
    if (isStricter !== true) assert.equal(opensslTakes(odd.by, leaf), problem === undefined);
    const offer = offerOf(odd.by, leaf);
    const outside = await outsideOf(odd);
    if (problem === undefined) {
      assert.ok('material' in offer, JSON.stringify(offer));
      assert.ok('signer' in outside, JSON.stringify(outside));
      return;
    }
    assert.match('problem' in offer ? offer.problem : 'taken', problem);
    assert.match('problem' in outside ? outside.problem : 'taken', problem);
    assert.match(
      'problem' in outside ? outside.problem : '',
      /^the mesh would refuse its leaves: /,
    );
  });
}

test('an issuer that cannot be read is named', () => {
  const name = 'CN=odd issuer';
  const torn = { raw: Buffer.of(0x30, 0), subject: name, issuer: name } as X509Certificate;
  assert.match(issuersProblem([torn], 'cluster.local') ?? '', /^CN=odd issuer cannot be read: /);
});
