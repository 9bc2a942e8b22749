/**
 * Which share of outbound requests joins the trace of the inbound request that caused it, by language
 * and by the headers that a program's author copies: 8 requests at a time through two sidecars.
 *
 * It prints the table of docs/joins.md, which has 1000 requests a row (TRACECAR_JOIN_REQUESTS=1000). What
 * holds for all: no outbound request is ever put below another request than its own.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { copiers, startCopier, whyNotHere } from './copiers.ts';
import { type JoinCounts, JoinMesh } from './join-mesh.ts';

const requests = Number(process.env.TRACECAR_JOIN_REQUESTS ?? 200);
const inFlight = 8;
/** What a program copies, and whether that alone must join every request. */
const cases = [
  { copies: [], joins: false },
  { copies: ['x-request-id'], joins: true },
  { copies: ['traceparent'], joins: true },
] as const;

let mesh: JoinMesh;
const rows: string[] = [];

before(async () => {
  mesh = await JoinMesh.start();
});

after(async () => {
  await mesh?.close();
  process.stdout.write(`${rows.join('\n')}\n`);
});

for (const copier of copiers) {
  const { language, server, client } = copier;
  const skip = whyNotHere(copier) ?? false;
  const isPreloaded = language.includes('preload');
  for (const { copies, joins } of cases) {
    if (isPreloaded && copies.length > 0) continue;
    const copied = copies.join(', ') || 'nothing';
    test(`${language}, ${server}, ${client}, copies ${copied}`, { skip }, async () => {
      const program = await startCopier(copier, {
        port: mesh.programPort,
        upstream: mesh.upstream,
        copies,
      });
      let counts: JoinCounts;
      try {
        counts = await mesh.measure(requests, inFlight);
      } finally {
        await program.end();
      }
      const { joined, wrong, ways } = counts;
      const said = Object.entries(ways).map(([way, count]) => `\`${way}\` ${count}`);
      rows.push(
        `| ${language} | ${server} | ${client} | ${copied} | ${joined} of ${requests} | ${wrong} | ${said.join(', ')} |`,
      );
      assert.equal(wrong, 0);
      assert.equal(joined, joins || isPreloaded ? requests : 0);
    });
  }
}
