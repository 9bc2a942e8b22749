/** Bounds of the identity room that no other test of it reaches: what is one too many is refused. */

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { readDer } from '../../src/identity/der-reader.ts';
import { publicKeyProblem } from '../../src/identity/key-strength.ts';
import { RateLimit } from '../../src/identity/rate-limit.ts';
import { trustDomainProblem, workloadId } from '../../src/identity/spiffe-id.ts';
import { authorityLimits, identityLimits } from '../../src/model/authority-limits.ts';

test('a trust domain has at most 255 characters', () => {
  const most = 'a'.repeat(identityLimits.trustDomainLengthMax);
  assert.equal(most.length, 255);
  assert.equal(trustDomainProblem(most), undefined);
  assert.match(trustDomainProblem(`${most}a`)!, /longer than 255/);
  assert.equal(workloadId(`${most}a`, 'shop', 'web'), undefined);
});

test('an RSA key has at least 2048 bits', () => {
  const problemOf = (modulusLength: number) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength });
    return publicKeyProblem(readDer(publicKey.export({ type: 'spki', format: 'der' })));
  };
  assert.equal(problemOf(identityLimits.rsaBitsMin), undefined);
  assert.match(problemOf(2_040)!, /an RSA key of 2040 bits; at least 2048 are believed/);
});

test('of more callers than are remembered the one that came longest ago begins anew', () => {
  const { callersMax, callerBurst, callerPerMinute } = authorityLimits;
  assert.deepEqual([callersMax, callerBurst, callerPerMinute], [50_000, 6, 6]);
  const rate = new RateLimit({ burst: 1, perSecond: callerPerMinute / 60 }, 2);
  const take = (...keys: string[]) => keys.map((key) => rate.take(key, 0));
  assert.deepEqual(take('a', 'b', 'a', 'b'), [0, 0, 10_000, 10_000]);
  assert.deepEqual(take('c', 'b', 'a'), [0, 10_000, 0]);
});
