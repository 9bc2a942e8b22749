/**
 * Who may call: the truth table of AuthorizationPolicies, from what a person writes to the decision.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AuthorizationVerdict, Authorizer } from '../../src/policy/authorize.ts';
import { Caller, type CallerFacts } from '../../src/policy/caller.ts';
import type { AuthorizedRequest } from '../../src/policy/compiled-rule.ts';
import { compilePolicies, planOf, policyText } from '../support/policies.ts';

interface Call extends Partial<CallerFacts> {
  readonly method?: string;
  readonly host?: string;
  readonly path?: string;
  readonly fields?: readonly (readonly [string, string])[];
  readonly remote?: string;
  /** Relayed unread. */
  readonly isOpaque?: boolean;
}

const web = 'spiffe://cluster.local/ns/shop/sa/web';

function callerOf(call: Call): Caller {
  const caller = new Caller({
    identity: web,
    address: '10.0.0.7',
    destinationAddress: '10.0.1.1',
    destinationPort: 8080,
    serverName: '',
    ...call,
  });
  if (call.remote !== undefined) caller.setRemote(call.remote);
  return caller;
}

function requestOf({ method, host, path, fields = [], isOpaque }: Call) {
  if (isOpaque === true) return undefined;
  const authority = host ?? 'reviews.shop:9080';
  const request: AuthorizedRequest = {
    method: method ?? 'GET',
    hostname: authority.replace(/\.?(:\d+)?$/, '').toLowerCase(),
    authority,
    path: path ?? '/',
    fieldLine: (name, index) => fields.filter(([each]) => each === name)[index]?.[1],
  };
  return request;
}

/** `allowed`, `denied by NAME`, `nobody allows (NAME)`. */
function decide(authorizer: Authorizer, call: Call): string {
  const out = new AuthorizationVerdict();
  if (authorizer.authorize(callerOf(call), requestOf(call), out)) return 'allowed';
  const { name } = out.denying!;
  return out.isForLack ? `nobody allows (${name})` : `denied by ${name}`;
}

type Case = readonly [what: string, call: Call, decision: boolean];

/** Whether an ALLOW policy of one rule lets each call in, and a DENY policy of the same keeps it out. */
function holdsFor(rule: string, cases: readonly Case[]): void {
  const allow = new Authorizer(planOf(policyText('one', `{rules: [${rule}]}`)));
  const deny = new Authorizer(planOf(policyText('one', `{action: DENY, rules: [${rule}]}`)));
  for (const [what, call, isHeld] of cases) {
    test(`${rule}: ${isHeld ? 'holds' : 'does not hold'} for ${what}`, () => {
      assert.equal(decide(allow, call), isHeld ? 'allowed' : 'nobody allows (shop/one)');
      assert.equal(decide(deny, call), isHeld ? 'denied by shop/one' : 'allowed');
    });
  }
}

const nobody: Call = { identity: '' };
const elsewhere: Call = { identity: 'spiffe://cluster.local/ns/bank/sa/teller' };
const foreign: Call = { identity: 'spiffe://other.org/ns/shop/sa/web' };

