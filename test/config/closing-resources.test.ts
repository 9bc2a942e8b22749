/**
 * Edits of a file that was good, with a mistake in it: what closes more holds at once, and nothing opens.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { runCompileJob } from '../../src/config/compile-job.ts';
import { policyText } from '../support/policies.ts';

const clock = new ManualClock();
const labels = { app: 'web' };

/** The security of `app: web` when the file is `text` and was `good` before. */
function after(good: string, text: string, others: Readonly<Record<string, string>> = {}) {
  const files = Object.entries({ 'edited.yaml': text, ...others }).map(([file, each]) => ({
    ...{ file, text: each, problem: undefined },
  }));
  const { table } = runCompileJob(
    {
      files: { files, problems: [], missingPaths: [] },
      goodTexts: new Map([['edited.yaml', good]]),
      context: { namespace: 'shop', labels, generation: 1, capture: 'redirect' },
      digest: '',
    },
    clock,
  );
  const { mode, ports, authorization } = table!.security;
  const names = (list: typeof authorization.deny) =>
    list.map(({ name, isUnsupported }) => name.replace('shop/', isUnsupported ? '!' : ''));
  return {
    mode,
    ports: ports.length,
    deny: names(authorization.deny),
    allow: names(authorization.allow),
  };
}

const typo =
  '---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: x}\nspec: {hots: []}\n';
const allow = policyText('let-in', '{rules: [{to: [{operation: {paths: [/a]}}]}]}');
const deny = policyText('keep-out', '{action: DENY, rules: [{to: [{operation: {paths: [/b]}}]}]}');
const tokens = `apiVersion: security.istio.io/v1\nkind: RequestAuthentication
metadata: {name: tokens, namespace: shop}\nspec: {jwtRules: [{issuer: x}]}\n`;
const peers = (mode: string, name = 'peers', more = '') =>
  `apiVersion: security.istio.io/v1\nkind: PeerAuthentication
metadata: {name: ${name}, namespace: shop}\nspec: {mtls: {mode: ${mode}}${more}}\n`;

test('what cannot be evaluated denies when it is added to a file that was good', () => {
  const { deny: denying, allow: allowing } = after(allow, `${allow}---\n${tokens}`);
  assert.deepEqual([denying, allowing], [['!tokens'], ['let-in']]);
});

test('a policy that is edited into one that cannot be evaluated denies', () => {
  const custom = allow.replace('{rules', '{action: CUSTOM, provider: {name: x}, rules');
  assert.deepEqual(after(allow, custom).deny, ['!let-in']);
  const byToken = allow.replace('{to:', '{from: [{source: {requestPrincipals: ["*"]}}], to:');
  assert.deepEqual(after(allow, byToken).deny, ['!let-in']);
});

test('a policy whose edit moves it elsewhere, with a mistake, still holds where it did', () => {
  const moved = deny.replace(
    '{action',
    '{selector: {matchLabels: {app: other}}, actoin: x, action',
  );
  assert.deepEqual(after(deny, moved).deny, ['keep-out']);
});

test('a policy that is added beside a mistake elsewhere in the file is in force', () => {
  assert.deepEqual(after(allow, `${allow}---\n${deny}${typo}`).deny, ['keep-out']);
  assert.deepEqual(after(deny, `${deny}---\n${allow}${typo}`).allow, ['let-in']);
});

test('an ALLOW policy that is added beside a mistake opens nothing to others', () => {
  const wide = policyText('all', '{rules: [{}]}');
  assert.deepEqual(after(allow, `${allow}---\n${wide}${typo}`).allow, ['let-in']);
  assert.deepEqual(after('', `${wide}${typo}`, { 'other.yaml': allow }).allow, ['let-in']);
});

test('a sound policy beside a mistake keeps its last good content', () => {
  const looser = allow.replace('[/a]', '["*"]');
  const { deny: denying, allow: allowing } = after(allow, `${looser}${typo}`);
  assert.deepEqual([denying, allowing], [[], ['let-in']]);
});

test('a policy of another file does not give way to one of its name beside a mistake', () => {
  const others = { 'other.yaml': deny };
  const same = deny.replace('/b', '/c');
  assert.deepEqual(after('', `${same}${typo}`, others).deny, ['keep-out', 'keep-out']);
});

test('a policy that cannot be read denies when it is added, and not when it was there', () => {
  const broken = `${deny}  - ]\n`;
  assert.deepEqual(after(allow, `${allow}---\n${broken}`).deny, ['!unread']);
  assert.deepEqual(after(deny, broken).deny, ['keep-out']);
  const dump = deny.replace(
    'annotations: {',
    `annotations: {last: '${JSON.stringify({ apiVersion: 'security.istio.io/v1' })}'`,
  );
  assert.deepEqual(after(dump, `${dump}${typo}`).deny, ['keep-out'], 'as kubectl prints it');
});

test('a PeerAuthentication beside a mistake closes and never opens', () => {
  assert.equal(after(allow, `${allow}---\n${peers('STRICT')}${typo}`).mode, 'strict');
  assert.equal(after(peers('PERMISSIVE'), peers('STRICKT')).mode, 'strict');
  const strict = peers('STRICT');
  assert.equal(after(strict, `${strict}---\n${peers('DISABLE', 'a')}${typo}`).mode, 'strict');
  const byPort = ', selector: {matchLabels: {app: web}}, portLevelMtls: {80: {mode: DISABLE}}';
  const added = peers('STRICT', 'b', byPort);
  assert.equal(after(strict, `${strict}---\n${added}${typo}`).ports, 0);
  assert.equal(after(strict, `${strict}---\n${added}`).ports, 1);
});

test('a file without a mistake is what it says', () => {
  assert.deepEqual(after(`${allow}---\n${deny}`, deny), {
    mode: 'permissive',
    ports: 0,
    deny: ['keep-out'],
    allow: [],
  });
});
