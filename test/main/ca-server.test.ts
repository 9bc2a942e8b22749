import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:https';
import { connect as dial } from 'node:net';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { ManualClock } from '../../src/base/clock.ts';
import { systemRandom } from '../../src/base/random.ts';
import { Authority } from '../../src/identity/authority.ts';
import { createState, materialOf } from '../../src/identity/authority-state.ts';
import { generateKeys } from '../../src/identity/certificate.ts';
import { writeCertificateRequest } from '../../src/identity/csr.ts';
import { readSvid } from '../../src/identity/svid.ts';
import type { VerifyToken } from '../../src/identity/token.ts';
import { servingPair } from '../../src/main/ca-material.ts';
import { CaServer, type RefusedCall } from '../../src/main/ca-server.ts';
import { authorityLimits } from '../../src/model/authority-limits.ts';

const dayMs = 86_400_000;

async function start(
  verify?: VerifyToken,
  isCostly = true,
  reported: () => Promise<void> = async () => {},
) {
  const nowMs = Date.now();
  const clock = new ManualClock();
  const authority = new Authority({
    clock,
    wallTime: () => nowMs,
    random: systemRandom,
    leafLifeMs: dayMs,
    onLeaf: () => {},
    onReport: reported,
  });
  const material = materialOf(createState('cluster.local', dayMs, nowMs, systemRandom));
  assert.ok(!('problem' in material));
  authority.use(material);
  const refusals: RefusedCall[] = [];
  let onRefused = () => {};
  const failures: string[] = [];
  const turnedAway: string[] = [];
  let onFailure = () => {};
  const failed = new Promise<void>((resolve) => {
    onFailure = resolve;
  });
  let verified = 0;
  const usual: VerifyToken = async (token) =>
    token.reveal() === 'good'
      ? { namespace: 'shop', serviceAccount: 'web', who: 'me', limitKey: 'me', isShared: false }
      : { status: 401, cause: 'token-unknown', message: 'nobody' };
  const server = new CaServer(
    {
      authority,
      verify: (token, address) => {
        verified += 1;
        return (verify ?? usual)(token, address);
      },
      clock,
      isCostly,
      onRefused: (refused) => {
        refusals.push(refused);
        onRefused();
      },
      onTurnedAway: (address) => turnedAway.push(address),
      onHandshakeFailed: (address, why) => {
        failures.push(`${address} ${why}`);
        onFailure();
      },
      onBug: assert.fail,
    },
    servingPair(material, 'tracecar-system', nowMs, systemRandom),
  );
  await server.listen('127.0.0.1', 0);
  after(() => server.close(0, (_ms, call) => call()));
  const ca = material.bundle.pem;
  return {
    ca,
    clock,
    failed,
    failures,
    port: server.port,
    refusals,
    refused: async (count: number) => {
      while (refusals.length < count) {
        await new Promise<void>((resolve) => {
          onRefused = resolve;
        });
      }
    },
    turnedAway,
    verified: () => verified,
  };
}

interface Ask {
  readonly path?: string;
  readonly method?: string;
  readonly token?: string | undefined;
  readonly body?: string;
}

const goodBody = (more: object = {}) =>
  JSON.stringify({
    csr: writeCertificateRequest(generateKeys()),
    bundleHash: '',
    instance: 'web-1',
    ...more,
  });

function ask(at: { ca: string; port: number }, wanted: Ask = {}) {
  const { body = goodBody(), method = 'POST', path = '/v1/sign' } = wanted;
  const token = 'token' in wanted ? wanted.token : 'good';
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      const call = request({
        ...{ host: '127.0.0.1', servername: 'localhost', port: at.port, ca: at.ca, agent: false },
        ...{ method, path },
        headers: {
          'content-length': Buffer.byteLength(body),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
      });
      call.on('error', reject);
      call.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
        );
      });
      call.end(body);
    },
  );
}

test('a good token and a good request are answered with leaf, issuer, roots and end', async () => {
  const at = await start();
  const { body, headers, status } = await ask(at);
  assert.equal(status, 200);
  assert.equal(headers['content-type'], 'application/json');
  assert.equal(headers['cache-control'], 'no-store');
  const answer = JSON.parse(body);
  assert.deepEqual(Object.keys(answer), ['certificates', 'bundle', 'notAfter']);
  assert.equal(answer.certificates.match(/BEGIN CERTIFICATE/g).length, 2);
  assert.equal(answer.bundle, at.ca);
  assert.ok(Date.parse(answer.notAfter) > Date.now());
});

