/**
 * Who may call, on real sockets: what a denied caller hears, what never reaches the application, and that
 * the path which policies judge is the one that the application gets.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { usualSecurity } from '../../src/model/security.ts';
import { accessLogLine } from '../../src/telemetry/export/access-log.ts';
import { renderPrometheus } from '../../src/telemetry/metrics/prometheus.ts';
import { PolicyBit, RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { callMesh } from '../support/call-mesh.ts';
import { type CaptureFixture, startCapture } from '../support/capture-fixture.ts';
import { makeIdentity, makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { planOf, policyText } from '../support/policies.ts';
import { getOf, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const root = makeRoot();
const webLeaf = makeLeaf(root, { namespace: 'shop', serviceAccount: 'web' });
const tellerLeaf = makeLeaf(root, { namespace: 'bank', serviceAccount: 'teller' });

interface Guarded extends CaptureFixture {
  readonly origin: RawOrigin;
}

function securityOf(texts: readonly string[]) {
  return { ...usualSecurity, authorization: planOf(...texts) };
}

/** A sidecar with an identity before an application, whose inbound connections are captured. */
async function startGuarded(t: TestContext, ...texts: readonly string[]): Promise<Guarded> {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const mesh = makeIdentity(root, { namespace: 'shop', serviceAccount: 'reviews' });
  const limits = { detectSilenceMs: 20, meshHelloMs: 20, meshHelloAgainMs: 20 };
  const fixture = await startCapture(t, { mesh, security: securityOf(texts), limits });
  return { ...fixture, origin };
}

/** The same without capture and without an identity. */
async function startListener(t: TestContext, ...texts: readonly string[]) {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const table = {
    ...tableOf([listenerOf([ruleOf()], { direction: 'inbound' })], [clusterOf([origin.port])]),
    security: securityOf(texts),
  };
  return { ...(await startProxy(t, { table })), origin };
}

const webSocket =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

type Started = Guarded | Awaited<ReturnType<typeof startListener>>;

/** A connection to its inbound side. */
function enter(proxy: Started) {
  return 'inbound' in proxy ? proxy.inbound(proxy.origin.port) : proxy.connect();
}

const webOnly = policyText(
  'web-only',
  '{rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}], to: [{operation: {methods: [GET]}}]}]}',
);
const noAdmin = policyText(
  'no-admin',
  '{action: DENY, rules: [{to: [{operation: {paths: [/admin, "/admin/*"]}}]}]}',
);
const publicOnly = policyText(
  'public-only',
  '{rules: [{to: [{operation: {paths: ["/public/*"]}}]}]}',
);

test('a caller with the identity that a policy names is let in, all requests of its connection', async (t) => {
  const proxy = await startGuarded(t, webOnly);
  const web = await callMesh(t, await proxy.inbound(proxy.origin.port), root, webLeaf);
  await web.send(getOf('/a'));
  assert.equal((await web.response()).body, 'application');
  await web.send(getOf('/b').replace('GET', 'PUT'));
  const denied = await web.response();
  assert.equal(denied.status, 403);
  assert.match(
    denied.body,
    /no rule of shop\/web-only lets spiffe:\/\/cluster.local\/ns\/shop\/sa\/web in: PUT \/b/,
  );
  await web.send(getOf('/c'));
  assert.equal((await web.response()).body, 'application', 'a denial ends no connection');
});

test('another identity, and none, get 403 with cause, policy and who they are taken for', async (t) => {
  const proxy = await startGuarded(t, webOnly);
  const teller = await callMesh(t, await proxy.inbound(proxy.origin.port), root, tellerLeaf);
  await teller.send(getOf('/a'));
  const { status, head, body } = await teller.response();
  assert.equal(status, 403);
  assert.match(head, /^x-tracecar-cause: denied$/m);
  assert.match(
    body,
    /^denied: .*shop\/web-only lets spiffe:\/\/cluster\.local\/ns\/bank\/sa\/teller/,
  );
  const plain = await proxy.inbound(proxy.origin.port);
  await plain.send(getOf('/a'));
  assert.match((await plain.response()).body, /a caller without identity at 127\.0\.0\.1/);
  assert.equal(proxy.origin.received, '', 'not a byte reached the application');
});

