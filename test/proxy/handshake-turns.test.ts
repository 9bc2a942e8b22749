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

/** Who begins when, of so many in a turn. */
function turnsOf(perTurn: number) {
  const turns: (() => void)[] = [];
  const wakeUps = {
    after: (_ms: number, call: () => void) => {
      turns.push(call);
      return () => undefined;
    },
  };
  const gate = new HandshakeTurns(wakeUps, perTurn);
  const begun: string[] = [];
  /** The first letter of a name is its address. */
  const ask = (name: string) =>
    gate.ask({ address: name[0]!, onTurn: () => void begun.push(name) });
  return { turns, begun, ask, turn: () => turns.shift()?.() };
}

test('so many begin in a turn, the others in the next ones, in their order', () => {
  const { turns, begun, ask, turn } = turnsOf(2);
  for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) ask(name);
  assert.deepEqual(begun, ['a1', 'a2']);
  turn();
  assert.deepEqual(begun, ['a1', 'a2', 'a3', 'a4']);
  ask('a6');
  turn();
  assert.deepEqual(begun, ['a1', 'a2', 'a3', 'a4', 'a5', 'a6']);
  turn();
  assert.equal(turns.length, 0, 'nobody asks for a turn where nobody waits');
  ask('a7');
  assert.deepEqual(begun.at(-1), 'a7');
});

test('a storm of one address is no queue for others', () => {
  const { begun, ask, turn } = turnsOf(1);
  for (const name of ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2']) ask(name);
  for (let turns = 0; turns < 7; turns++) turn();
  assert.deepEqual(begun, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']);
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