holdsFor('{}', [
  ['anybody', nobody, true],
  ['a connection that is not HTTP', { isOpaque: true }, true],
]);
holdsFor('{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}', [
  ['that identity', {}, true],
  ['another one', elsewhere, false],
  ['the same names in another trust domain', foreign, false],
  ['a caller without identity', nobody, false],
  ['one that begins so', { identity: `${web}-2` }, false],
]);
holdsFor('{from: [{source: {principals: ["*"]}}]}', [
  ['any identity', foreign, true],
  ['a caller without identity', nobody, false],
]);
holdsFor('{from: [{source: {principals: ["cluster.local/ns/shop/*"]}}]}', [
  ['one of the namespace', {}, true],
  ['one of another', elsewhere, false],
]);
holdsFor('{from: [{source: {principals: ["*/sa/web"]}}]}', [
  ['one with that end', foreign, true],
  ['another', elsewhere, false],
]);
holdsFor('{from: [{source: {notPrincipals: [cluster.local/ns/bank/sa/teller]}}]}', [
  ['another identity', {}, true],
  ['that one', elsewhere, false],
  ['a caller without identity', nobody, true],
]);
holdsFor('{from: [{source: {namespaces: [shop]}}]}', [
  ['a caller of it', {}, true],
  ['a caller of it in another trust domain', foreign, true],
  ['one of another namespace', elsewhere, false],
  ['a caller without identity', nobody, false],
  ['an identity of another shape', { identity: 'spiffe://cluster.local/shop' }, false],
]);
holdsFor('{from: [{source: {notNamespaces: [shop]}}]}', [
  ['one of another namespace', elsewhere, true],
  ['a caller of it', {}, false],
]);
holdsFor('{from: [{source: {serviceAccounts: [web, bank/clerk]}}]}', [
  ['an account of the policy’s namespace', {}, true],
  ['one of a namespace that is named', { identity: 'spiffe://x/ns/bank/sa/clerk' }, true],
  ['the same name in another namespace', { identity: 'spiffe://x/ns/bank/sa/web' }, false],
]);
holdsFor('{from: [{source: {trustDomains: [cluster.local]}}]}', [
  ['its own', {}, true],
  ['another', foreign, false],
]);
holdsFor('{from: [{source: {ipBlocks: [10.0.0.0/24, "fd00::/8"]}}]}', [
  ['an address inside', {}, true],
  ['one of the other family inside', { address: 'fd12::1' }, true],
  ['the first one behind', { address: '10.0.1.0' }, false],
  ['an IPv4 address in IPv6 form', { address: '::ffff:10.0.0.9' }, true],
]);
holdsFor('{from: [{source: {ipBlocks: ["fe80::/10"]}}]}', [
  ['an address of a link, with its zone', { address: 'fe80::1%eth0' }, true],
  ['another', { address: '2001:db8::1' }, false],
]);
holdsFor('{from: [{source: {notIpBlocks: ["::/0"]}}]}', [
  ['an address of a link, with its zone', { address: 'fe80::1%eth0' }, false],
]);
for (const rule of [
  'from: [{source: {ipBlocks: [10.0.0.0/24]}}]',
  'from: [{source: {ipBlocks: ["::/0"]}}]',
  'from: [{source: {notIpBlocks: [10.0.0.0/24]}}]',
  'from: [{source: {remoteIpBlocks: [10.0.0.0/24]}}]',
  'when: [{key: source.ip, values: [10.0.0.0/24]}]',
  'when: [{key: remote.ip, notValues: [10.0.0.0/24]}]',
]) {
  test(`{${rule}} keeps out, and lets nobody in, where the address is not known`, () => {
    const allow = new Authorizer(planOf(policyText('one', `{rules: [{${rule}}]}`)));
    assert.equal(decide(allow, { address: '' }), 'nobody allows (shop/one)');
    const deny = new Authorizer(planOf(policyText('one', `{action: DENY, rules: [{${rule}}]}`)));
    assert.equal(decide(deny, { address: '' }), 'denied by shop/one');
  });
}
holdsFor(
  '{from: [{source: {ipBlocks: [10.1.0.0/16, 10.0.0.0/30, 192.0.2.1, 192.0.2.2, 0.0.0.0/7, "fd00::/8"]}}]}',
  [
    ['an address in one of many ranges', { address: '10.1.255.9' }, true],
    ['an address in one of another length', { address: '10.0.0.3' }, true],
    ['the first one behind it', { address: '10.0.0.4' }, false],
    ['a single one', { address: '192.0.2.2' }, true],
    ['one in a short range', { address: '1.255.255.255' }, true],
    ['one of the other family', { address: 'fd00::1' }, true],
    ['one above 128.0.0.0 in none', { address: '200.0.0.1' }, false],
  ],
);
holdsFor('{from: [{source: {remoteIpBlocks: [203.0.113.4]}}]}', [
  ['that original client', { remote: '203.0.113.4' }, true],
  [
    'a connection from there for another client',
    { address: '203.0.113.4', remote: '1.2.3.4' },
    false,
  ],
  ['a connection from there', { address: '203.0.113.4' }, true],
]);
holdsFor('{from: [{source: {namespaces: [shop], notIpBlocks: [10.0.0.0/8]}}]}', [
  ['both parts of one source', { address: '192.0.2.1' }, true],
  ['one part of two', {}, false],
]);
holdsFor('{from: [{source: {namespaces: [shop]}}, {source: {ipBlocks: [192.0.2.0/24]}}]}', [
  ['the one source', {}, true],
  ['the other', { identity: '', address: '192.0.2.9' }, true],
  ['none of the two', elsewhere, false],
]);
holdsFor('{to: [{operation: {methods: [GET, "P*"]}}]}', [
  ['the method', {}, true],
  ['one with that begin', { method: 'PATCH' }, true],
  ['another', { method: 'DELETE' }, false],
  ['the same letters in lower case', { method: 'get' }, false],
]);
holdsFor('{to: [{operation: {ports: ["8080"]}}]}', [
  ['the port', {}, true],
  ['the port, unread', { isOpaque: true }, true],
  ['another port', { destinationPort: 8081 }, false],
]);
holdsFor('{to: [{operation: {notPorts: ["9090"]}}]}', [
  ['another port', {}, true],
  ['the port', { destinationPort: 9090 }, false],
]);
holdsFor('{to: [{operation: {hosts: [Reviews.Shop]}}]}', [
  ['the host with any port, without case', { host: 'REVIEWS.shop:1' }, true],
  ['the host without a port', { host: 'reviews.shop' }, true],
  ['another host', { host: 'ratings.shop' }, false],
]);
holdsFor('{to: [{operation: {hosts: ["*.shop", "reviews.shop:*"]}}]}', [
  ['a host with that end', { host: 'ratings.shop:80' }, true],
  ['the end alone', { host: 'shop' }, false],
]);
for (const pattern of ['reviews.shop:9080', 'Reviews.Shop.:09080', '*views.shop:9080', '*:9080']) {
  holdsFor(`{to: [{operation: {hosts: ["${pattern}"]}}]}`, [
    ['the host at that port', {}, true],
    ['the same with a trailing dot', { host: 'reviews.shop.:9080' }, true],
    ['the same with a zero before the port', { host: 'reviews.shop:09080' }, true],
    ['the same in other letters', { host: 'REVIEWS.shop.:0009080' }, true],
    ['the host at another port', { host: 'reviews.shop:81' }, false],
    ['one that begins so', { host: 'reviews.shop:90800' }, false],
    ['the host without a port, where another is called', { host: 'reviews.shop' }, false],
  ]);
  holdsFor(`{to: [{operation: {notHosts: ["${pattern}"]}}]}`, [
    ['the host at another port', { host: 'reviews.shop:81' }, true],
    ['the host at that port', {}, false],
    ['the same in another spelling', { host: 'Reviews.shop.:09080' }, false],
  ]);
}
for (const pattern of ['[2001:db8::1]:8080', '[2001:DB8:0::0:1]:08080']) {
  holdsFor(`{to: [{operation: {hosts: ["${pattern}"]}}]}`, [
    ['the address', { host: '[2001:db8::1]:8080' }, true],
    ['the address in another spelling', { host: '[2001:0db8:0:0::1]:8080' }, true],
    ['the address at another port', { host: '[2001:db8:0::1]:81' }, false],
    ['another address', { host: '[2001:db8::2]:8080' }, false],
  ]);
}
for (const [rule, host, destinationPort] of [
  ['hosts: ["reviews.shop:9080"]', 'reviews.shop', 9080],
  ['hosts: ["reviews.shop:80"]', 'reviews.shop.', 8080],
  ['hosts: ["reviews.shop:443"]', 'reviews.shop', 8443],
  ['hosts: [reviews.shop]', '', 8080],
  ['hosts: ["reviews.shop:9080"]', '', 8080],
  ['hosts: ["*"]', '', 8080],
  ['notHosts: [ratings.shop]', '', 8080],
] as const) {
  test(`{${rule}} keeps out, and lets nobody in, for the Host \`${host}\` at ${destinationPort}`, () => {
    const spec = `rules: [{to: [{operation: {${rule}}}]}]`;
    const call = { host, destinationPort };
    const allow = new Authorizer(planOf(policyText('one', `{${spec}}`)));
    assert.equal(decide(allow, call), 'nobody allows (shop/one)');
    const deny = new Authorizer(planOf(policyText('one', `{action: DENY, ${spec}}`)));
    assert.equal(decide(deny, call), 'denied by shop/one');
  });
}
test('an ALLOW rule for other hosts than one lets nobody in who could mean that one', () => {
  const spec = '{rules: [{to: [{operation: {notHosts: ["reviews.shop:9080"]}}]}]}';
  const allow = new Authorizer(planOf(policyText('one', spec)));
  const call = { host: 'reviews.shop', destinationPort: 9080 };
  assert.equal(decide(allow, call), 'nobody allows (shop/one)');
});
holdsFor('{to: [{operation: {paths: [/data, "/info*", "*.css"]}}]}', [
  ['the path', { path: '/data' }, true],
  ['a path below it', { path: '/data/x' }, false],
  ['a prefix', { path: '/information' }, true],
  ['a suffix', { path: '/a/site.css' }, true],
  ['the path in other case', { path: '/Data' }, false],
]);
holdsFor('{to: [{operation: {notPaths: ["/public*"]}}]}', [
  ['another path', { path: '/secret' }, true],
  ['the path', { path: '/public/x' }, false],
]);
holdsFor('{to: [{operation: {paths: ["/a/{*}/c", "/d/{**}", "/e/{**}/z"]}}]}', [
  ['one segment', { path: '/a/b/c' }, true],
  ['two where one is asked for', { path: '/a/b/b/c' }, false],
  ['none where one is asked for', { path: '/a//c' }, false],
  ['the path above', { path: '/a/b' }, false],
  ['any number of segments', { path: '/d/x/y' }, true],
  ['none of them', { path: '/d/' }, true],
  ['no slash before them', { path: '/d' }, false],
  ['an end behind them', { path: '/e/x/y/z' }, true],
  ['no place for them', { path: '/e/z' }, false],
]);
holdsFor('{when: [{key: "request.headers[X-Role]", values: [admin, "op-*"]}]}', [
  ['the value', { fields: [['x-role', 'admin']] }, true],
  ['a value with that begin', { fields: [['x-role', 'op-1']] }, true],
  ['another value', { fields: [['x-role', 'user']] }, false],
  ['no such field', {}, false],
]);
holdsFor('{when: [{key: "request.headers[x-role]", notValues: [admin]}]}', [
  ['another value', { fields: [['x-role', 'user']] }, true],
  ['no such field', {}, true],
  ['the value', { fields: [['x-role', 'admin']] }, false],
]);
holdsFor(
  '{when: [{key: source.ip, values: [10.0.0.0/8]}, {key: destination.port, values: ["8080"]}]}',
  [
    ['both conditions', {}, true],
    ['one of two', { destinationPort: 1 }, false],
  ],
);
holdsFor('{when: [{key: destination.ip, values: [10.0.1.1]}]}', [
  ['the address that was called', {}, true],
  ['another', { destinationAddress: '10.0.1.2' }, false],
]);
holdsFor('{when: [{key: connection.sni, values: ["*.example.com"]}]}', [
  ['the name, in any case and with a dot', { serverName: 'WWW.Example.com.' }, true],
  ['no name', {}, false],
]);
holdsFor(
  '{when: [{key: source.namespace, values: [bank]}, {key: source.principal, notValues: ["*teller"]}]}',
  [
    ['one of the namespace', { identity: 'spiffe://x/ns/bank/sa/clerk' }, true],
    ['the one that is not meant', elsewhere, false],
  ],
);
holdsFor(
  '{when: [{key: remote.ip, notValues: [203.0.113.4]}, {key: source.serviceAccount, values: [web]}]}',
  [
    ['another client', {}, true],
    ['that client', { remote: '203.0.113.4' }, false],
  ],
);

