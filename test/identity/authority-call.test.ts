/**
 * The call of an authority, against real servers of TLS: whom the token is shown, and what goes wrong.
 */

import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TlsOptions } from 'node:tls';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { Secret } from '../../src/base/secret.ts';
import { callAuthority } from '../../src/identity/authority-call.ts';
import { type MeshLeaf, makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { makeDecoy } from '../support/odd-issuers.ts';

const root = makeRoot();
const id = 'spiffe://cluster.local/ns/tracecar-system/sa/tracecar-ca';
const authority = { namespace: 'tracecar-system', serviceAccount: 'tracecar-ca' };
const request = {
  ...{ roots: root.roots, token: new Secret('token-of-web'), csr: 'CSR' },
  ...{ bundleHash: 'ab', instance: 'pod-1' },
};

interface Heard {
  readonly head: IncomingMessage;
  readonly body: string;
}

/** A server of TLS that shows `leaf` and answers everything so; resolves with how to call it. */
async function serve(
  t: TestContext,
  leaf: MeshLeaf,
  answer: (response: ServerResponse) => void,
  options: TlsOptions = {},
) {
  const heard: Heard[] = [];
  const key = { cert: leaf.certificates, key: leaf.privateKey };
  const server = createServer({ ...key, ...options }, (head, response) => {
    let body = '';
    head.setEncoding('utf8').on('data', (chunk) => {
      body += chunk;
    });
    head.on('end', () => {
      heard.push({ head, body });
      answer(response);
    });
  });
  server.on('tlsClientError', () => {});
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const place = { host: '127.0.0.1', port, id };
  const call = { place, wakeUps: systemWakeUps, timeoutMs: 20_000, answerBytesMax: 10_000 };
  return { heard, call };
}

const grant = { certificates: 'LEAF', bundle: 'ROOTS' };
const giveGrant = (response: ServerResponse) => void response.end(JSON.stringify(grant));

test('an authority under the trust bundle, by its id, gets token and request', async (t) => {
  const { call, heard } = await serve(t, makeLeaf(root, authority), giveGrant);
  assert.deepEqual(await callAuthority(call, request), grant);
  const [{ head, body } = assert.fail()] = heard;
  assert.deepEqual([head.method, head.url], ['POST', '/v1/sign']);
  assert.equal(head.headers.authorization, 'Bearer token-of-web');
  assert.deepEqual(JSON.parse(body), { csr: 'CSR', bundleHash: 'ab', instance: 'pod-1' });
});

test('what an authority sends behind its own certificate proves nothing, and ends nobody', async (t) => {
  const leaf = makeLeaf(root, authority);
  const certificates = leaf.certificates + makeDecoy(root);
  const { call } = await serve(t, { ...leaf, certificates }, giveGrant);
  assert.deepEqual(await callAuthority(call, request), grant);
});

const impostors: readonly (readonly [string, MeshLeaf, TlsOptions, RegExp])[] = [
  [
    'under other roots',
    makeLeaf(makeRoot(), authority),
    {},
    /no root of the trust bundle has signed/,
  ],
  [
    'who is another workload',
    makeLeaf(root, { serviceAccount: 'web' }),
    {},
    /is spiffe:.*sa\/web, and/,
  ],
  [
    'of another trust domain',
    makeLeaf(root, { ...authority, trustDomain: 'other.example' }),
    {},
    /is spiffe:\/\/other\.example/,
  ],
  [
    'whose certificate has ended',
    makeLeaf(root, { ...authority, lifeMs: -1000 }),
    {},
    /has expired; is the clock/,
  ],
  [
    'whose certificate has not begun',
    makeLeaf(root, { ...authority, backdateMs: -600_000 }),
    {},
    /not valid yet; is the clock/,
  ],
  [
    'who speaks no TLS 1.3',
    makeLeaf(root, authority),
    { maxVersion: 'TLSv1.2' },
    /protocol version|unsupported protocol/i,
  ],
];

for (const [what, leaf, options, why] of impostors) {
  test(`a server ${what} hears nothing of the token`, async (t) => {
    const { call, heard } = await serve(t, leaf, giveGrant, options);
    const answer = await callAuthority(call, request);
    assert.ok('problem' in answer);
    assert.match(answer.problem, why);
    assert.match(answer.problem, /^the authority at 127\.0\.0\.1:\d+ /);
    assert.equal(heard.length, 0);
  });
}

test('no setting of the environment gives the token to an authority that nobody knows', async (t) => {
  const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => {
    if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
  });
  const { call, heard } = await serve(t, makeLeaf(makeRoot(), authority), giveGrant);
  assert.ok('problem' in (await callAuthority(call, request)));
  assert.equal(heard.length, 0);
});

const badAnswers: readonly (readonly [
  string,
  (response: ServerResponse) => void,
  RegExp,
  number,
])[] = [
  [
    'a refused token',
    (response) => response.writeHead(401).end('{"cause":"token","message":"it has expired"}'),
    /answered 401, it does not take the token: it has expired$/,
    0,
  ],
  [
    'a request to wait',
    (response) => response.writeHead(429, { 'retry-after': '7' }).end('{}'),
    /answered 429, too many requests/,
    7000,
  ],
  ['something that is not JSON', (response) => response.end('<html>'), /not its protocol/, 0],
  ['JSON of another kind', (response) => response.end('[]'), /not its protocol/, 0],
  [
    'more than it could mean',
    (response) => response.end('x'.repeat(100_000)),
    /more than 10000 bytes/,
    0,
  ],
  ['half an answer', (response) => response.socket!.destroy(), /closed the connection/, 0],
];

for (const [what, answer, why, retryAfterMs] of badAnswers) {
  test(`${what} is a problem with a sentence`, async (t) => {
    const { call } = await serve(t, makeLeaf(root, authority), answer);
    const result = await callAuthority(call, request);
    assert.ok('problem' in result);
    assert.match(result.problem, why);
    assert.equal(result.retryAfterMs, retryAfterMs);
  });
}

test('an authority that never answers is given up', async (t) => {
  const { call } = await serve(t, makeLeaf(root, authority), () => {});
  const wakeUps = { after: (_ms: number, late: () => void) => systemWakeUps.after(1, late) };
  const result = await callAuthority({ ...call, wakeUps }, request);
  assert.ok('problem' in result);
  assert.match(result.problem, /gave no answer in 20 s/);
});

test('an address where nobody listens is said to be one', async () => {
  const place = { host: '127.0.0.1', port: 9, id };
  const options = { place, wakeUps: systemWakeUps, timeoutMs: 20_000, answerBytesMax: 10 };
  const result = await callAuthority(options, request);
  assert.ok('problem' in result);
  assert.match(
    result.problem,
    /127\.0\.0\.1:9 refuses connections; does `tracecar ca` run there\?/,
  );
});
