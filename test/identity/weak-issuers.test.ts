/** Issuers and roots with keys or signatures that nobody is to believe, and issuers before their time. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Secret } from '../../src/base/secret.ts';
import { pemOf } from '../../src/identity/certificate.ts';
import { checkOffer } from '../../src/identity/granted-leaf.ts';
import { splitPem } from '../../src/identity/serving-certificate.ts';
import { readTrustBundle, type TrustBundle } from '../../src/identity/trust-bundle.ts';
import { outsideMaterial } from '../../src/main/ca-material.ts';
import { makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { makeDecoy, makeOddIssuer, type OddIssuer, oddCurveKeys } from '../support/odd-issuers.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-weak-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const hourMs = 3_600_000;

function outsideOf({ by, privateKey }: OddIssuer, nowMs = Date.now()) {
  const file = (name: string, text: string) => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  const [certificate, key] = [file('tls.crt', by.issuers), file('tls.key', privateKey)];
  return outsideMaterial(
    { certificate, key, roots: file('ca.crt', by.roots) },
    'cluster.local',
    nowMs,
  );
}

function offerOf({ by }: OddIssuer, nowMs = Date.now()) {
  const { certificates, privateKey } = makeLeaf(by, { serviceAccount: 'web' });
  return checkOffer({
    ...{ certificates, privateKey: new Secret(privateKey), expectedId: undefined },
    ...{ bundle: readTrustBundle(by.roots) as TrustBundle, trustDomain: 'cluster.local', nowMs },
  });
}

function problemOf(found: object): string {
  return 'problem' in found ? String(found.problem) : 'taken';
}

/** Says that it is signed with SHA-224: judged by what it says, before any signature is looked at. */
function withOtherAlgorithm(odd: OddIssuer): OddIssuer {
  const [pem = assert.fail()] = splitPem(odd.by.issuers);
  const der = Buffer.from(pem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
  const sha256 = Buffer.from('2a8648ce3d040302', 'hex');
  for (let at = der.indexOf(sha256); at !== -1; at = der.indexOf(sha256)) der[at + 7] = 1;
  return { ...odd, by: { ...odd.by, issuers: pemOf(der) } };
}

const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve });
const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });

const weak: readonly (readonly [string, () => OddIssuer, RegExp])[] = [
  [
    'on a curve that Node.js cannot describe',
    () => makeOddIssuer({ keys: oddCurveKeys() }),
    /is not believed: a key on a curve that is not believed \(1\.3\.132\.0\.10\)/,
  ],
  [
    'on P-224',
    () => makeOddIssuer({ keys: ec('P-224') }),
    /is not believed: a key on a curve that is not believed/,
  ],
  [
    'with an RSA key of 1024 bits',
    () => makeOddIssuer({ keys: rsa(1024) }),
    /is not believed: an RSA key of 1024 bits; at least 2048 are believed/,
  ],
  [
    'signed by another algorithm',
    () => withOtherAlgorithm(makeOddIssuer({})),
    /is not believed: signed by an algorithm that is not believed \(1\.2\.840\.10045\.4\.3\.1\)/,
  ],
];

for (const [what, make, problem] of weak) {
  test(`an issuer ${what} is used by no authority and no sidecar`, async () => {
    const odd = make();
    assert.match(problemOf(await outsideOf(odd)), problem);
    assert.match(problemOf(offerOf(odd)), problem);
  });
}

for (const [what, keys] of [
  ['on P-384', ec('P-384')],
  ['with an RSA key of 2048 bits', rsa(2048)],
] as const) {
  test(`an issuer ${what} is used`, async () => {
    const odd = makeOddIssuer({ keys });
    assert.ok('signer' in (await outsideOf(odd)));
    assert.ok('material' in offerOf(odd));
  });
}

test('an issuer is used from its time on, not before', async () => {
  const odd = makeOddIssuer({ beginsInMs: hourMs });
  const problem = /CN=odd issuer begins at \d{4}-\S+ by this machine's clock, and is taken then/;
  assert.match(problemOf(await outsideOf(odd)), problem);
  assert.ok('signer' in (await outsideOf(odd, Date.now() + hourMs)));
  assert.match(problemOf(offerOf(odd)), /its issuer begins on /);
});

test('a root that is not believed makes a bundle that is not taken', () => {
  const root = makeRoot();
  const problem = /^it holds a root that is not believed: a key on a curve that is not believed/;
  assert.match(problemOf(readTrustBundle(root.roots + makeDecoy(root))), problem);
});

test('a certificate that comes with one that is not believed is not taken, needed or not', () => {
  const root = makeRoot();
  const { certificates, privateKey } = makeLeaf(root, { serviceAccount: 'web' });
  const offer = checkOffer({
    certificates: certificates + makeDecoy(root),
    ...{ privateKey: new Secret(privateKey), expectedId: undefined, nowMs: Date.now() },
    ...{ bundle: readTrustBundle(root.roots) as TrustBundle, trustDomain: 'cluster.local' },
  });
  assert.match(problemOf(offer), /its issuer is not believed: a key on a curve/);
});
