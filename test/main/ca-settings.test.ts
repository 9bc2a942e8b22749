import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCaSettings } from '../../src/main/ca-settings.ts';

const state = ['--state', 'ca'];

test('without a word it serves, for a day each, and other actions have their own flags', () => {
  const settings = readCaSettings(state, {});
  assert.equal(settings.action, 'serve');
  assert.equal(settings.leafLifeMs, 86_400_000);
  assert.deepEqual(settings.listen, { address: '0.0.0.0', port: 15_010 });
  assert.deepEqual(settings.metrics, { address: '127.0.0.1', port: 15_011 });
  assert.equal(settings.trustDomain, undefined);
  const token = [
    'token',
    ...state,
    '--namespace',
    'shop',
    '--service-account',
    'web',
    '--hours',
    '1',
  ];
  const made = readCaSettings(token, {});
  assert.deepEqual(made.workload, { namespace: 'shop', serviceAccount: 'web' });
  assert.equal(made.tokenLifeMs, 3_600_000);
  const rotate = readCaSettings(['rotate', ...state, '--gone', 'a', '--gone', 'b'], {});
  assert.deepEqual(rotate.gone, ['a', 'b']);
});

test('the trust domain may be in the environment, as it is for sidecars', () => {
  const { trustDomain } = readCaSettings(state, { TRACECAR_TRUST_DOMAIN: 'mesh.example' });
  assert.equal(trustDomain, 'mesh.example');
});

const refused: readonly (readonly [readonly string[], RegExp])[] = [
  [[], /needs --state DIR/],
  [
    ['--issuer-cert', 'a', '--issuer-key', 'b', '--roots', 'c'],
    /tokens and reports are kept there/,
  ],
  [[...state, '--issuer-cert', 'a'], /go together/],
  [[...state, '--kubernetes'], /--kubernetes keeps its state in a Secret/],
  [['token', '--kubernetes'], /a pod has its token from the kubelet/],
  [[...state, '--trust-domain', 'Other'], /--trust-domain has capital letters/],
  [[...state, '--trust-domain', 'a/b'], /--trust-domain has characters/],
  [[...state, '--authority-namespace', 'a.b'], /--authority-namespace is a name/],
  [[...state, '--leaf-seconds', '100000'], /--leaf-seconds is a number from 10 to 86400/],
  [[...state, '--leaf-seconds', '9'], /--leaf-seconds is a number/],
  [['token', ...state, '--hours', '0'], /--hours is a number from 1 to 8760/],
  [['token', ...state, '--service-account', 'a/b'], /letters, digits, dots/],
  [['token', ...state, '--service-account', '..'], /letters, digits, dots/],
  [['rotate', ...state, '--hours', '3'], /--hours is not for `ca rotate`/],
  [['status', ...state, '--listen', '1'], /--listen is not for `ca status`/],
  [['revoke', ...state], /'revoke' is none of serve, rotate, status, token, bundle/],
  [['rotate', 'twice', ...state], /unexpected argument 'twice'/],
];

for (const [args, pattern] of refused) {
  test(`\`ca ${args.join(' ')}\` is refused with its reason`, () => {
    assert.throws(() => readCaSettings(args, {}), { name: 'UsageError', message: pattern });
  });
}
