/**
 * Who the client is at a Gateway: behind trusted hops, behind a PROXY header, and whatever it says itself.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import { clientAddressOf } from '../../src/proxy/exchange/client-address.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { HeadReader } from '../../src/wire/http1/head-reader.ts';
import { MessageHead } from '../../src/wire/http1/message-head.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-client-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const tls = filesOf(folder, authority.issue('shop'));
const plain = gatewayOf([serverOf(['*'])], false);
const secure = gatewayOf([serverOf(['*'], { tls })]);

function headOf(fields: string): MessageHead {
  const head = new MessageHead();
  const reader = new HeadReader(head, 'request', trafficLimits);
  reader.read(Buffer.from(`GET / HTTP/1.1\r\nHost: shop\r\n${fields}\r\n`), 0);
  return head;
}

const addresses: readonly (readonly [hops: number, fields: string, address: string])[] = [
  [0, '', '10.0.0.8'],
  [0, 'X-Forwarded-For: 6.6.6.6\r\n', '10.0.0.8'],
  [1, '', '10.0.0.8'],
  [1, 'X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n', '192.0.2.7'],
  [2, 'X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.9\r\n', '192.0.2.7'],
  [2, 'X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nx-forwarded-for: 10.0.0.9\r\n', '192.0.2.7'],
  [3, 'X-Forwarded-For: 192.0.2.7, 10.0.0.9\r\n', '10.0.0.8'],
  [1, 'X-Forwarded-For: nobody\r\n', '10.0.0.8'],
  [1, 'X-Forwarded-For: 192.0.2.7:4711\r\n', '192.0.2.7'],
  [1, 'X-Forwarded-For: [2001:db8::7]:4711\r\n', '2001:db8::7'],
];

for (const [hops, fields, address] of addresses) {
  test(`with ${hops} trusted hops ${JSON.stringify(fields)} comes from ${address}`, () => {
    const peer = { peerAddress: '10.0.0.8', isSecure: true };
    assert.equal(clientAddressOf(headOf(fields), peer, hops), address);
  });
}

const forged =
  'X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n' +
  'X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 666\r\n' +
  'X-Forwarded-Client-Cert: By=evil\r\n';

test('what a client says of itself goes no further, and what is true of it does', async (t) => {
  const gateway = await startGateway(t, plain);
  const downstream = await gateway.connect();
  await downstream.send(`GET / HTTP/1.1\r\nHost: shop\r\n${forged}X-Other: kept\r\n\r\n`);
  assert.equal((await downstream.response()).status, 200);
  const { received } = gateway.origin;
  assert.doesNotMatch(received, /6\.6\.6\.6|evil|666/);
  assert.match(received, /x-forwarded-for: 127\.0\.0\.1\r\nx-forwarded-proto: http\r\n/);
  assert.match(received, /X-Other: kept\r\n/);
});

test('TLS that ends here is told as https', async (t) => {
  const gateway = await startGateway(t, secure);
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop');
  await downstream.send('GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-Proto: http\r\n\r\n');
  assert.equal((await downstream.response()).status, 200);
  assert.match(gateway.origin.received, /x-forwarded-proto: https\r\n/);
});

test('behind trusted hops their entries go on, with our peer, and nothing to the left of them', async (t) => {
  const outside = { trustedHops: 1, takesProxyHeader: false };
  const gateway = await startGateway(t, plain, { outside });
  const downstream = await gateway.connect();
  const fields =
    'X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n';
  await downstream.send(`GET / HTTP/1.1\r\nHost: shop\r\n${fields}\r\n`);
  assert.equal((await downstream.response()).status, 200);
  const { received } = gateway.origin;
  assert.match(received, /x-forwarded-for: 192\.0\.2\.7, 127\.0\.0\.1\r\n/);
  assert.match(received, /x-forwarded-proto: https\r\n/);
  assert.match(received, /X-Forwarded-Port: 443\r\n/);
  assert.doesNotMatch(received, /6\.6\.6\.6/);
  await gateway.telemetry.recorded(2);
  const arrival = gateway.telemetry.records.find(({ kind }) => kind === RecordKind.Server);
  assert.equal(readExtra(arrival!.extra).client, '192.0.2.7');
});

const outside = { trustedHops: 0, takesProxyHeader: true };
const header = 'PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n';

test('a PROXY header says whose connection it is, for every request on it', async (t) => {
  const gateway = await startGateway(t, plain, { outside });
  const downstream = await gateway.connect();
  await downstream.send(header.slice(0, 9));
  await downstream.send(`${header.slice(9)}GET /1 HTTP/1.1\r\nHost: shop\r\n\r\n`);
  await downstream.response();
  await downstream.send('GET /2 HTTP/1.1\r\nHost: shop\r\n\r\n');
  await downstream.response();
  const said = gateway.origin.received.match(/x-forwarded-for: .*/g);
  assert.deepEqual(said, ['x-forwarded-for: 192.0.2.7', 'x-forwarded-for: 192.0.2.7']);
});

test('a PROXY header stands before TLS too', async (t) => {
  const gateway = await startGateway(t, secure, { outside });
  const raw = await gateway.connect();
  await raw.send(header);
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop', {
    socket: raw.socket,
  });
  await downstream.send('GET / HTTP/1.1\r\nHost: shop\r\n\r\n');
  assert.equal((await downstream.response()).status, 200);
  assert.match(gateway.origin.received, /x-forwarded-for: 192\.0\.2\.7\r\n/);
});

test('a connection without the PROXY header that is expected is closed', async (t) => {
  const gateway = await startGateway(t, plain, { outside });
  const downstream = await gateway.connect();
  await downstream.send('GET / HTTP/1.1\r\nHost: shop\r\n\r\n');
  await downstream.ended();
  assert.equal(gateway.origin.connections.length, 0);
  assert.match(gateway.log.join('\n'), /PROXY header, which this gateway expects/);
});