test('the authority is known by its own id, speaks TLS 1.3 alone, and says who failed at that', async () => {
  const at = await start();
  const options = { host: '127.0.0.1', port: at.port, ca: at.ca, servername: 'localhost' };
  const socket = connect(options);
  await once(socket, 'secureConnect');
  const svid = readSvid(socket.getPeerCertificate().raw);
  assert.ok('id' in svid);
  assert.equal(svid.id, 'spiffe://cluster.local/ns/tracecar-system/sa/tracecar-ca');
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  socket.destroy();
  const old = connect({ ...options, maxVersion: 'TLSv1.2' });
  const [error] = await once(old, 'error');
  assert.match(String(error), /version|alert/i);
  await at.failed;
  assert.deepEqual(at.failures, ['127.0.0.1 unsupported protocol']);
});

const refused: readonly (readonly [string, Ask, number, string])[] = [
  ['no token', { token: undefined }, 401, 'token-missing'],
  ['a token that is none', { token: 'a b' }, 401, 'token-missing'],
  ['a token of 10 KiB', { token: 'a'.repeat(10 * 1024) }, 401, 'token-missing'],
  ['an unknown token', { token: 'bad' }, 401, 'token-unknown'],
  ['a body over 16 KiB', { body: goodBody({ more: 'a'.repeat(16 * 1024) }) }, 413, 'body'],
  ['a body of 1 MiB (I7)', { body: 'a'.repeat(1024 * 1024) }, 413, 'body'],
  ['no JSON', { body: 'csr' }, 400, 'body'],
  ['an array', { body: '[]' }, 400, 'body'],
  ['no request', { body: goodBody({ csr: undefined }) }, 400, 'body'],
  ['a request that is none', { body: goodBody({ csr: 'hello' }) }, 400, 'csr'],
  ['a hash that is none', { body: goodBody({ bundleHash: 'AB' }) }, 400, 'body'],
  ['no instance', { body: goodBody({ instance: '' }) }, 400, 'body'],
  ['an instance of 254 characters', { body: goodBody({ instance: 'a'.repeat(254) }) }, 400, 'body'],
  [
    'an instance that steers a terminal',
    { body: goodBody({ instance: 'a\u001b[2J' }) },
    400,
    'body',
  ],
  ['another method', { method: 'PUT' }, 405, 'method'],
  ['another path', { path: '/v1/other' }, 404, 'path'],
];

for (const [what, wanted, status, cause] of refused) {
  test(`${what} is refused with ${status} and its cause`, async () => {
    const at = await start();
    const answer = await ask(at, wanted);
    assert.deepEqual([answer.status, JSON.parse(answer.body).cause], [status, cause]);
    assert.equal(at.refusals.length, 1);
    assert.equal(at.refusals[0]!.cause, cause);
    assert.equal(at.refusals[0]!.address, '127.0.0.1');
  });
}

test('how long a leaf lives is not the sidecar’s to say (I6)', async () => {
  const at = await start();
  const years = { notAfter: '2099-01-01T00:00:00Z', lifeSeconds: 315_360_000, days: 3650 };
  const { body, status } = await ask(at, { body: goodBody(years) });
  assert.equal(status, 200);
  assert.ok(Date.parse(JSON.parse(body).notAfter) <= Date.now() + dayMs);
});

test('nobody can say whose the token is: 503, and no leaf (I15)', async () => {
  const at = await start(async () => ({ status: 503, cause: 'review-failed', message: 'down' }));
  const answer = await ask(at);
  assert.equal(answer.status, 503);
});

test('a body is not even read as JSON before its token is known', async () => {
  const at = await start();
  const answer = await ask(at, { token: 'bad', body: '{"csr":' });
  assert.equal(answer.status, 401);
});

test('whoever asks too often is told when to come again (I14)', async () => {
  const at = await start();
  const statuses: number[] = [];
  for (let round = 0; round < 7; round += 1) statuses.push((await ask(at)).status);
  assert.deepEqual(statuses, [200, 200, 200, 200, 200, 200, 429]);
  const { headers } = await ask(at);
  assert.equal(headers['retry-after'], '10');
});