test('without a policy everybody may call', () => {
  const authorizer = new Authorizer(planOf());
  assert.equal(authorizer.isOpen, true);
  assert.equal(decide(authorizer, nobody), 'allowed');
});

for (const spec of ['{}', '{rules: []}', '{action: ALLOW, rules: []}']) {
  test(`an ALLOW policy without rules lets nobody in: ${spec}`, () => {
    assert.equal(
      decide(new Authorizer(planOf(policyText('no', spec))), {}),
      'nobody allows (shop/no)',
    );
  });
}

test('DENY beats ALLOW, whatever their names; of several ALLOW policies one suffices', () => {
  const plan = planOf(
    policyText('a', '{rules: [{to: [{operation: {methods: [GET]}}]}]}'),
    policyText('b', '{rules: [{to: [{operation: {methods: [POST]}}]}]}'),
    policyText('z', '{action: DENY, rules: [{to: [{operation: {paths: ["/admin*"]}}]}]}'),
  );
  const authorizer = new Authorizer(plan);
  assert.equal(decide(authorizer, {}), 'allowed');
  assert.equal(decide(authorizer, { method: 'POST' }), 'allowed');
  assert.equal(decide(authorizer, { method: 'PUT' }), 'nobody allows (shop/a)');
  assert.equal(decide(authorizer, { path: '/admin/x' }), 'denied by shop/z');
});

