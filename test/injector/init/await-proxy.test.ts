/**
 * The gate of a pod: `tracecar init` against a health port that is late, refuses or never gets ready.
 */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { awaitProxy } from '../../../injector/init/await-proxy.ts';
import { parseInitOptions } from '../../../injector/init/options.ts';

/** Answers with the states in turn, the last one for ever; '' is ready. */
function healthPort(t: TestContext, states: readonly string[]): Promise<number> {
  let asked = 0;
  const server = createServer(({ url }, response) => {
    assert.equal(url, '/healthz/open');
    const reason = states[Math.min(asked, states.length - 1)]!;
    asked += 1;
    response.statusCode = reason === '' ? 200 : 503;
    response.end(JSON.stringify(reason === '' ? { ready: true } : { ready: false, reason }));
  });
  t.after(() => server.close());
  return new Promise((settle) => {
    server.listen(0, '127.0.0.1', () => settle((server.address() as AddressInfo).port));
  });
}

/** A clock that is `stepMs` later each time it is read. */
function wait(port: number, stepMs = 1_000) {
  let now = 0;
  const told: string[] = [];
  const clock = { now: () => (now += stepMs), epochMs: 0 };
  return {
    told,
    options: { port, atMostMs: 10_000, clock, onReason: (each: string) => void told.push(each) },
  };
}

test('it ends when the sidecar is ready, and says nothing about a usual start', async (t) => {
  const { told, options } = wait(await healthPort(t, ['starting', 'starting', '']), 100);
  assert.equal(await awaitProxy(options), '');
  assert.deepEqual(told, []);
});

test('a reason that lasts is told once, in the words of the sidecar', async (t) => {
  const { told, options } = wait(
    await healthPort(t, ['no rules', 'no rules', 'no rules', 'no rules', 'no rules', '']),
  );
  assert.equal(await awaitProxy(options), '');
  assert.deepEqual(told, ['no rules']);
});

test('a sidecar that never gets ready ends it with the last reason', async (t) => {
  const { options } = wait(await healthPort(t, ['no rules']));
  assert.equal(await awaitProxy(options), 'the sidecar was not ready within 10 s: no rules');
});

test('a port on which nothing listens is named, with the log to read', async (t) => {
  const server = createServer();
  const port = await new Promise<number>((settle) => {
    server.listen(0, '127.0.0.1', () => settle((server.address() as AddressInfo).port));
  });
  await new Promise((closed) => server.close(closed));
  t.diagnostic(`port ${port}`);
  const problem = await awaitProxy(wait(port).options);
  assert.match(problem, /does not answer \(ECONNREFUSED\); the log of tracecar-proxy says more/);
});

test('seconds of --await-proxy are whole and not too many', () => {
  assert.equal(parseInitOptions(['--await-proxy', '60'], {}).awaitProxyMs, 60_000);
  assert.equal(parseInitOptions([], {}).awaitProxyMs, 0);
  for (const wrong of ['-1', '1.5', 'x', '3601']) {
    assert.throws(() => parseInitOptions([`--await-proxy=${wrong}`], {}), /number of seconds/);
  }
});
