/**
 * A listening socket whose door is closed: nobody new gets in, who had begun is served, in both families.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { hearAll, stopConnects } from '../../src/proxy/socket/stop-connects.ts';

for (const [listened, dialled] of [
  ['::', '127.0.0.1'],
  ['::1', '::1'],
  ['127.0.0.1', '127.0.0.1'],
] as const) {
  test(`${listened}: who comes from ${dialled} after that is refused in the end`, async (t) => {
    let isClosed = false;
    const server = createServer((accepted) => {
      assert.ok(!isClosed || accepted.remotePort === early.localPort, 'nobody else gets in');
      accepted.pipe(accepted);
    });
    await once(server.listen({ host: listened, port: 0 }), 'listening');
    const { port } = server.address() as AddressInfo;
    const early: Socket = connect({ host: dialled, port });
    t.after(() => early.destroy());
    await once(early, 'connect');
    isClosed = stopConnects(server);
    assert.ok(isClosed, 'the kernel allows it');
    const late = connect({ host: dialled, port });
    t.after(() => late.destroy());
    late.on('connect', () => assert.fail('somebody new got in'));
    early.write('still heard');
    assert.equal(String((await once(early, 'data'))[0]), 'still heard');
    server.close();
    // Its second SYN, after a second, finds nobody.
    const [error] = await once(late, 'error');
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });
}

test('a connection that inherited it hears its peer again', async (t) => {
  const server = createServer((accepted) => {
    // As one that began while the door was closed has it.
    assert.ok(stopConnects(accepted as never));
    hearAll(accepted);
    accepted.pipe(accepted);
  });
  await once(server.listen({ host: '127.0.0.1', port: 0 }), 'listening');
  t.after(() => server.close());
  const caller = connect((server.address() as AddressInfo).port, '127.0.0.1');
  t.after(() => caller.destroy());
  caller.write('heard');
  assert.equal(String((await once(caller, 'data'))[0]), 'heard');
});