test('a denial is in the record with its policy, and counted by it', async (t) => {
  const proxy = await startListener(t, noAdmin);
  const downstream = await proxy.connect();
  await downstream.send(getOf('/admin/x'));
  await downstream.response();
  await proxy.telemetry.recorded(1);
  const [record] = proxy.telemetry.records;
  assert.equal(record!.causeCode, failure.denied.code);
  assert.equal(record!.status, 403);
  assert.equal(record!.policyBits, PolicyBit.Denied);
  const { detail } = readExtra(record!.extra);
  assert.match(detail, /^shop\/no-admin denies a caller without identity .*: GET \/admin\/x/);
  assert.ok(record!.proxyUs > 0, 'what was done was the work of this proxy');
  assert.ok(record!.proxyUs <= record!.totalUs);
  const name = proxy.telemetry.names.names()[record!.policyId - 1];
  assert.equal(name, 'shop/no-admin policies.yaml:1:1');
  const page = renderPrometheus(proxy.telemetry.metrics);
  assert.ok(
    page.includes('tracecar_policy_decisions_total{policy="shop/no-admin",decision="denied"} 1\n'),
  );
});

test('a dry run and an audit are counted and traced, and block nothing', async (t) => {
  const dryRun = policyText('try', '{action: DENY, rules: [{}]}', 'istio.io/dry-run: "true"');
  const watch = policyText('watch', '{action: AUDIT, rules: [{to: [{operation: {paths: [/w]}}]}]}');
  const proxy = await startListener(t, dryRun, watch);
  const downstream = await proxy.connect();
  for (const path of ['/x', '/w']) {
    await downstream.send(getOf(path));
    assert.equal((await downstream.response()).body, 'application');
  }
  const bits = proxy.telemetry.records.map(({ policyBits }) => policyBits);
  assert.deepEqual(bits, [PolicyBit.WouldDeny, PolicyBit.WouldDeny | PolicyBit.Audited]);
  const page = renderPrometheus(proxy.telemetry.metrics);
  assert.match(page, /decisions_total\{policy="shop\/try",decision="would_deny"\} 2/);
  assert.match(page, /decisions_total\{policy="shop\/watch",decision="audited"\} 1/);
});

test('an audit is in the log beside what a dry run or a denial says of the same call', async (t) => {
  const deny = '{action: DENY, rules: [{to: [{operation: {paths: ["/d*"]}}]}]}';
  const watch = policyText('watch', '{action: AUDIT, rules: [{}]}');
  const dryRun = policyText('try', '{action: DENY, rules: [{}]}', 'istio.io/dry-run: "true"');
  const proxy = await startListener(t, policyText('keep-out', deny), dryRun, watch);
  const downstream = await proxy.connect();
  const { telemetry } = proxy;
  for (const [index, path] of ['/a', '/d', '/a'].entries()) {
    await downstream.send(getOf(path));
    await downstream.response();
    await telemetry.recorded(index + 1);
  }
  const names = ['', ...telemetry.names.names()];
  const lines = telemetry.records.map((record) => accessLogLine(record, names, 0));
  const policies = lines.map((line) => {
    const { policy, policy_would, policy_audit } = JSON.parse(line);
    return [policy, policy_would, policy_audit];
  });
  const tried = [undefined, 'shop/try', 'shop/watch'];
  assert.deepEqual(policies, [tried, ['shop/keep-out', undefined, 'shop/watch'], tried]);
});

test('who is denied as a probe of the kubelet is in a trace, who is let in is in none', async (t) => {
  const proxy = await startListener(t, noAdmin);
  const downstream = await proxy.connect();
  const probe = (path: string) =>
    getOf(path).replace('\r\n\r\n', '\r\nUser-Agent: kube-probe/1.36\r\n\r\n');
  for (const [index, path] of ['/admin', '/a'].entries()) {
    await downstream.send(probe(path));
    await downstream.response();
    await proxy.telemetry.recorded(index + 1);
  }
  const flags = proxy.telemetry.records.map(({ flags }) => flags & RecordFlag.Muted);
  assert.deepEqual(flags, [0, RecordFlag.Muted]);
});

