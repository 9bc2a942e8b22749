/**
 * The traps of the preload: places where a context is lost or mistaken, where a header would leak,
 * or where it must do nothing. Where the caller cannot be known the header is missing, never wrong.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import {
  type Application,
  applicationNodes,
  judge,
  type LoadFlag,
  type Seen,
  startApplication,
  traceHeaders,
  type Verdict,
} from './application.ts';
import { callPath, closeDriver } from './driver.ts';
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts';

const file = join(import.meta.dirname, 'apps/traps.cjs');
let upstream: EchoUpstream;
let number = 0;

before(async () => {
  upstream = await startEchoUpstream();
});
after(() => {
  upstream.close();
  closeDriver();
});

/** Runs a path 20 times at once; the sorted set of verdicts. */
async function verdicts(application: Application, path: string): Promise<Verdict[]> {
  const sent = Array.from({ length: 20 }, () => traceHeaders(number++));
  const seen = await Promise.all(
    sent.map((each) => callPath(application, 'node:http', path, each)),
  );
  return [...new Set(seen.map((each, index) => judge(each, sent[index]!)))].sort();
}

function start(node: string, env: Record<string, string> = {}, flag: LoadFlag = '--require') {
  return startApplication({ node, flag, upstream, file, env });
}

async function withApplication(
  node: string,
  env: Record<string, string>,
  run: (application: Application) => Promise<void>,
): Promise<void> {
  const application = await start(node, env);
  try {
    await run(application);
    assert.equal(application.output(), '');
  } finally {
    await application.stop();
  }
}

for (const node of applicationNodes()) {
  suite(`traps on ${node}`, () => {
    let application: Application;
    before(async () => {
      application = await start(node);
    });
    after(() => application.stop());

    const copies = () =>
      ['undici 6', 'undici 7', 'undici 8'].filter((copy) =>
        application.paths.some((path) => path.startsWith(copy)),
      );

    // First, so that the pools are composed and filled before the preload has met any copy.
    test('a dispatcher composed before the first request gives its own headers or none', async () => {
      for (const copy of copies()) {
        for (const path of ['fetch, composed pool', 'request, composed pool']) {
          const found = await verdicts(application, `${copy}: ${path}`);
          assert.ok(
            !found.includes('wrong') && !found.includes('failed'),
            `${copy}: ${path}: ${found}`,
          );
        }
        assert.deepEqual(await verdicts(application, `${copy}: request, composed agent`), [
          'right',
        ]);
      }
    });

    test('a background job never carries the headers of a request beside it', async () => {
      const path = 'beside the background job';
      for (let round = 0; round < 5; round += 1) {
        assert.deepEqual(await verdicts(application, path), ['right']);
      }
      const leaks = (await callPath(application, 'node:http', 'leaks', traceHeaders(number++))) as {
        sent?: number;
        leaked?: number;
      };
      assert.ok(leaks.sent! > 0);
      assert.equal(leaks.leaked, 0);
    });

    test('the callback of a pooled connection has no request, not the first one', async () => {
      for (const path of [
        'callback of a pooled connection',
        'callback of a pooled TLS connection',
      ]) {
        assert.deepEqual(await verdicts(application, path), ['missing'], path);
      }
    });

    test('a request belongs to its maker, not to who writes its first byte', async () => {
      const path = 'made here, written by the callback of a pooled connection';
      assert.deepEqual(await verdicts(application, path), ['right']);
    });

    test('a retry carries the headers of the first try', async () => {
      for (const copy of copies()) {
        assert.deepEqual(await verdicts(application, `${copy}: request, retried`), ['right'], copy);
      }
    });

    test('what undici keeps open remembers no request', async () => {
      for (const copy of copies()) {
        const found = await verdicts(application, `${copy}: in a callback of dispatch over TLS`);
        assert.ok(!found.includes('wrong') && !found.includes('failed'), `${copy}: ${found}`);
      }
    });

    test('one handler object for many requests gives its own headers or none', async () => {
      for (const copy of copies().filter((each) => each !== 'undici 8')) {
        const found = await verdicts(application, `${copy}: one handler for many`);
        assert.ok(!found.includes('wrong') && !found.includes('failed'), `${copy}: ${found}`);
      }
    });

    test('TLS carries headers to cluster-like names and to no other host', async () => {
      assert.deepEqual(await verdicts(application, 'https to an address'), ['missing']);
      for (const copy of copies()) {
        assert.deepEqual(await verdicts(application, `${copy}: fetch over TLS`), ['right']);
        const redirected = `${copy}: fetch redirected to an address over TLS`;
        assert.deepEqual(await verdicts(application, redirected), ['missing']);
      }
    });

    test('CONNECT carries nothing', async () => {
      assert.deepEqual(await verdicts(application, 'CONNECT'), ['missing']);
    });

    test('the application sees only the headers that it set itself', async () => {
      const path = 'own view of the headers';
      const seen = await callPath(application, 'node:http', path, traceHeaders(number++));
      assert.equal(seen.names, 'host');
    });

    test('work that outlives its response keeps its headers', async () => {
      const sent = traceHeaders(number++);
      await callPath(application, 'node:http', 'start late work', sent);
      const late = await callPath(application, 'node:http', 'result of late work', {});
      assert.equal(judge(late, sent), 'right');
    });

    test('an inbound request without trace headers causes none', async () => {
      const seen = await callPath(application, 'node:http', 'fetch', {});
      assert.equal(judge(seen, {}), 'missing');
      assert.equal(seen['x-tracecar-join'], undefined);
    });

    const odd: readonly { name: string; sent: Seen; copied: Seen }[] = [
      {
        name: 'a malformed traceparent is not copied, nor its tracestate',
        sent: { traceparent: '00-zz-01', tracestate: 'a=b', 'x-request-id': 'kept' },
        copied: { 'x-request-id': 'kept' },
      },
      {
        name: 'a value of 12 kB is left out and the others are copied',
        sent: { ...traceHeaders(7), baggage: `k=${'v'.repeat(12_000)}` },
        copied: { ...traceHeaders(7), baggage: undefined, 'x-tracecar-join': 'preload' },
      },
      {
        name: 'a value that is not ASCII is left out',
        sent: { 'x-request-id': 'caf\u00e9', baggage: 'a=b\tc' },
        copied: { baggage: 'a=b\tc' },
      },
      {
        name: 'an empty value is not copied',
        sent: { baggage: '', 'x-request-id': 'kept' },
        copied: { 'x-request-id': 'kept' },
      },
    ];
    for (const { name, sent, copied } of odd) {
      test(name, async () => {
        for (const path of ['fetch', 'undici 7: bounded pool', 'get']) {
          if (!application.paths.includes(path)) continue;
          const seen = await callPath(
            application,
            'node:http',
            path,
            sent as Record<string, string>,
          );
          for (const key of ['traceparent', 'tracestate', 'baggage', 'x-request-id', 'x-lane']) {
            assert.equal(seen[key], copied[key], `${path}: ${key}`);
          }
          assert.equal(seen['x-tracecar-join'], copied['x-tracecar-join']);
        }
      });
    }

    test('all of it happens without a word on stdout or stderr', () => {
      assert.equal(application.output(), '');
    });
  });

  for (const major of ['6', '7', '8']) {
    test(`${node}: undici ${major} with a bounded global dispatcher`, async (t) => {
      await withApplication(
        node,
        { GLOBAL_DISPATCHER: major, UNDICI: major },
        async (application) => {
          const path = `undici ${major}: fetch, default dispatcher`;
          if (!application.paths.includes(path)) {
            t.diagnostic(`${application.node} cannot load undici ${major}`);
            return;
          }
          assert.deepEqual(await verdicts(application, 'fetch'), ['right']);
          assert.deepEqual(await verdicts(application, path), ['right']);
          const request = `undici ${major}: request, default dispatcher`;
          assert.deepEqual(await verdicts(application, request), ['right']);
        },
      );
    });
  }
}

