/**
 * The traps of HTTP/2 and gRPC: many requests share a session, and what waits is sent by the events of
 * others. Where the caller cannot be known the header is missing, never another request's.
 */

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import {
  type Application,
  applicationNodes,
  judge,
  preloadPath,
  startApplication,
  traceHeaders,
  type Verdict,
} from './application.ts';
import { callPath, closeDriver } from './driver.ts';
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts';

const file = join(import.meta.dirname, 'apps/http2-traps.cjs');
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
  const seen = await Promise.all(sent.map((each) => callPath(application, 'http2', path, each)));
  const failed = seen.find((each) => each.failed !== undefined);
  assert.equal(failed, undefined, `${path}: ${failed?.failed}`);
  return [...new Set(seen.map((each, index) => judge(each, sent[index]!)))].sort();
}

for (const node of applicationNodes()) {
  suite(`traps of HTTP/2 on ${node}`, () => {
    let application: Application;
    before(async () => {
      const env = { UNDICI_H2: 'undici7' };
      application = await startApplication({ node, flag: '--require', upstream, file, env });
    });
    after(() => application.stop());

    for (const path of [
      'pool drained by the close of a stream',
      'session over a connection of the first caller',
      'got over http2',
      'undici over http2',
    ]) {
      test(`${path}: its own headers or none`, async (t) => {
        for (const burst of [1, 2]) {
          const found = await verdicts(application, path);
          t.diagnostic(`burst ${burst}: ${found}`);
          assert.ok(
            found.every((each) => each === 'right' || each === 'missing'),
            `${found}`,
          );
        }
      });
    }

    test('an event of a session belongs to nobody', async () => {
      const path = 'in the connect event of a session';
      assert.deepEqual(await verdicts(application, path), ['missing']);
    });

    test('a background job over the same session and channel carries nothing', async () => {
      assert.deepEqual(await verdicts(application, 'grpc'), ['right']);
      const { sent, leaked } = await callPath(
        application,
        'http2',
        'leaks',
        traceHeaders(number++),
      );
      assert.ok(Number(sent) > 0);
      assert.equal(Number(leaked), 0);
    });

    test('TLS to an address carries nothing', async () => {
      for (const path of ['TLS to an address', 'grpc over TLS to an address']) {
        assert.deepEqual(await verdicts(application, path), ['missing'], path);
      }
    });

    test('headers and metadata of the caller stay as they were', async () => {
      const headers = traceHeaders(number++);
      const { names } = await callPath(application, 'http2', 'what the caller gave', headers);
      assert.equal(names, ':path');
    });

    test('all of it happens without a word on stdout or stderr', () => {
      assert.equal(application.output(), '');
    });
  });
}

test('without its second file the preload leaves HTTP/2 and gRPC alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-preload-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const alone = join(folder, 'alone.cjs');
  copyFileSync(preloadPath, alone);
  const application = await startApplication({
    ...{ node: process.execPath, flag: 'none', upstream },
    nodeFlags: [`--require=${alone}`],
  });
  t.after(() => application.stop());
  const outcomes = async (server: string, path: string) => {
    const headers = traceHeaders(number++);
    return judge(await callPath(application, server, path, headers), headers);
  };
  assert.equal(await outcomes('node:http', 'http.get'), 'right');
  for (const path of ['http2', 'grpc']) assert.equal(await outcomes('node:http', path), 'missing');
  assert.equal(await outcomes('http2 stream', 'http.get'), 'missing');
  assert.equal(application.output(), '');
});
