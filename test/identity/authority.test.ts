import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { seededRandom } from '../../src/base/random.ts';
import { type AuditedLeaf, Authority, type Signed } from '../../src/identity/authority.ts';
import {
  type AuthorityState,
  createState,
  materialOf,
  renewIssuer,
} from '../../src/identity/authority-state.ts';
import { generateKeys, pemOf } from '../../src/identity/certificate.ts';
import { writeCertificateRequest } from '../../src/identity/csr.ts';
import { splitPem } from '../../src/identity/serving-certificate.ts';
import type { SidecarReport } from '../../src/identity/sidecar-reports.ts';
import { readSvid } from '../../src/identity/svid.ts';
import type { Caller } from '../../src/identity/token.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const dayMs = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'tracecar-authority-'));
after(() => rmSync(folder, { recursive: true }));
const random = seededRandom(7);
const webId = 'spiffe://cluster.local/ns/shop/sa/web';
const web: Caller = {
  namespace: 'shop',
  serviceAccount: 'web',
  who: 'pod shop/web-1 uid-1',
  limitKey: 'uid-1',
  isShared: false,
};

function openAuthority(state?: AuthorityState, leafLifeMs = dayMs) {
  const clock = new ManualClock();
  const time = { nowMs: Date.now() };
  const audited: AuditedLeaf[] = [];
  const reports: SidecarReport[] = [];
  const authority = new Authority({
    clock,
    wallTime: () => time.nowMs,
    random,
    leafLifeMs,
    onLeaf: (leaf) => audited.push(leaf),
    onReport: async (report) => {
      reports.push(report);
    },
  });
  const material = materialOf(state ?? createState('cluster.local', dayMs, time.nowMs, random));
  assert.ok(!('problem' in material));
  authority.use(material);
  const ask = (csr: string, caller = web) =>
    authority.sign(caller, { csr, bundleHash: 'ab'.repeat(32), instance: 'web-1' }, '10.0.0.7');
  return { ask, audited, authority, clock, material, reports, time };
}

function signed(result: object): Signed {
  assert.ok('certificates' in result, JSON.stringify(result));
  return result as Signed;
}

function leafOf({ certificates }: Signed): X509Certificate {
  return new X509Certificate(certificates);
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

/** A request made by openssl, with whatever it asks for. */
function opensslRequest(newKey: readonly string[], ...more: readonly string[]): string {
  const out = join(folder, 'made.csr');
  const key = join(folder, 'made.key');
  const args = ['req', '-new', ...newKey, '-nodes', '-keyout', key, '-out', out, ...more];
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  return readFileSync(out, 'utf8');
}

const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const fresh = () => writeCertificateRequest(generateKeys());

test('a request of ours is one that OpenSSL verifies', () => {
  const path = file('own.csr', fresh());
  const { status, stderr } = spawnSync('openssl', ['req', '-in', path, '-verify', '-noout'], {
    encoding: 'utf8',
  });
  assert.equal(status, 0);
  assert.match(stderr, /verify OK/);
});

test('OpenSSL verifies a leaf strictly for both ends of TLS', () => {
  const { ask } = openAuthority();
  const result = signed(ask(fresh()));
  const [leaf, ...issuers] = splitPem(result.certificates);
  const roots = file('roots.pem', result.bundle);
  const chain = file('chain.pem', issuers.join('\n'));
  const path = file('leaf.pem', leaf!);
  for (const purpose of ['sslclient', 'sslserver']) {
    const args = ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', roots];
    const verdict = spawnSync('openssl', [...args, '-untrusted', chain, path], {
      encoding: 'utf8',
    });
    assert.equal(verdict.status, 0, verdict.stderr);
  }
  const text = execFileSync('openssl', ['x509', '-in', path, '-noout', '-text'], {
    encoding: 'utf8',
  });
  assert.match(text, /Subject: *\n/);
  assert.match(
    text,
    /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/web\n/,
  );
  assert.match(text, /Basic Constraints: critical\s+CA:FALSE/);
  assert.match(text, /Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /TLS Web Server Authentication, TLS Web Client Authentication/);
  assert.match(text, /prime256v1/);
});

test('a leaf begins a minute ago, ends in a day, and has a serial of 128 bits', () => {
  const { ask, time } = openAuthority();
  const result = signed(ask(fresh()));
  const leaf = leafOf(result);
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) <= 1_000, `${a} ${b}`);
  near(leaf.validFromDate.getTime(), time.nowMs - 60_000);
  near(leaf.validToDate.getTime(), time.nowMs + dayMs);
  assert.equal(leaf.validToDate.getTime(), result.notAfterMs);
  assert.equal(leaf.serialNumber.length, 32);
  assert.notEqual(leaf.serialNumber, leafOf(signed(ask(fresh()))).serialNumber);
});

