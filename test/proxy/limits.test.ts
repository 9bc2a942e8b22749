/**
 * Limits of the process and of an endpoint, and bugs that stay with one connection.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { assertLimits, trafficLimits } from '../../src/model/limits.ts';
import { getOf, startPair, startProxy } from '../support/proxy-fixture.ts';
import { connectRaw, type RawConnection } from '../support/raw-connection.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

test('row 162: a connection over the limit is closed at accept and counted', async (t) => {
  const { connect, proxy } = await startPair(
    t,
    answering(() => okWith('x')),
    { limits: { connectionsMax: 2 } },
  );
  const [first, second] = [await connect(), await connect()];
  await first.send(getOf('/'));
  await first.response();
  const third = await connect();
  await third.ended();
  assert.equal(third.received, '');
  assert.equal(proxy.snapshot().counts.refusedConnections, 1);
  await second.send(getOf('/'));
  assert.equal((await second.response()).status, 200);
  first.socket.destroy();
  second.socket.destroy();
  while (proxy.snapshot().connections.downstreamOpen !== 0) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const fourth = await connect();
  await fourth.send(getOf('/'));
  assert.equal((await fourth.response()).status, 200);
});

test('more requests than an endpoint may have in flight overflow', async (t) => {
  const { connect, origin, proxy } = await startPair(t, () => undefined, {
    limits: { inFlightPerEndpointMax: 1 },
  });
  const [busy, over] = [await connect(), await connect()];
  await busy.send(getOf('/'));
  const upstream = await origin.connection(0);
  await upstream.untilReceived('\r\n\r\n');
  await over.send(getOf('/'));
  const response = await over.response();
  assert.equal(response.status, 503);
  assert.match(response.body, /^overflow: /);
  await upstream.send(okWith('x'));
  await busy.response();
  await over.send(getOf('/again'));
  await upstream.untilReceived('/again');
  assert.equal(proxy.snapshot().clusters[0]!.endpoints[0]!.inFlight, 1);
  await upstream.send(okWith('x'));
  assert.equal((await over.response()).status, 200);
});

test('no limit of an endpoint is met before that of all connections', () => {
  assertLimits(trafficLimits);
  const less = trafficLimits.connectionsMax - 1;
  for (const limit of ['inFlightPerEndpointMax', 'pendingPerClusterMax']) {
    assert.throws(() => assertLimits({ ...trafficLimits, [limit]: less }), /an endpoint gets/);
  }
});

test('a bug ends the connection that met it and nothing else, counted and logged', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('x')));
  t.after(() => origin.close());
  const trap = {
    kind: 'regex',
    source: 'trap',
    regex: {
      test(value: string) {
        if (value === '/trap') throw new Error('a bug of routing');
        return true;
      },
    } as unknown as RegExp,
  } as const;
  const match = { method: undefined, authority: undefined, headers: [], query: [], path: trap };
  const table = tableOf([listenerOf([ruleOf({ matches: [match] })])], [clusterOf([origin.port])]);
  const { connect, log, proxy, telemetry } = await startProxy(t, { table, bugsExpected: 1 });
  const [victim, other] = [await connect(), await connect()];
  await victim.send(getOf('/trap'));
  const answer = await victim.response();
  assert.equal(answer.status, 500);
  assert.match(answer.head, /^x-tracecar-cause: internal-error$/m);
  assert.match(answer.head, /^connection: close$/m);
  assert.equal(await victim.ended(), 'fin');
  assert.equal(telemetry.records[0]!.causeCode, failure['internal-error'].code);
  assert.match(log.join('\n'), /^error internal-error: .*a bug of routing/);
  assert.equal(proxy.snapshot().counts.bugs, 1);
  await other.send(getOf('/fine'));
  assert.equal((await other.response()).status, 200);
});

/** A proxy in a process with few descriptors; resolves with its port. */
async function startStarved(t: TestContext, upstreamPort: number): Promise<number> {
  const file = new URL('../support/starved-proxy.ts', import.meta.url).pathname;
  const command = `ulimit -n 64 && exec "$0" "$1" "$2"`;
  const child = spawn('sh', ['-c', command, process.execPath, file, `${upstreamPort}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return Number(line);
}

test('fault 8: without descriptors what is open goes on, and accepting resumes', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('x')));
  t.after(() => origin.close());
  const port = await startStarved(t, origin.port);
  const kept = await connectRaw(port);
  t.after(() => kept.socket.destroy());
  await kept.send(getOf('/'));
  assert.equal((await kept.response()).status, 200);
  const crowd: RawConnection[] = [];
  t.after(() => {
    for (const each of crowd) each.socket.destroy();
  });
  for (let index = 0; index < 100; index++) crowd.push(await connectRaw(port));
  await kept.send(getOf('/'));
  assert.equal((await kept.response()).status, 200);
  for (const each of crowd) each.reset();
  // Refused connections end at once, so trying again is bounded by the pause of accept.
  for (;;) {
    const late = await connectRaw(port).catch(() => undefined);
    if (late === undefined) continue;
    t.after(() => late.socket.destroy());
    await late.send(getOf('/')).catch(() => undefined);
    await late.until(() => late.received !== '' || late.ending !== 'open', 'an answer or the end');
    if (late.received.startsWith('HTTP/1.1 200')) break;
  }
});