test('a sidecar without an identity says why it lets in nobody that a policy knows by identity', async (t) => {
  const proxy = await startListener(t, webOnly);
  const downstream = await proxy.connect();
  await downstream.send(getOf('/a'));
  const { body } = await downstream.response();
  assert.match(body, /GET \/a; this sidecar has no identity \(--identity\), so it knows nobody\)/);
  const other = await startListener(t, publicOnly);
  const stranger = await other.connect();
  await stranger.send(getOf('/a'));
  assert.ok(!(await stranger.response()).body.includes('no identity ('));
});

test('what cannot be evaluated denies everything, and says so', async (t) => {
  const custom = {
    name: 'shop/ext',
    origin: 'x.yaml:1:1',
    isDryRun: false,
    isUnsupported: true,
    rules: [],
  };
  const authorization = { deny: [custom], allow: [], audit: [] };
  const proxy = await startCapture(t, { security: { ...usualSecurity, authorization } });
  const downstream = await proxy.inbound(1);
  await downstream.send(getOf('/a'));
  const { status, head } = await downstream.response();
  assert.equal(status, 403);
  assert.match(head, /^x-tracecar-cause: policy-unsupported$/m);
});

/** All spellings that some server takes for /admin/x. */
const disguises = [
  '/admin/x',
  '//admin/x',
  '/admin//x',
  '/./admin/x',
  '/public/../admin/x',
  '/public/%2e%2e/admin/x',
  '/public/%2E./admin/x',
  '/public/..%2fadmin/x',
  '/public/..%2Fadmin/x',
  '/public/..%5cadmin/x',
  '/public/..\\admin/x',
  '/%61dmin/x',
  '/adm%69n/x',
  '/admin%2fx',
  '/admin%5cx',
  '/public/%2e%2e%2fadmin/x',
  '/public/x/../../admin/x',
  '/public/..;/admin/x',
  '/admin%00/x',
  '/public/%2e%2e/%2e%2e/admin/x',
  'http://service/admin/x',
  'http://service//admin/./x',
  '/admin/x#/public/',
  '/public/../admin/x?/public/',
];

for (const start of [startGuarded, startListener]) {
  for (const target of disguises) {
    test(`${target} is not let in by another spelling: ${start.name}`, async (t) => {
      const proxy = await start(t, noAdmin, publicOnly);
      const downstream = await enter(proxy);
      await downstream.send(getOf(target));
      const { status } = await downstream.response();
      const got = /^GET (\S+)/.exec(proxy.origin.received)?.[1];
      // `;` is a letter like others (RFC 3986 section 3.3): the path below /public is what it says.
      if (target.includes('..;')) assert.equal(got, target);
      else assert.ok((status === 403 || status === 400) && got === undefined, `${status} ${got}`);
    });
  }

  test(`an escape of what a path may hold hides it from no rule: ${start.name}`, async (t) => {
    const held = "/v1/items:!$&'()*+,=@";
    const rule = `{to: [{operation: {paths: ["${held.replace('*', '%2A')}"]}}]}`;
    const proxy = await start(t, policyText('held', `{action: DENY, rules: [${rule}]}`));
    const downstream = await enter(proxy);
    const escaped = (letter: string) => `%${letter.charCodeAt(0).toString(16)}`;
    for (const letter of held.slice('/v1/items'.length)) {
      await downstream.send(getOf(held.replace(letter, () => escaped(letter))));
      assert.equal((await downstream.response()).status, 403, letter);
    }
    await downstream.send(getOf('/v1/items%3Adelete?a=%3A'));
    assert.equal((await downstream.response()).status, 200);
    assert.match(proxy.origin.received, /^GET \/v1\/items:delete\?a=%3A HTTP/, 'as it was judged');
  });

  test(`what a path may hold only as an escape hides it from no rule: ${start.name}`, async (t) => {
    const rule = '{to: [{operation: {paths: ["/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"]}}]}';
    const proxy = await start(t, policyText('odd', `{action: DENY, rules: [${rule}]}`));
    const downstream = await enter(proxy);
    await downstream.send(getOf('/"<>[]^`{|}'));
    assert.equal((await downstream.response()).status, 403);
    await downstream.send(getOf('/[%3b;%25%2561]'));
    assert.equal((await downstream.response()).status, 200);
    assert.match(
      proxy.origin.received,
      /^GET \/%5B%3B;%25%2561%5D HTTP/,
      '`;` and `%` as they are',
    );
    const long = 2_000;
    await downstream.send(getOf(`/${'|'.repeat(long)}`));
    assert.equal((await downstream.response()).status, 200);
    assert.match(proxy.origin.received, new RegExp(`GET /(?:%7C){${long}} HTTP`));
  });

  test(`the application gets the path that was judged: ${start.name}`, async (t) => {
    const proxy = await start(t, noAdmin, publicOnly);
    const downstream = await enter(proxy);
    await downstream.send(getOf('/admin/..//public/%61/./%c3%a9?a=/../b'));
    assert.equal((await downstream.response()).status, 200);
    assert.match(proxy.origin.received, /^GET \/public\/a\/%C3%A9\?a=\/\.\.\/b HTTP\/1\.1\r\n/);
  });
}

