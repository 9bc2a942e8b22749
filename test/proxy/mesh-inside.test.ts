/**
 * What is said inside mutual TLS of the mesh and around it: names that do not fit, bytes that are no
 * HTTP/1, records that are torn, and a fault of our own (reference/reliability.md 3.2: T5, T23, T24, T26).
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { PeerMode } from '../../src/model/security.ts';
import { carriedBy, tornRecords } from '../support/carrier.ts';
import {
  callerOptions,
  cart,
  heardBy,
  type InboundFixture,
  root,
  startBound,
  startCaptured,
} from '../support/mesh-caller.ts';
import { makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { planOf, policyText } from '../support/policies.ts';
import { getOf, postOf } from '../support/proxy-fixture.ts';
import { RawConnection } from '../support/raw-connection.ts';
import { answering, okWith } from '../support/raw-origin.ts';

const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';

test('a policy judges Host and the certificate, whatever name the ClientHello asked for', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const rule = '{rules: [{from: [{source: {serviceAccounts: [shop/cart]}}], to: [OPERATION]}]}';
  const operation = '{operation: {hosts: [open.example]}}';
  const authorization = planOf(policyText('open', rule.replace('OPERATION', operation)));
  const { table } = proxy;
  await proxy.proxy.apply({
    ...table,
    security: { ...table.security, mode: 'strict', authorization },
  });
  const other = makeLeaf(root, { namespace: 'shop', serviceAccount: 'open.example' });
  for (const [leaf, name, host, status] of [
    [cart, 'closed.example', 'open.example', 200],
    [cart, 'open.example', 'closed.example', 403],
    [other, 'open.example', 'open.example', 403],
  ] as const) {
    const { downstream } = await proxy.speakMesh({ servername: name }, leaf);
    await downstream.send(`GET /a HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    assert.equal((await downstream.response()).status, status, `${name}, Host ${host}`);
  }
});

test('HTTP/2 inside mutual TLS is the affair of the application behind a captured port', async (t) => {
  const proxy = await startCaptured(t, { mode: 'strict', script: () => undefined });
  const { downstream } = await proxy.speakMesh();
  await downstream.send(preface);
  const application = await proxy.origin.connection(0);
  await application.until(() => application.received === preface, 'the preface as it came');
});

test('HTTP/2 inside mutual TLS is refused by a listener of HTTP/1, and reaches nobody', async (t) => {
  const proxy = await startBound(t, { mode: 'strict' });
  const { downstream } = await proxy.speakMesh();
  await downstream.send(preface);
  await downstream.ended();
  assert.doesNotMatch(downstream.received, /^HTTP\/1\.1 2/);
  assert.equal(proxy.origin.connections.length, 0);
});

test('a request whose bytes come in a record each is understood', async (t) => {
  const script = async (connection: RawConnection) => {
    await connection.untilReceived('body');
    await connection.send(okWith('application'));
  };
  const proxy = await startBound(t, { mode: 'strict', script });
  const { downstream } = await proxy.speakMesh();
  for (const byte of postOf('/a', 'body')) await downstream.send(byte);
  assert.equal((await downstream.response()).status, 200);
});

for (const [name, bytes] of tornRecords) {
  test(`${name} inside mutual TLS ends its connection, and what was begun is not completed`, async (t) => {
    const proxy = await startBound(t, { mode: 'strict', script: () => undefined });
    const { downstream, carrier } = await speakOver(t, proxy);
    await downstream.send('POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\npart');
    const application = await proxy.origin.connection(0);
    await application.untilReceived('part');
    await carrier.send(bytes);
    await application.ended();
    assert.ok(application.received.endsWith('part'));
    await carrier.ended();
    const [record] = proxy.telemetry.records;
    assert.equal(record?.status, 0, 'nobody waited for more of it');
  });
}

test('half a record and FIN are no end of a body', async (t) => {
  const proxy = await startBound(t, { mode: 'strict', script: () => undefined });
  const { downstream, carrier } = await speakOver(t, proxy);
  const head = 'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
  await downstream.send(`${head}4\r\npart\r\n`);
  const application = await proxy.origin.connection(0);
  await application.untilReceived('part');
  carrier.socket.end(Buffer.from([23, 3, 3, 0, 64, 1, 2, 3]));
  await application.ended();
  assert.doesNotMatch(application.received, /0\r\n\r\n$/);
});

/** A caller whose TLS is over a connection that the test may write to as well. */
async function speakOver(t: TestContext, proxy: InboundFixture) {
  const carrier = await proxy.call();
  const secure = connectTls({ socket: carriedBy(carrier), ...callerOptions(cart) });
  t.after(() => secure.destroy());
  secure.on('error', () => undefined);
  await new Promise((resolve) => secure.once('secureConnect', resolve));
  return { carrier, downstream: new RawConnection(secure) };
}

test('a fault of ours at the end of a handshake costs its connection and nothing else', async (t) => {
  const proxy = await startBound(t, { mode: 'strict', bugsExpected: 1 });
  const { names } = proxy.telemetry;
  const { idOf } = names;
  names.idOf = () => {
    throw new Error('planted');
  };
  assert.equal(await heardBy(proxy), '');
  names.idOf = idOf;
  assert.equal(proxy.proxy.counts.bugs, 1);
  assert.match(proxy.log.join('\n'), /internal-error: .*planted/);
  assert.match(await heardBy(proxy), /^HTTP\/1\.1 200/);
});

const stranger = makeRoot();
const forged = makeLeaf(stranger, { namespace: 'shop', serviceAccount: 'cart' });
const bare = { cert: undefined, key: undefined } as unknown as ConnectionOptions;

/** What a caller of each kind hears, by the mode of the port. */
const heardIn: readonly (readonly [who: string, ...{ [K in 0 | 1 | 2]: RegExp }[0 | 1 | 2][]])[] = [
  ['plain', /^HTTP\/1\.1 200/, /^HTTP\/1\.1 200/, /^HTTP\/1\.1 403/],
  ['mutual TLS', /^$/, /^HTTP\/1\.1 200/, /^HTTP\/1\.1 200/],
  ['mutual TLS of another root', /^$/, /^$/, /^$/],
  ['TLS without a certificate', /^$/, /^$/, /^$/],
];
const modes: readonly PeerMode[] = ['disable', 'permissive', 'strict'];

for (const [who, ...expected] of heardIn) {
  for (const [index, mode] of modes.entries()) {
    test(`${who} at a captured port in ${mode}`, async (t) => {
      // An application that speaks no TLS hangs up when it is spoken to in TLS.
      const http = answering(() => okWith('application'));
      const proxy = await startCaptured(t, {
        mode,
        script: async (connection, at) => {
          await connection.until(() => connection.received !== '', 'a byte');
          if (connection.received.charCodeAt(0) === 22) connection.finish();
          else await http(connection, at);
        },
      });
      const heard =
        who === 'plain'
          ? await heardInPlain(proxy)
          : await heardBy(
              proxy,
              who.includes('root') ? forged : cart,
              who.includes('without') ? bare : {},
            );
      assert.match(heard, expected[index]!);
    });
  }
}

async function heardInPlain(proxy: InboundFixture): Promise<string> {
  const downstream = await proxy.call();
  await downstream.send(getOf('/a'));
  return (await downstream.response()).head;
}
