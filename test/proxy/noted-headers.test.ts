/**
 * Header fields that spans carry because somebody asked: custom tags of a table, captured headers.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CustomTag,
  noTracingRules,
  type RoutingTable,
} from '../../src/model/routing-table.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { readExtra } from '../../src/telemetry/record/record-extra.ts';
import { usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';
import { getOf, startProxy } from '../support/proxy-fixture.ts';
import { answering, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const header = (name: string, field: string): CustomTag => ({
  ...{ kind: 'header', name, header: field, otherwise: '' },
});
const literal: CustomTag = { kind: 'literal', name: 'l', value: 'x' };

function withTags(table: RoutingTable, tags: readonly CustomTag[]): RoutingTable {
  const outbound = { ...noTracingRules.outbound, tags };
  return { ...table, tracing: { ...noTracingRules, outbound } };
}

const nothing = { request: [], response: [] };

async function start(
  t: Parameters<typeof startProxy>[0],
  tags: readonly CustomTag[],
  captured = nothing as { request: readonly string[]; response: readonly string[] },
) {
  const reply = 'HTTP/1.1 200 OK\r\nX-Build: a1\r\nx-build: a2\r\nContent-Length: 2\r\n\r\nok';
  const origin = await RawOrigin.start(answering(() => reply));
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([origin.port])]);
  const capturedHeaders = { inbound: nothing, outbound: captured };
  const fixture = await startProxy(t, {
    table: withTags(table, tags),
    tracing: { ...usualChoices, capturedHeaders },
  });
  const downstream = await fixture.connect();
  const ask = async (lines: string) => {
    await downstream.send(getOf('/', lines));
    await downstream.response();
    return fixture.telemetry.records.at(-1)!.extra;
  };
  return { ...fixture, ask, table };
}

test('where nothing is asked for a record has nothing of a header', async (t) => {
  const { ask } = await start(t, [literal]);
  assert.equal(await ask('X-Tenant: acme\r\n'), '');
});

test('a tag is the first field of its name, by its place among the tags', async (t) => {
  const { ask } = await start(t, [literal, header('a', 'x-tenant'), header('b', 'x-absent')]);
  assert.equal(await ask('X-TENANT: acme\r\nx-tenant: other\r\n'), 'c1:acme');
  assert.equal(await ask(''), '');
});

test('captured fields are all of the name, those of the response behind the request', async (t) => {
  const { ask } = await start(t, [], { request: ['x-a', 'x-b'], response: ['x-build'] });
  assert.equal(await ask('X-B: 1\r\nX-A: 2\r\nX-B: 3\r\n'), 'h0:2\nh1:1\nh1:3\nh2:a1\nh2:a2');
  assert.equal(await ask(''), 'h2:a1\nh2:a2');
});

test('long values are cut, and what has no room is left out whole', async (t) => {
  const fields = ['x-a', 'x-b', 'x-c', 'x-d', 'x-e'];
  const { ask } = await start(t, [], { request: fields, response: [] });
  const extra = await ask(fields.map((name) => `${name}: ${name.repeat(500)}\r\n`).join(''));
  const { headers } = readExtra(extra);
  assert.deepEqual([...headers.keys()], [0, 1, 2]);
  for (const [value] of headers.values()) {
    assert.equal(value!.length, telemetryLimits.notedValueCharsMax);
  }
  assert.ok(extra.length <= telemetryLimits.notedCharsMax);
});

test('a table without the tags notes nothing any more', async (t) => {
  const { ask, proxy, table } = await start(t, [header('a', 'x-tenant')]);
  assert.equal(await ask('X-Tenant: acme\r\n'), 'c0:acme');
  await proxy.apply({ ...withTags(table, [literal, header('a', 'x-tenant')]), generation: 2 });
  assert.equal(await ask('X-Tenant: acme\r\n'), 'c1:acme');
  await proxy.apply({ ...table, generation: 3 });
  assert.equal(await ask('X-Tenant: acme\r\n'), '');
});

test('each attempt of a request has the fields of the request once', async (t) => {
  const origin = await RawOrigin.start(answering(() => okWith('a')));
  t.after(() => origin.close());
  const table = tableOf([listenerOf([ruleOf()])], [clusterOf([origin.port, 1])]);
  const { connect, telemetry } = await startProxy(t, {
    table: withTags(table, [header('a', 'x-tenant')]),
  });
  const downstream = await connect();
  for (let sent = 0; sent < 4; sent++) {
    await downstream.send(getOf('/', 'X-Tenant: acme\r\n'));
    await downstream.response();
  }
  assert.ok(telemetry.records.some(({ attempt }) => attempt > 0));
  for (const { extra } of telemetry.records) {
    const { tags } = readExtra(extra);
    assert.deepEqual([...tags], [[0, ['acme']]]);
  }
});