test('where no policy is about requests a captured path goes on as it was sent', async (t) => {
  const local = policyText('local', '{rules: [{from: [{source: {ipBlocks: [127.0.0.1]}}]}]}');
  const proxy = await startGuarded(t, local);
  const downstream = await proxy.inbound(proxy.origin.port);
  await downstream.send(getOf('/a//b/%2fc%3a|'));
  assert.equal((await downstream.response()).status, 200);
  assert.match(proxy.origin.received, /^GET \/a\/\/b\/%2fc%3a\| HTTP/);
});

test('a header that is named in Connection is judged where it is passed on', async (t) => {
  const noRoot = policyText(
    'no-root',
    '{action: DENY, rules: [{when: [{key: "request.headers[x-user]", values: [root]}]}]}',
  );
  const proxy = await startGuarded(t, noRoot);
  for (const fields of [
    'X-User: root\r\n',
    'x-user: guest\r\nX-USER: root\r\n',
    'Connection: x-user\r\nx-user: root\r\n',
  ]) {
    const downstream = await proxy.inbound(proxy.origin.port);
    await downstream.send(getOf('/a', fields));
    const { status } = await downstream.response();
    const isSeen = /root/.test(proxy.origin.received);
    assert.ok(status === 403 || !isSeen, fields);
    assert.equal(isSeen, false, fields);
  }
});