test('a leaf never outlives its issuer', () => {
  const issuedMs = Date.now();
  const { ask, time, material } = openAuthority(
    createState('cluster.local', dayMs, issuedMs, random),
  );
  time.nowMs = issuedMs + authorityLimits.issuerLifeMs - 2 * 3_600_000;
  const { notAfterMs } = signed(ask(fresh()));
  assert.equal(notAfterMs, material.signer.notAfterMs);
});

test('names and wishes of a request are read past: the token says who it is (I1, I5)', () => {
  const { ask } = openAuthority();
  const wishes = [
    'subjectAltName=URI:spiffe://cluster.local/ns/shop/sa/admin,DNS:*.shop,IP:10.0.0.1,email:a@b.c',
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign',
  ];
  const csr = opensslRequest(
    p256,
    ...['-subj', '/CN=spiffe:\\/\\/cluster.local\\/ns\\/shop\\/sa\\/admin'],
    ...wishes.flatMap((each) => ['-addext', each]),
  );
  const leaf = leafOf(signed(ask(csr)));
  assert.deepEqual(readSvid(leaf.raw), {
    id: webId,
    trustDomain: 'cluster.local',
    namespace: 'shop',
    serviceAccount: 'web',
  });
  assert.equal(leaf.subjectAltName, `URI:${webId}`);
  assert.equal(leaf.subject, undefined);
  assert.equal(leaf.ca, false);
});

test('a request that its key did not sign is refused (I2)', () => {
  const { ask } = openAuthority();
  const [mine, other] = [fresh(), fresh()].map((pem) =>
    Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64'),
  );
  const torn = Buffer.from(mine!);
  torn[torn.length - 5]! ^= 1;
  // The key of one in the request of another: what whoever has seen a public key could send.
  const at = mine!.indexOf(Buffer.from('03420004', 'hex'));
  const swapped = Buffer.from(mine!);
  other!.copy(swapped, at, other!.indexOf(Buffer.from('03420004', 'hex')), at + 68);
  for (const der of [torn, swapped]) {
    const result = ask(pemOf(der, 'CERTIFICATE REQUEST'));
    assert.ok('cause' in result);
    assert.equal(result.status, 400);
    assert.match(result.message, /proves who holds/);
  }
});

test('a key that another one had certified is refused, its owner may come again (I3)', () => {
  const { ask } = openAuthority();
  const csr = fresh();
  signed(ask(csr));
  signed(ask(csr));
  for (const other of [
    { ...web, serviceAccount: 'other' },
    { ...web, who: 'pod shop/web-2', limitKey: 'uid-2' },
  ]) {
    const result = ask(csr, other);
    assert.ok('cause' in result);
    assert.deepEqual([result.status, result.cause], [403, 'key-reused']);
  }
});

test('only keys on the curve P-256 are certified (I4)', () => {
  const { ask } = openAuthority();
  const weak: readonly (readonly [string, readonly string[]])[] = [
    ['RSA of 512 bits', ['-newkey', 'rsa:512']],
    ['RSA of 2048 bits', ['-newkey', 'rsa:2048']],
    ['RSA with exponent 3', ['-newkey', 'rsa:2048', '-pkeyopt', 'rsa_keygen_pubexp:3']],
    ['P-192', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-192']],
    ['P-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['secp256k1', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:secp256k1']],
    ['Ed25519', ['-newkey', 'ed25519']],
    ['P-256 by its numbers instead of its name', [...p256, '-pkeyopt', 'ec_param_enc:explicit']],
  ];
  for (const [what, newKey] of weak) {
    const result = ask(opensslRequest(newKey, '-subj', '/CN=a'));
    assert.ok('cause' in result, what);
    assert.equal(result.status, 400, what);
  }
});

