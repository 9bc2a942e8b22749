/**
 * The matrix of the preload, for one Node and one way of loading: every covered client path behind
 * every server kind, 20 requests at a time, each with trace headers of its own.
 *
 * All that can be joined must be right, and no request may ever carry another one's headers.
 */

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import {
  type Application,
  judge,
  type LoadFlag,
  ownTraceparent,
  type Seen,
  startApplication,
  traceHeaders,
} from './application.ts';
import { callPath, closeDriver } from './driver.ts';
import { type EchoUpstream, startEchoUpstream } from './echo-upstream.ts';

export interface MatrixRun {
  /** Path of the Node that the application runs on. */
  readonly node: string;
  readonly flag: Exclude<LoadFlag, 'none'>;
  /**
   * `whole`: every path behind every server kind. `wide`: each path behind one of each protocol and one
   * more. `edge`: each path behind node:http. Two paths run behind every kind always.
   */
  readonly part: 'whole' | 'wide' | 'edge';
}

/** Requests of one burst: a client path behind a server kind. */
const concurrent = 20;
const ours = Object.keys(traceHeaders(0)).concat('x-tracecar-join');

/** Paths whose outcome is not "right", with what the upstream must have received of our headers. */
const exceptions: Readonly<Record<string, (sent: Seen) => Seen>> = {
  'own traceparent': () => ({ traceparent: ownTraceparent }),
  'own traceparent in an array': () => ({ traceparent: ownTraceparent }),
  'fetch, own traceparent': () => ({ traceparent: ownTraceparent }),
  'http2, own traceparent': () => ({ traceparent: ownTraceparent }),
  'grpc, own traceparent': () => ({ traceparent: ownTraceparent }),
  'own b3': () => ({ b3: '0' }),
  'own x-request-id': (sent) => ({ ...sent, 'x-request-id': 'own', 'x-tracecar-join': 'preload' }),
  'hand-made queue drained by a timer': () => ({}),
};

let number = 0;

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

/** The server kinds to run the path of this number behind. */
function serversFor(application: Application, index: number, part: MatrixRun['part']): string[] {
  const all = Object.keys(application.ports);
  const path = application.paths[index];
  if (part === 'whole' || path === 'http.get' || path === 'fetch') return all;
  if (part === 'edge') return ['node:http'];
  const always = ['node:http', 'http2 stream', 'grpc'];
  const others = all.filter((each) => !always.includes(each));
  return [...always, others[index % others.length]!];
}

function sorted(headers: Seen): [string, string | undefined][] {
  return Object.entries(headers).sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Registers the tests of some runs, side by side two at a time; `skip` says why none can run. */
export function testMatrix(runs: readonly MatrixRun[], skip: string | false = false): void {
  suite('the matrix', { concurrency: 2, skip }, () => {
    let upstream: EchoUpstream;
    before(async () => {
      upstream = await startEchoUpstream();
    });
    after(() => {
      upstream.close();
      closeDriver();
    });
    for (const run of runs) testRun(run, () => upstream);
  });
}

function testRun({ node, flag, part }: MatrixRun, upstream: () => EchoUpstream): void {
  suite(`${node} ${flag}`, () => {
    let application: Application;
    before(async () => {
      application = await startApplication({ node, flag, upstream: upstream() });
    });
    after(() => application.stop());

    test('T5: every joinable request is right and none carries the headers of another', async (t) => {
      const complaints: string[] = [];
      const totals: Record<string, number> = {};
      for (const [index, path] of application.paths.entries()) {
        const servers = serversFor(application, index, part);
        const cells = servers.map((server) => checkCell(application, server, path));
        complaints.push(...(await Promise.all(cells)).flat());
        for (const server of servers) totals[server] = (totals[server] ?? 0) + concurrent;
      }
      const total = Object.values(totals).reduce((sum, each) => sum + each, 0);
      t.diagnostic(
        `${application.node} ${flag}: ${application.paths.length} client paths, ` +
          `${Object.keys(application.ports).length} server kinds (${part}), ` +
          `${concurrent} at a time: ${total - complaints.length} of ${total} as expected`,
      );
      for (const [server, sent] of Object.entries(totals)) {
        const odd = complaints.filter((each) => each.startsWith(`${server} > `)).length;
        t.diagnostic(`${application.node} ${server}: ${sent - odd} of ${sent}`);
      }
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
