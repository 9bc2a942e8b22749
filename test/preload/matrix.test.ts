/**
 * The matrix: every covered client path behind every server kind, 20 requests at a time, each with
 * trace headers of its own. All that can be joined must be right, and no request may ever carry
 * another one's headers. Run on this Node and on the system's, by --require and by --import.
 *
 * The flags load the same file, so the first run is whole; the others have every path on one server
 * kind and two paths on each other kind. TRACECAR_TEST_WHOLE=1 makes all of them whole.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import {
  type Application,
  applicationNodes,
  callPath,
  closeDriver,
  judge,
  type LoadFlag,
  ownTraceparent,
  type Seen,
  startApplication,
  traceHeaders,
} from './application.ts';
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts';

const concurrent = 20;
const ours = Object.keys(traceHeaders(0)).concat('x-tracecar-join');

/** Paths whose outcome is not "right", with what the upstream must have received of our headers. */
const exceptions: Readonly<Record<string, (sent: Seen) => Seen>> = {
  'own traceparent': () => ({ traceparent: ownTraceparent }),
  'own traceparent in an array': () => ({ traceparent: ownTraceparent }),
  'fetch, own traceparent': () => ({ traceparent: ownTraceparent }),
  'own b3': () => ({ b3: '0' }),
  'own x-request-id': (sent) => ({ ...sent, 'x-request-id': 'own', 'x-tracecar-join': 'preload' }),
  'hand-made queue drained by a timer': () => ({}),
};

let upstream: EchoUpstream;
let number = 0;

before(async () => {
  upstream = await startEchoUpstream();
});
after(() => {
  upstream.close();
  closeDriver();
});

/** Sends one burst; returns a complaint for each request whose outcome is not the expected one. */
async function checkCell(
  application: Application,
  server: string,
  path: string,
): Promise<string[]> {
  const sent = Array.from({ length: concurrent }, () => traceHeaders(number++));
  const seen = await Promise.all(sent.map((each) => callPath(application, server, path, each)));
  const expected = exceptions[path];
  const complaints: string[] = [];
  seen.forEach((each, index) => {
    const headers = sent[index]!;
    if (expected !== undefined) {
      const got = Object.fromEntries(
        ours.flatMap((name) => (name in each ? [[name, each[name]]] : [])),
      );
      const isExpected = JSON.stringify(sorted(got)) === JSON.stringify(sorted(expected(headers)));
      if (!isExpected) complaints.push(`${server} > ${path}: ${JSON.stringify(got)}`);
      return;
    }
    const verdict = judge(each, headers);
    if (verdict !== 'right') {
      const shown = each.failed ?? `${each.traceparent} for ${headers.traceparent}`;
      complaints.push(`${server} > ${path}: ${verdict}: ${shown}`);
    }
  });
  return complaints;
}

/** The server kinds to run a path behind. */
function serversFor(application: Application, path: string, isWhole: boolean): string[] {
  const all = Object.keys(application.ports);
  const isShort = !isWhole && path !== 'http.get' && path !== 'fetch';
  return isShort ? ['node:http'] : all;
}

function sorted(headers: Seen): [string, string | undefined][] {
  return Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1));
}

suite('the matrix', { concurrency: 2 }, () => {
  applicationNodes().forEach((node, index) => {
    for (const flag of ['--require', '--import'] as const satisfies LoadFlag[]) {
      const isMain = index === 0 && flag === '--require';
      const isWhole = isMain || process.env.TRACECAR_TEST_WHOLE !== undefined;
      suite(`${node} ${flag}`, () => {
        let application: Application;
        before(async () => {
          application = await startApplication({ node, flag, upstream });
        });
        after(() => application.stop());

        test('every joinable request is right and none carries the headers of another', async (t) => {
          const complaints: string[] = [];
          let total = 0;
          for (const path of application.paths) {
            const servers = serversFor(application, path, isWhole);
            const cells = servers.map((server) => checkCell(application, server, path));
            complaints.push(...(await Promise.all(cells)).flat());
            total += servers.length * concurrent;
          }
          t.diagnostic(
            `${application.node} ${flag}: ${application.paths.length} client paths, ` +
              `${Object.keys(application.ports).length} server kinds${isWhole ? '' : ' (in part)'}, ` +
              `${concurrent} at a time: ${total - complaints.length} of ${total} as expected`,
          );
          if (application.unloadable.length > 0) {
            t.diagnostic(`${application.node} cannot load ${application.unloadable.join(', ')}`);
          }
          assert.deepEqual(complaints.slice(0, 20), [], `${complaints.length} of ${total}`);
        });

        test('the preload prints nothing', () => {
          assert.equal(application.output(), '');
        });
      });
    }
  });
});

if (applicationNodes().length === 1) {
  console.warn('NOTE: no system Node besides this one: the matrix ran on one Node only');
}
