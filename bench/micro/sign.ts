/**
 * What a leaf costs the authority: reading a request with its proof of possession, and signing.
 *
 * `node bench/micro/sign.ts`. One request is signed again and again, as its key's owner may ask; the last line
 * is what the mesh's bar is about: 2000 leaves a second of one thread (issue 8), which are 500 us each.
 */

import { writeSync } from 'node:fs';
import { systemClock, systemWallTime } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Authority } from '../../src/identity/authority.ts';
import { createState, materialOf } from '../../src/identity/authority-state.ts';
import { generateKeys } from '../../src/identity/certificate.ts';
import { readCertificateRequest, writeCertificateRequest } from '../../src/identity/csr.ts';
import { issueLeaf } from '../../src/identity/leaf.ts';
import { readSvid } from '../../src/identity/svid.ts';
import { measureAll, measureOne } from './measure.ts';

const dayMs = 86_400_000;
const nowMs = systemWallTime();
const material = materialOf(createState('cluster.local', dayMs, nowMs, systemRandom));
if ('problem' in material) throw new Error(material.problem);
const authority = new Authority({
  clock: systemClock,
  wallTime: systemWallTime,
  random: systemRandom,
  leafLifeMs: dayMs,
  onLeaf: () => {},
  onReport: async () => {},
});
authority.use(material);

const caller = {
  namespace: 'default',
  serviceAccount: 'web',
  who: 'pod default/web-1 uid',
  limitKey: 'uid',
  isShared: false,
};
const csr = writeCertificateRequest(generateKeys());
const request = readCertificateRequest(csr);
if ('problem' in request) throw new Error(request.problem);
const leaf = {
  id: 'spiffe://cluster.local/ns/default/sa/web',
  publicKey: request.publicKey,
  notBeforeMs: nowMs - 60_000,
  notAfterMs: nowMs + dayMs,
};
const { der } = issueLeaf(material.signer, leaf, systemRandom);
const sign = () => {
  const result = authority.sign(caller, { csr, bundleHash: '', instance: 'web-1' }, '10.0.0.7');
  if ('cause' in result) throw new Error(result.message);
};

measureAll('identity', [
  ['read a request, its signature included', () => void readCertificateRequest(csr)],
  ['write and sign a leaf', () => void issueLeaf(material.signer, leaf, systemRandom)],
  ['all of it, from request to answer', sign],
  ['read the id of a verified certificate', () => void readSvid(der)],
]);
const { median } = measureOne(sign);
writeSync(1, `${Math.round(1e9 / median)} leaves a second of one thread\n`);
