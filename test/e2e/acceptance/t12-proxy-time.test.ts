/**
 * T12 of reference/tracing.md, its second half, without a scheduler in between: both proxies of a hop
 * run in this process, so no clock is read while the other one works and the law holds for every hop.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecordKind } from '../../../src/telemetry/record/exchange-record.ts';
import { getOf, startPair, startProxy } from '../../support/proxy-fixture.ts';
import { answering, okWith } from '../../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../../support/tables.ts';

const requests = 200;
const inFlight = 10;
/** Each of the three times is rounded to a whole microsecond. */
const roundingUs = 2;

test("T12: a hop's own time is never more than what CLIENT lasts longer than SERVER", async (t) => {
  const script = answering(() => okWith('answer'));
  const inbound = await startPair(t, script, { direction: 'inbound' });
  const listener = listenerOf([ruleOf()], { direction: 'outbound' });
  const table = tableOf([listener], [clusterOf([inbound.port])]);
  const outbound = await startProxy(t, { table });
  const caller = async () => {
    const connection = await outbound.connect();
    for (let sent = 0; sent < requests / inFlight; sent += 1) {
      await connection.send(getOf('/'));
      assert.equal((await connection.response()).status, 200);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  await Promise.all([inbound, outbound].map(({ telemetry }) => telemetry.recorded(requests)));

  const servers = new Map(
    inbound.telemetry.records.map((record) => [`${record.parentId0} ${record.parentId1}`, record]),
  );
  assert.equal(servers.size, requests);
  for (const client of outbound.telemetry.records) {
    assert.equal(client.kind, RecordKind.Client);
    const server = servers.get(`${client.spanId0} ${client.spanId1}`);
    assert.ok(server !== undefined && server.kind === RecordKind.Server);
    assert.ok(client.proxyUs > 0 && server.proxyUs > 0);
    const gapUs = client.totalUs - server.totalUs;
    assert.ok(
      client.proxyUs <= gapUs + roundingUs,
      `CLIENT ${client.totalUs} us, SERVER ${server.totalUs} us, own ${client.proxyUs} us`,
    );
  }
});
