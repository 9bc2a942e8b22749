/**
 * Turns for handshakes: how many begin at once, in which order, and that a storm of them is served whole.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { HandshakeTurns } from '../../src/proxy/scope/handshake-turns.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  connectSecure,
  filesOf,
  gatewayOf,
  serverOf,
  startGateway,
} from '../support/gateway-fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-turns-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('so many begin in a turn, the others in the next ones, in their order', () => {
  const turns: (() => void)[] = [];
  const wakeUps = {
    after: (_ms: number, call: () => void) => {
      turns.push(call);
      return () => undefined;
    },
  };
  const gate = new HandshakeTurns(wakeUps, 2);
  const begun: number[] = [];
  const ask = (number: number) => gate.ask({ onTurn: () => begun.push(number) });
  const turn = () => turns.shift()?.();
  for (const number of [1, 2, 3, 4, 5]) ask(number);
  assert.deepEqual(begun, [1, 2]);
  turn();
  assert.deepEqual(begun, [1, 2, 3, 4]);
  ask(6);
  turn();
  assert.deepEqual(begun, [1, 2, 3, 4, 5, 6]);
  turn();
  assert.equal(turns.length, 0, 'nobody asks for a turn where nobody waits');
  ask(7);
  assert.deepEqual(begun.at(-1), 7);
});

test('a storm of handshakes is served whole, while a request on another connection is answered', async (t) => {
  const authority = new CertificateAuthority(folder);
  const tls = filesOf(folder, authority.issue('shop'));
  const limits = { handshakesPerTurn: 1 };
  const gateway = await startGateway(t, gatewayOf([serverOf(['*'], { tls })]), { limits });
  const calm = await connectSecure(t, gateway.port, authority, 'shop');
  const storm = Array.from({ length: 60 }, () => connectSecure(t, gateway.port, authority, 'shop'));
  await calm.downstream.send('GET / HTTP/1.1\r\nHost: shop\r\n\r\n');
  assert.equal((await calm.downstream.response()).status, 200);
  for (const { downstream } of await Promise.all(storm)) {
    await downstream.send('GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n');
    assert.equal((await downstream.response()).status, 200);
  }
});