// What follows depends on no Node version.
const node = process.execPath;

test(`a timer outlives its request by the grace time only`, async () => {
  await withApplication(
    node,
    { TRACECAR_PROPAGATE_GRACE_MS: '0', UNDICI: '' },
    async (application) => {
      const sent = traceHeaders(number++);
      await callPath(application, 'node:http', 'start late work', sent);
      const late = await callPath(application, 'node:http', 'result of late work', {});
      assert.equal(judge(late, sent), 'missing');
      assert.equal(late['x-request-id'], undefined);
    },
  );
});

test(`TRACECAR_PROPAGATE_TLS_HOSTS adds hosts, or takes all away`, async () => {
  await withApplication(
    node,
    { TRACECAR_PROPAGATE_TLS_HOSTS: '127.0.0.1', UNDICI: '' },
    async (application) => {
      assert.deepEqual(await verdicts(application, 'https to an address'), ['right']);
    },
  );
  await withApplication(
    node,
    { TRACECAR_PROPAGATE_TLS_HOSTS: 'none', UNDICI: '7' },
    async (application) => {
      assert.deepEqual(await verdicts(application, 'undici 7: fetch over TLS'), ['missing']);
    },
  );
});

test(`TRACECAR_PROPAGATE=off leaves everything alone`, async () => {
  await withApplication(node, { TRACECAR_PROPAGATE: 'off', UNDICI: '' }, async (application) => {
    assert.deepEqual(await verdicts(application, 'fetch'), ['missing']);
  });
});

test(`framing headers are never copied, whatever the setting says`, async () => {
  const setting = 'host, content-length,transfer-encoding, x-lane ,bad name,X-Other';
  await withApplication(
    node,
    { TRACECAR_PROPAGATE_HEADERS: setting, UNDICI: '' },
    async (application) => {
      const sent = { ...traceHeaders(number++), 'x-other': 'other' };
      const seen = await callPath(application, 'node:http', 'fetch', sent);
      assert.equal(judge(seen, sent), 'right');
      assert.equal(seen.host, `127.0.0.1:${upstream.port}`);
      assert.equal(seen['transfer-encoding'], undefined);
    },
  );
});