test('of a connection that is relayed unread, what is about requests lets nobody in and keeps out', () => {
  const ofRequests = [
    '{to: [{operation: {methods: [GET]}}]}',
    '{to: [{operation: {notPaths: [/x]}}]}',
    '{when: [{key: "request.headers[a]", notValues: [b]}]}',
  ];
  for (const rule of ofRequests) {
    const opaque = { isOpaque: true };
    const allow = new Authorizer(planOf(policyText('one', `{rules: [${rule}]}`)));
    const deny = new Authorizer(planOf(policyText('one', `{action: DENY, rules: [${rule}]}`)));
    assert.equal(allow.looksAtRequests && deny.looksAtRequests, true);
    assert.equal(decide(allow, opaque), 'nobody allows (shop/one)');
    assert.equal(decide(deny, opaque), 'denied by shop/one');
  }
  const rule = '{to: [{operation: {methods: [GET], ports: ["80"]}}]}';
  const deny = new Authorizer(planOf(policyText('one', `{action: DENY, rules: [${rule}]}`)));
  assert.equal(decide(deny, { isOpaque: true }), 'allowed', 'it is about another port');
});

test('a field with two lines lets in if both would, and keeps out if one would', () => {
  const rule = '{when: [{key: "request.headers[x-role]", values: ["user*"]}]}';
  const allow = new Authorizer(planOf(policyText('one', `{rules: [${rule}]}`)));
  const deny = new Authorizer(planOf(policyText('one', `{action: DENY, rules: [${rule}]}`)));
  const lines = (...values: string[]) => ({
    fields: values.map((each) => ['x-role', each] as const),
  });
  assert.equal(decide(allow, lines('user', 'user2')), 'allowed');
  assert.equal(decide(allow, lines('user', 'admin')), 'nobody allows (shop/one)');
  assert.equal(decide(deny, lines('admin', 'user')), 'denied by shop/one');
  assert.equal(decide(deny, lines('admin', 'root')), 'allowed');
});