test('what is no PEM of one DER request is refused (I7)', () => {
  const { ask } = openAuthority();
  const der = Buffer.from(fresh().split('\n').slice(1, -2).join(''), 'base64');
  const request = (bytes: Buffer) => pemOf(bytes, 'CERTIFICATE REQUEST');
  const hostile: readonly (readonly [string, string])[] = [
    ['nothing', ''],
    ['no PEM', 'hello'],
    ['a certificate', fresh().replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
    ['two requests', fresh() + fresh()],
    ['text before it', `a${fresh()}`],
    ['text after it', `${fresh()}a`],
    ['characters that are not base64', fresh().replace('MI', 'M%')],
    ['one byte more', request(Buffer.concat([der, Buffer.of(0)]))],
    ['one byte less', request(der.subarray(0, -1))],
    [
      'an indefinite length',
      request(Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(3), Buffer.of(0, 0)])),
    ],
    ['1 MiB', request(Buffer.alloc(1_048_576, 0x30))],
    [
      '10000 levels',
      request(Buffer.concat(Array.from({ length: 5_000 }, () => Buffer.of(0x30, 0x80)))),
    ],
  ];
  for (const [what, csr] of hostile) {
    const result = ask(csr);
    assert.ok('cause' in result, what);
    assert.deepEqual([result.status, result.cause], [400, 'csr'], what);
  }
  const cut = Array.from({ length: der.length - 1 }, (_, at) =>
    ask(request(der.subarray(0, at + 1))),
  );
  assert.ok(cut.every((result) => 'cause' in result && result.status === 400));
});

test('names that would break the id get none (I13)', () => {
  const { ask } = openAuthority();
  const names = ['..', '.', '', 'a/b', 'a%2fb', 'a b', 'a\n', 'ä', 'a'.repeat(254), 'a:b', 'a@b'];
  for (const serviceAccount of names) {
    const result = ask(fresh(), { ...web, serviceAccount });
    assert.ok('cause' in result, serviceAccount);
    assert.deepEqual([result.status, result.cause], [403, 'name-unfit'], serviceAccount);
  }
  for (const namespace of ['..', '', 'a/sa/b', 'a'.repeat(64)]) {
    assert.ok('cause' in ask(fresh(), { ...web, namespace }), namespace);
  }
  const fit = signed(ask(fresh(), { ...web, serviceAccount: 'A.b_c-9' }));
  assert.equal(leafOf(fit).subjectAltName, 'URI:spiffe://cluster.local/ns/shop/sa/A.b_c-9');
});

test('a pod has six requests in a row and one in ten seconds, and others are not held up (I14)', () => {
  const { authority, clock } = openAuthority();
  const verdicts = Array.from({ length: 1_000 }, () => authority.admit(web));
  assert.deepEqual(verdicts.slice(0, 6), [0, 0, 0, 0, 0, 0]);
  assert.ok(verdicts.slice(6).every((wait) => wait === 10_000));
  assert.equal(authority.admit({ ...web, limitKey: 'uid-2' }), 0);
  clock.advance(9_999);
  assert.equal(authority.admit(web), 1);
  clock.advance(1);
  assert.equal(authority.admit(web), 0);
  assert.equal(authority.admit(web), 10_000);
});

test('an issuer that has ended, or ends within the hour, signs nothing (I16)', () => {
  const nowMs = Date.now();
  const { ask, time } = openAuthority(createState('cluster.local', dayMs, nowMs, random));
  for (const left of [59 * 60_000, 0, -dayMs]) {
    time.nowMs = nowMs + authorityLimits.issuerLifeMs - left;
    const result = ask(fresh());
    assert.ok('cause' in result);
    assert.deepEqual([result.status, result.cause], [503, 'issuer-expired']);
  }
});

test('a root that has ended signs nothing (I17)', () => {
  const { ask, time } = openAuthority();
  time.nowMs += authorityLimits.rootLifeMs;
  const result = ask(fresh());
  assert.ok('cause' in result);
  assert.deepEqual([result.status, result.cause], [503, 'root-expired']);
});