test('a header of the hop is judged where it is passed on', async (t) => {
  const noUpgrade = policyText(
    'no-upgrade',
    '{action: DENY, rules: [{when: [{key: "request.headers[upgrade]", values: ["*"]}]}]}',
  );
  const proxy = await startGuarded(t, noUpgrade);
  const downstream = await proxy.inbound(proxy.origin.port);
  await downstream.send(getOf('/a', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'));
  assert.equal((await downstream.response()).status, 403);
});

for (const start of [startGuarded, startListener]) {
  for (const [offer, fields] of [
    [
      'HTTP/2',
      'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n',
    ],
    ['HTTP/2, not in Connection', 'Connection: HTTP2-Settings\r\nUpgrade: h2c\r\n'],
    ['HTTP/2 beside a WebSocket', `${webSocket}Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n`],
    [
      'HTTP/2 among fields of the hop',
      'Connection: upgrade, x-y, close\r\nX-Y: 1\r\nUpgrade: H2C\r\n',
    ],
    ['an unknown protocol', 'Connection: Upgrade\r\nUpgrade: foo/1\r\n'],
  ] as const) {
    test(`an offer of ${offer} stays behind where requests are judged: ${start.name}`, async (t) => {
      const proxy = await start(t, noAdmin);
      const downstream = await enter(proxy);
      await downstream.send(getOf('/public', fields));
      assert.equal((await downstream.response()).status, 200);
      assert.doesNotMatch(proxy.origin.received, /upgrade|http2-settings/i);
      assert.match(proxy.origin.received, /^GET \/public HTTP\/1\.1\r\nHost: service\r\n/);
      if (!fields.includes('close')) {
        await downstream.send(getOf('/admin'));
        assert.equal((await downstream.response()).status, 403, 'its next request is judged');
      }
    });
  }

  test(`a WebSocket is offered where requests are judged: ${start.name}`, async (t) => {
    const proxy = await start(t, noAdmin);
    const downstream = await enter(proxy);
    await downstream.send(getOf('/public', webSocket));
    await proxy.origin.connection(0).then((upstream) => upstream.untilReceived('\r\n\r\n'));
    assert.match(proxy.origin.received, /^Upgrade: websocket\r$/m);
    assert.match(proxy.origin.received, /^Connection: Upgrade\r$/m);
    const other = await enter(proxy);
    await other.send(getOf('/admin', webSocket));
    assert.equal((await other.response()).status, 403);
  });
}

test('where no policy is about requests HTTP/2 is offered as it was', async (t) => {
  const local = policyText('local', '{rules: [{from: [{source: {ipBlocks: [127.0.0.1]}}]}]}');
  const proxy = await startGuarded(t, local);
  const downstream = await proxy.inbound(proxy.origin.port);
  await downstream.send(getOf('/a', 'Connection: Upgrade\r\nUpgrade: h2c\r\n'));
  assert.equal((await downstream.response()).status, 200);
  assert.match(proxy.origin.received, /^Upgrade: h2c\r$/m);
});

test('what a caller says of its certificate is believed by no policy', async (t) => {
  const byHeader = policyText(
    'by-header',
    '{rules: [{when: [{key: "request.headers[x-forwarded-client-cert]", values: ["*sa/web"]}]}]}',
  );
  const proxy = await startGuarded(t, byHeader);
  const downstream = await proxy.inbound(proxy.origin.port);
  const forged = 'X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/shop/sa/web\r\n';
  await downstream.send(getOf('/a', forged));
  assert.equal((await downstream.response()).status, 403);
});

/** A request in chunks with fields behind its body. */
function trailing(trailers: string, announced: string): string {
  const fields = `Host: service\r\nTrailer: ${announced}\r\nTransfer-Encoding: chunked\r\n`;
  return `POST /a HTTP/1.1\r\n${fields}\r\n3;x=1\r\nabc\r\n0\r\n${trailers}\r\n`;
}

for (const start of [startGuarded, startListener]) {
  for (const piece of [1, 1000]) {
    test(`a field that a rule is about stays behind as a trailer, sent by ${piece}: ${start.name}`, async (t) => {
      const noRoot = policyText(
        'no-root',
        '{action: DENY, rules: [{when: [{key: "request.headers[X-User]", values: [root]}]}]}',
      );
      const proxy = await start(t, noRoot);
      const downstream = await enter(proxy);
      const trailers = 'X-Sum: 1\r\nX-User: root\r\nx_user: root\r\nX-Last: 2\r\n';
      const text = trailing(trailers, 'X-Sum, X-User, x_user, X-Last');
      for (let at = 0; at < text.length; at += piece) {
        await downstream.send(text.slice(at, at + piece));
      }
      const upstream = await proxy.origin.connection(0);
      await upstream.untilReceived('abc\r\n0\r\nX-Sum: 1\r\nX-Last: 2\r\n\r\n');
      assert.doesNotMatch(proxy.origin.received, /root/);
    });
  }
}

for (const [what, ...texts] of [
  ['without a policy'],
  ['under one of addresses', '{rules: [{}]}'],
]) {
  test(`what says who a caller is stays behind as a trailer, ${what}, the rest is as it was`, async (t) => {
    const proxy = await startGuarded(t, ...texts.map((spec) => policyText('any', spec)));
    const forged = 'X-Forwarded-Client-Cert: URI=evil\r\nx_forwarded_client_cert: URI=evil\r\n';
    const callers = [await proxy.inbound(proxy.origin.port)];
    callers.push(await callMesh(t, await proxy.inbound(proxy.origin.port), root, webLeaf));
    for (const [index, caller] of callers.entries()) {
      await caller.send(trailing(`X-Undeclared: 1\r\n${forged}`, 'X-Forwarded-Client-Cert'));
      const upstream = await proxy.origin.connection(index);
      await upstream.untilReceived('\r\n3;x=1\r\nabc\r\n0\r\nX-Undeclared: 1\r\n\r\n');
      assert.doesNotMatch(upstream.received, /evil/);
    }
  });
}

test('trailers are as they were sent to a workload without identity and rules about requests', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('application')));
  t.after(() => origin.close());
  const proxy = await startCapture(t);
  const downstream = await proxy.inbound(origin.port);
  await downstream.send(trailing('X-Forwarded-Client-Cert: URI=any\r\n', 'x'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('abc\r\n0\r\nX-Forwarded-Client-Cert: URI=any\r\n\r\n');
});

test('a host is known by every spelling of it, and of its port', async (t) => {
  const noHost = policyText(
    'no-host',
    '{action: DENY, rules: [{to: [{operation: {hosts: ["reviews:9080", ratings]}}]}]}',
  );
  const proxy = await startGuarded(t, noHost);
  for (const head of [
    'HTTP/1.1\r\nHost: reviews:9080',
    'HTTP/1.1\r\nHost: reviews.:9080',
    'HTTP/1.1\r\nHost: Reviews:09080',
    'HTTP/1.1\r\nHost: ratings.:1',
    'HTTP/1.0\r\nHost: ratings.:00001',
    'HTTP/1.0',
  ]) {
    const downstream = await proxy.inbound(proxy.origin.port);
    await downstream.send(`GET /a ${head}\r\n\r\n`);
    assert.equal((await downstream.response()).status, 403, head);
  }
  assert.equal(proxy.origin.received, '');
});

test('of two Hosts neither is believed', async (t) => {
  const host = policyText('host', '{rules: [{to: [{operation: {hosts: [service]}}]}]}');
  for (const text of [
    'GET / HTTP/1.1\r\nHost: service\r\nHost: other\r\n\r\n',
    'GET http://other/ HTTP/1.1\r\nHost: service\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: service other\r\n\r\n',
  ]) {
    const proxy = await startGuarded(t, host);
    const downstream = await proxy.inbound(proxy.origin.port);
    await downstream.send(text);
    assert.equal((await downstream.response()).status, 400);
    assert.equal(proxy.origin.received, '');
  }
});

test('policies of another table hold from the next request on, on connections that are open', async (t) => {
  const proxy = await startListener(t);
  const downstream = await proxy.connect();
  await downstream.send(getOf('/admin'));
  assert.equal((await downstream.response()).status, 200);
  const listener = listenerOf([ruleOf()], { direction: 'inbound' });
  const table = tableOf([listener], [clusterOf([proxy.origin.port])], 2);
  await proxy.proxy.apply({ ...table, security: securityOf([noAdmin]) });
  await downstream.send(getOf('/admin'));
  assert.equal((await downstream.response()).status, 403);
  await proxy.proxy.apply({ ...table, generation: 3 });
  await downstream.send(getOf('/admin'));
  assert.equal((await downstream.response()).status, 200);
});

test('messages of sidecars about traces are taken under a policy that lets nobody in', async (t) => {
  const proxy = await startListener(t, policyText('nobody', '{}'));
  const downstream = await proxy.connect();
  const id = '1'.padStart(32, '0');
  const fields = `host: 10.0.0.1\r\nx-tracecar-keep: ${id}\r\ncontent-length: 0\r\n`;
  await downstream.send(`POST /.tracecar/keep HTTP/1.1\r\n${fields}\r\n`);
  assert.equal((await downstream.response()).status, 204);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).status, 403);
});

test('calls that leave are not judged by the policies of the caller', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('there')));
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([origin.port])]);
  const security = securityOf([policyText('nobody', '{}')]);
  const proxy = await startProxy(t, { table: { ...table, security } });
  const downstream = await proxy.connect();
  await downstream.send(getOf('/a'));
  assert.equal((await downstream.response()).body, 'there');
});