function verdictOf(texts: readonly string[], call: Call) {
  const out = new AuthorizationVerdict();
  const { plan } = compilePolicies(texts);
  const isAllowed = new Authorizer(plan).authorize(callerOf(call), requestOf(call), out);
  return [isAllowed, out.denying?.name, out.wouldDeny?.name, out.audits?.name];
}

const dryRun = 'istio.io/dry-run: "true"';

test('a dry run blocks nothing and says what it would have denied', () => {
  const deny = policyText(
    'try',
    '{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}',
    dryRun,
  );
  assert.deepEqual(verdictOf([deny], {}), [true, undefined, 'shop/try', undefined]);
  assert.deepEqual(verdictOf([deny], { method: 'PUT' }), [true, undefined, undefined, undefined]);
  const allow = policyText('try', '{rules: [{to: [{operation: {methods: [GET]}}]}]}', dryRun);
  assert.deepEqual(verdictOf([allow], { method: 'PUT' }), [true, undefined, 'shop/try', undefined]);
  assert.deepEqual(verdictOf([allow], {}), [true, undefined, undefined, undefined]);
  const real = policyText('real', '{rules: [{to: [{operation: {methods: [PUT]}}]}]}');
  assert.deepEqual(
    verdictOf([allow, real], { method: 'PUT' }),
    [true, undefined, undefined, undefined],
    'who is let in by another policy would be so still',
  );
  assert.deepEqual(verdictOf([allow, real], {}), [false, 'shop/real', undefined, undefined]);
});