test('an authority whose clock is a minute ahead signs leaves that are good now (I19)', () => {
  const { ask, time } = openAuthority();
  const realMs = time.nowMs;
  const isGoodNow = (aheadMs: number) => {
    time.nowMs = realMs + aheadMs;
    const { validFromDate, validToDate } = leafOf(signed(ask(fresh())));
    return validFromDate.getTime() <= realMs && realMs < validToDate.getTime();
  };
  assert.equal(isGoodNow(59_000), true);
  assert.equal(isGoodNow(-300_000), true);
  assert.equal(isGoodNow(300_000), false);
});

test('each leaf is one line of the audit log, with who, serial and hash of the key', () => {
  const { ask, audited, reports, material, time } = openAuthority();
  const result = signed(ask(fresh()));
  ask('no request');
  const leaf = leafOf(result);
  assert.equal(audited.length, 1);
  const { keyHash, serial, ...line } = audited[0]!;
  assert.deepEqual(line, {
    id: webId,
    who: 'pod shop/web-1 uid-1',
    instance: 'web-1',
    address: '10.0.0.7',
    notAfterMs: result.notAfterMs,
  });
  assert.equal(serial.toUpperCase(), leaf.serialNumber);
  assert.match(keyHash, /^[0-9a-f]{64}$/);
  assert.deepEqual(reports, [
    {
      id: webId,
      instance: 'web-1',
      bundleHash: 'ab'.repeat(32),
      rootHash: material.rootHash,
      issuedMs: time.nowMs,
      notAfterMs: result.notAfterMs,
    },
  ]);
});

test('an issuer is replaced when a third of its life is left, under the same root', () => {
  const nowMs = Date.now();
  const state = createState('cluster.local', dayMs, nowMs, random);
  assert.equal(renewIssuer(state, nowMs + 19 * dayMs, random), undefined);
  const renewed = renewIssuer(state, nowMs + 21 * dayMs, random);
  assert.ok(renewed !== undefined);
  assert.deepEqual(renewed.roots, state.roots);
  const issuer = new X509Certificate(renewed.issuer.certificate);
  assert.ok(issuer.validToDate.getTime() > nowMs + 50 * dayMs);
  assert.ok(issuer.verify(new X509Certificate(state.roots[0]!.certificate).publicKey));
});

test('an issuer from outside may have an RSA, P-384 or Ed25519 key', async () => {
  const { readMaterial } = await import('../../src/identity/authority-state.ts');
  const { Secret } = await import('../../src/base/secret.ts');
  for (const newKey of [
    ['-newkey', 'rsa:2048'],
    ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
    ['-newkey', 'ed25519'],
  ]) {
    const [rootFile, keyFile] = [join(folder, 'outside.crt'), join(folder, 'outside.key')];
    const args = ['req', '-x509', ...newKey, '-nodes', '-keyout', keyFile, '-out', rootFile];
    execFileSync(
      'openssl',
      [
        ...args,
        '-days',
        '30',
        '-utf8',
        '-subj',
        '/O=Ünïcode/CN=outside',
        '-addext',
        'keyUsage=critical,keyCertSign',
      ],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    const root = readFileSync(rootFile, 'utf8');
    const issuer = { certificate: root, key: new Secret(readFileSync(keyFile, 'utf8')) };
    const material = readMaterial({ trustDomain: 'cluster.local', roots: root, root, issuer });
    assert.ok(!('problem' in material), JSON.stringify(material));
    const { ask, authority } = openAuthority();
    authority.use(material);
    const leaf = file('outside-leaf.pem', splitPem(signed(ask(fresh())).certificates)[0]!);
    const verdict = spawnSync('openssl', ['verify', '-x509_strict', '-CAfile', rootFile, leaf], {
      encoding: 'utf8',
    });
    assert.equal(verdict.status, 0, verdict.stderr);
  }
});

test('an issuer whose key is another one is refused', async () => {
  const { readMaterial } = await import('../../src/identity/authority-state.ts');
  const { Secret } = await import('../../src/base/secret.ts');
  const state = createState('cluster.local', dayMs, Date.now(), random);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  const root = state.roots[0]!.certificate;
  const issuer = { certificate: state.issuer.certificate, key };
  const material = readMaterial({ trustDomain: 'cluster.local', roots: root, root, issuer });
  assert.ok('problem' in material);
  assert.match(material.problem, /not the one of the certificate/);
});
