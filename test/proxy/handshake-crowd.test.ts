import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { connect } from 'node:tls';
import { HandshakeCrowd, type Handshaker } from '../../src/proxy/scope/handshake-crowd.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-crowd-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const tls = filesOf(folder, authority.issue('shop.example.com'));

class Holder implements Handshaker {
  readonly address: string;
  readonly #crowd: HandshakeCrowd;
  isOver = false;

  constructor(crowd: HandshakeCrowd, address: string) {
    this.#crowd = crowd;
    this.address = address;
    crowd.enter(this);
  }

  fail(): void {
    this.isOver = true;
    this.#crowd.leave(this);
  }
}

function crowdOf(max: number, perAddress: number, addresses: string) {
  const bounds = { tlsHandshakesMax: max, tlsHandshakesPerAddressMax: perAddress };
  const crowd = new HandshakeCrowd(bounds);
  const holders = [...addresses].map((address) => new Holder(crowd, address));
  const left = () => holders.map(({ address, isOver }) => (isOver ? '-' : address)).join('');
  return { crowd, holders, left };
}

const crowds: readonly (readonly [what: string, addresses: string, left: string])[] = [
  ['one address has its share, and its own oldest go', 'aaaaab', '--aaab'],
  ['of many addresses the oldest of all goes', 'abcdef', '--cdef'],
  ['whoever has its share makes no room among others', 'baaaa', 'b-aaa'],
];

for (const [what, addresses, left] of crowds) {
  test(`of handshakes that stall ${what}`, () => {
    assert.equal(crowdOf(4, 3, addresses).left(), left);
  });
}

test('whoever is done makes room', () => {
  const { crowd, holders, left } = crowdOf(3, 2, 'aab');
  crowd.leave(holders[0]!);
  crowd.leave(holders[0]!);
  const late = [new Holder(crowd, 'a'), new Holder(crowd, 'c')];
  assert.equal(left(), 'a-b');
  assert.deepEqual(
    late.map(({ isOver }) => isOver),
    [false, false],
  );
});

/** As Node.js sends it. */
function realHello(): Promise<Buffer> {
  return new Promise((settle) => {
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer) => {
        settle(chunk);
        socket.destroy();
      },
    });
    connect({ socket, servername: 'shop.example.com' }).on('error', () => undefined);
  });
}

test('strangers that send a ClientHello and stop are closed, and who goes on is served', async (t) => {
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]), {
    limits: { tlsHandshakesMax: 3, tlsHandshakesPerAddressMax: 2, tlsHandshakeMs: 60_000 },
  });
  const stalled = await Promise.all([1, 2, 3, 4].map(() => gateway.connect()));
  const hello = await realHello();
  for (const each of stalled) {
    await each.send(hello);
    await each.until(() => each.received !== '', 'the first words of the gateway');
  }
  await stalled[0]!.ended();
  await stalled[1]!.ended();
  const { downstream } = await connectSecure(t, gateway.port, authority, 'shop.example.com');
  await stalled[2]!.ended();
  await downstream.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await downstream.response()).body, 'application');
  assert.equal(gateway.proxy.counts.failedHandshakes, 3);
  assert.match(gateway.log.join('\n'), /failed: it was not done, and others come/);
});