test('an AUDIT policy marks and never denies', () => {
  const audit = policyText(
    'watch',
    '{action: AUDIT, rules: [{to: [{operation: {methods: [PUT]}}]}]}',
  );
  assert.deepEqual(verdictOf([audit], { method: 'PUT' }), [
    true,
    undefined,
    undefined,
    'shop/watch',
  ]);
  assert.deepEqual(verdictOf([audit], {}), [true, undefined, undefined, undefined]);
});

for (const [what, spec] of [
  ['CUSTOM', '{action: CUSTOM, provider: {name: x}, rules: [{}]}'],
  ['tokens', '{rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}'],
  ['claims', '{rules: [{when: [{key: "request.auth.claims[iss]", values: [x]}]}]}'],
  [
    'an AUDIT of tokens',
    '{action: AUDIT, rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]}',
  ],
  ['a field that is not known', '{rules: [{}], actoin: DENY}'],
  ['an action that is not known', '{action: DENNY, rules: [{}]}'],
  ['a list without an item', '{rules: [{from: []}]}'],
  ['a field with nothing behind it', '{rules: [{from: , to: [{operation: {methods: [GET]}}]}]}'],
  ['a source that asks for nothing', '{rules: [{from: [{source: {}}]}]}'],
  ['a path that no request has', '{action: DENY, rules: [{to: [{operation: {paths: [/a//b]}}]}]}'],
  ['a star in the middle', '{rules: [{to: [{operation: {paths: ["/a*b"]}}]}]}'],
  ['a gateway of its own', '{targetRefs: [{kind: Gateway, name: x}], rules: [{}]}'],
  ['a spec that is text', 'allow-all'],
  ['no spec', ''],
] as const) {
  test(`a policy with ${what} is complained of and denies everything that it selects`, () => {
    const { plan, codes } = compilePolicies([policyText('odd', spec)]);
    assert.ok(codes.includes('TC1341'), codes.join());
    assert.equal(plan.deny[0]?.isUnsupported, true);
    assert.equal(decide(new Authorizer(plan), {}), 'denied by shop/odd');
  });
}

test('a RequestAuthentication denies what it selects, and nothing else', () => {
  const text = (selector: string) => `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: shop}
spec: {selector: {matchLabels: {${selector}}}, jwtRules: [{issuer: x}]}\n`;
  const own = compilePolicies([text('app: web')]);
  assert.deepEqual(own.codes, ['TC1341']);
  assert.equal(decide(new Authorizer(own.plan), {}), 'denied by shop/jwt');
  const other = compilePolicies([text('app: other')]);
  assert.equal(decide(new Authorizer(other.plan), {}), 'allowed');
});

test('a policy of a version that is not known is in force all the same', () => {
  const text = policyText('newer', '{rules: [{}]}').replace('io/v1', 'io/v7');
  assert.equal(decide(new Authorizer(compilePolicies([text]).plan), {}), 'denied by shop/newer');
});

test('a policy for a namespace that there cannot be denies, as with any other mistake', () => {
  const text = policyText('one', '{rules: [{}]}').replace('namespace: shop', 'namespace: Shop');
  const { plan } = compilePolicies([text]);
  assert.equal(decide(new Authorizer(plan), {}), 'denied by Shop/one');
});

test('an unevaluable policy in a dry run blocks nothing', () => {
  const text = policyText('odd', '{action: CUSTOM, rules: [{}]}', dryRun);
  assert.deepEqual(verdictOf([text], {}), [true, undefined, 'shop/odd', undefined]);
  const unclear = policyText('odd', '{action: CUSTOM, rules: [{}]}', 'istio.io/dry-run: maybe');
  assert.deepEqual(verdictOf([unclear], {}), [false, 'shop/odd', undefined, undefined]);
});

