/**
 * Neighbours do to an arm what they are named for, say what came of it, and leave nothing behind.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { answerOf } from '../../bench/load/load-order.ts';
import {
  expectation,
  type NeighbourKind,
  type NeighbourReport,
} from '../../bench/load/neighbour-order.ts';
import { Neighbour } from '../../bench/load/neighbours.ts';
import { resetPath } from '../../bench/load/stream-paths.ts';
import { Children } from '../../bench/stage/children.ts';

const children = new Children();
const servers: Server[] = [];
let neighbour: Neighbour;
const guard = { timeout: 60_000 };

before(async () => {
  neighbour = await Neighbour.open({ children, cores: undefined, directory: tmpdir() });
});
after(async () => {
  await children.stopAll();
  // A test that failed has left its own.
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** As an arm does; what an arm refuses for its size Node.js refuses too. */
const usual: RequestListener = (request, response) => {
  const url = request.url ?? '';
  response.statusCode = url === resetPath ? 502 : 200;
  response.end(answerOf(url));
};

async function listen(answer = usual): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(answer);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** Asks again and again, each time until there is an answer, and adds up. */
async function untilEnded(count: number, of: keyof NeighbourReport): Promise<NeighbourReport> {
  let sum: NeighbourReport = { open: 0, acts: 0, ended: 0, asMeant: 0, otherwise: '' };
  while (Number(sum[of]) < count) {
    const { open, acts, ended, asMeant, otherwise } = await neighbour.count();
    sum = {
      open,
      acts: sum.acts + acts,
      ended: sum.ended + ended,
      asMeant: sum.asMeant + asMeant,
      otherwise: sum.otherwise || otherwise,
    };
  }
  return sum;
}

const orders: readonly (readonly [
  NeighbourKind,
  { connections?: number; ratePerSecond?: number },
])[] = [
  ['churn', { ratePerSecond: 200 }],
  ['large-header', { ratePerSecond: 50 }],
  ['reset', { ratePerSecond: 200 }],
  ['large-bodies', { ratePerSecond: 100, connections: 2 }],
  ['slow-writer', { connections: 2 }],
  ['slow-reader', { connections: 2 }],
];

for (const [kind, order] of orders) {
  test(`${kind}: what comes to an end is ${expectation[kind]}`, guard, async () => {
    const { server, port } = await listen();
    await neighbour.start({ kind, port, ...order });
    // A slow reader's answer takes seconds: that it reads is enough.
    const seen = await untilEnded(3, kind === 'slow-reader' ? 'acts' : 'ended');
    assert.equal(seen.otherwise, '');
    assert.equal(seen.asMeant, seen.ended);
    assert.ok(seen.acts >= 3);
    await neighbour.stop();
    // Resolves when no connection is left.
    server.close();
    await once(server, 'close');
  });
}

test(
  'idle connections stay open, are asked again, and those that are gone are not counted',
  guard,
  async () => {
    const { server, port } = await listen();
    const requests: unknown[] = [];
    server.on('request', (request) => requests.push(request.socket));
    server.keepAliveTimeout = 0;
    const opened = await neighbour.start({ kind: 'idle', port, connections: 40 });
    assert.deepEqual([opened.open, opened.ended, opened.asMeant], [40, 40, 40]);
    const touched = await neighbour.touch();
    assert.deepEqual([touched.open, touched.ended, requests.length], [40, 40, 80]);
    assert.equal(new Set(requests).size, 40);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    while ((await neighbour.count()).open > 0);
    assert.equal((await neighbour.stop()).open, 0);
  },
);

test('an arm that answers otherwise is told with what it said', guard, async () => {
  const { server, port } = await listen((_request, response) => response.writeHead(503).end());
  await neighbour.start({ kind: 'churn', port, ratePerSecond: 200 });
  const seen = await untilEnded(1, 'ended');
  assert.deepEqual([seen.asMeant, seen.otherwise], [0, '503']);
  await neighbour.stop();
  server.close();
  await once(server, 'close');
});