const { addressBurst, refusedBurst } = authorityLimits;

test('an address whose tokens are refused again and again is not asked about for a while', async () => {
  const at = await start();
  for (let round = 0; round < refusedBurst; round += 1) {
    assert.equal((await ask(at, { token: 'bad' })).status, 401);
  }
  assert.equal((await ask(at, { token: 'bad' })).status, 429);
  assert.equal(at.verified(), refusedBurst);
  at.clock.advance(60_000);
  assert.equal((await ask(at)).status, 200);
});

test('a pod that floods costs the API server no question beyond its address’s rate (I14)', async () => {
  const at = await start();
  for (let round = 0; round < addressBurst + 5; round += 1) await ask(at);
  assert.equal(at.verified(), addressBurst);
});

test('where tokens are of a file, one bad neighbour on a machine holds nobody up', async () => {
  const at = await start(undefined, false);
  for (let round = 0; round < refusedBurst + addressBurst; round += 1) {
    assert.equal((await ask(at, { token: 'bad' })).status, 401);
  }
  assert.equal((await ask(at)).status, 200);
});

test('an address that keeps connections open leaves places for the others', async () => {
  const at = await start();
  const { connectionsPerAddressMax } = authorityLimits;
  const open = async (localAddress: string) => {
    const socket = dial({ host: '127.0.0.1', port: at.port, localAddress });
    socket.on('error', () => {});
    await once(socket, 'connect');
    return socket;
  };
  const held = [];
  for (let count = 0; count < connectionsPerAddressMax; count += 1)
    held.push(await open('127.0.0.2'));
  const more = await open('127.0.0.2');
  await once(more.resume(), 'close');
  assert.deepEqual(at.turnedAway, ['127.0.0.2']);
  assert.equal((await ask(at)).status, 200);
  for (const socket of held) socket.destroy();
});

test('addresses that keep all places and say nothing keep nobody out', async () => {
  const at = await start();
  const { connectionsMax, connectionsPerAddressMax } = authorityLimits;
  const held = await Promise.all(
    Array.from({ length: connectionsMax }, async (_, index) => {
      const localAddress = `127.0.0.${2 + Math.floor(index / connectionsPerAddressMax)}`;
      const socket = dial({ host: '127.0.0.1', port: at.port, localAddress });
      socket.on('error', () => {});
      await once(socket, 'connect');
      return socket;
    }),
  );
  for (let round = 0; round < 5; round += 1) assert.equal((await ask(at)).status, 200);
  assert.ok(!at.turnedAway.includes('127.0.0.1'));
  for (const socket of held) socket.destroy();
});

test('a caller that goes in the middle of a body is refused, and no bug', async () => {
  const at = await start();
  const socket = connect({ host: '127.0.0.1', port: at.port, ca: at.ca, servername: 'localhost' });
  await once(socket, 'secureConnect');
  const fields = 'Host: ca\r\nAuthorization: Bearer none\r\nContent-Length: 900\r\n';
  socket.write(`POST /v1/sign HTTP/1.1\r\n${fields}\r\nabc`);
  socket.end();
  await once(socket.resume(), 'close');
  await at.refused(1);
  assert.deepEqual(
    at.refusals.map(({ cause, message }) => `${cause}: ${message}`),
    ['body: the body ended too early'],
  );
});

test('nobody has a certificate before the list of sidecars is written', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let isWritten = false;
  const asked = Promise.withResolvers<void>();
  const at = await start(undefined, true, () => {
    asked.resolve();
    return promise;
  });
  const answer = ask(at).then(({ status }) => ({ status, isWritten }));
  await asked.promise;
  // A whole call of the same server later.
  await ask(at, { method: 'GET', path: '/healthz', token: undefined, body: '' });
  isWritten = true;
  resolve();
  assert.deepEqual(await answer, { status: 200, isWritten: true });
});

test('it says that it is well', async () => {
  const at = await start();
  const { status } = await ask(at, { method: 'GET', path: '/healthz', token: undefined, body: '' });
  assert.equal(status, 200);
});