test('policies hold for their namespace, those of the root namespace for all, by their selectors', () => {
  const of = (namespace: string, selector: string) =>
    policyText('no', `{selector: {matchLabels: {${selector}}}}`).replace('shop', namespace);
  const names = (...texts: string[]) => planOf(...texts).allow.map(({ name }) => name);
  assert.deepEqual(names(of('shop', 'app: web')), ['shop/no']);
  assert.deepEqual(names(of('shop', 'app: db')), []);
  assert.deepEqual(names(of('bank', 'app: web')), []);
  assert.deepEqual(names(of('istio-system', 'app: web')), ['istio-system/no']);
  assert.deepEqual(names(of('istio-system', 'app: db')), []);
});

test('`cluster.local` in a principal stands for the trust domain of the mesh', () => {
  const rule = '{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}';
  const { plan } = compilePolicies([policyText('one', `{rules: [${rule}]}`)], 'example.org');
  const authorizer = new Authorizer(plan);
  assert.equal(decide(authorizer, { identity: 'spiffe://example.org/ns/shop/sa/web' }), 'allowed');
  assert.equal(decide(authorizer, {}), 'nobody allows (shop/one)');
});

test('a thousand rules together decide what each of them decides alone', () => {
  const pick = <T>(...values: T[]) => fc.constantFrom(...values);
  const list = (values: fc.Arbitrary<string>) =>
    fc.uniqueArray(values, { minLength: 1, maxLength: 2 });
  const principal = pick('cluster.local/ns/a/sa/x', 'cluster.local/ns/b/sa/y', '*/sa/x', '*');
  const path = pick('/a', '/a/b', '/a*', '/a/*', '*b', '/{*}/b', '*');
  const source = fc.oneof(
    list(principal).map((all) => `principals: [${all.map((each) => `"${each}"`)}]`),
    list(pick('a', 'b')).map((all) => `namespaces: [${all}]`),
    list(pick('a/x', 'y')).map((all) => `serviceAccounts: [${all}]`),
    pick('ipBlocks: [10.0.0.0/8]', 'ipBlocks: [10.0.0.7, 0.0.0.0/0]', 'notNamespaces: [a]'),
    pick('ipBlocks: [192.0.2.0/24]', 'ipBlocks: ["fd00::/8"]', 'ipBlocks: [10.0.0.0/29]'),
  );
  const operation = fc.oneof(
    list(path).map((all) => `paths: [${all.map((each) => `"${each}"`)}]`),
    list(pick('h1', 'h2', '"h1:80"')).map((all) => `hosts: [${all}]`),
    pick('methods: [GET]', 'ports: ["80"]'),
  );
  const some = (part: fc.Arbitrary<string>, word: string) =>
    fc.array(part, { maxLength: 2 }).map((all) => all.map((each) => `{${word}: {${each}}}`).join());
  const rule = fc
    .tuple(some(source, 'source'), some(operation, 'operation'))
    .map(([from, to]) => `{${[from && `from: [${from}]`, to && `to: [${to}]`].filter(Boolean)}}`);
  const call = fc.record({
    identity: pick('', 'spiffe://cluster.local/ns/a/sa/x', 'spiffe://cluster.local/ns/shop/sa/y'),
    path: pick('/a', '/a/b', '/ab', '/c/b', '/'),
    host: pick('h1', 'h1:80', 'h2:81', ''),
    method: pick('GET', 'PUT'),
    address: pick('10.0.0.7', '192.0.2.9', 'fd00::7', '203.0.113.1'),
    isOpaque: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(rule, { minLength: 1, maxLength: 12 }), fc.array(call), (rules, calls) => {
      const name = (index: number) => `p${String(index).padStart(2, '0')}`;
      for (const action of ['DENY', 'ALLOW']) {
        const texts = rules.map((each, index) =>
          policyText(name(index), `{action: ${action}, rules: [${each}]}`),
        );
        const together = new Authorizer(planOf(...texts));
        const alone = texts.map((text) => new Authorizer(planOf(text)));
        for (const each of calls) {
          const decisions = alone.map((one) => decide(one, each));
          const denied = decisions.find((one) => one !== 'allowed') ?? 'allowed';
          const isAllowed = decisions.includes('allowed');
          const wanted = action === 'DENY' ? denied : isAllowed ? 'allowed' : decisions[0];
          assert.equal(decide(together, each), wanted);
        }
      }
    }),
    { numRuns: 60, seed: 8 },
  );
});
