/**
 * The warm-up by itself: what it runs through, how it ends, who goes before it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import { warmUpTable } from '../../src/main/warm-up-table.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { type WarmUpOptions, type WarmUpPlaces, warmUp } from '../../src/proxy/warm-up.ts';
import { RecordKind } from '../../src/telemetry/record/exchange-record.ts';
import { MemoryTelemetry } from '../support/memory-telemetry.ts';
import { idOf, makeIdentity, makeRoot } from '../support/mesh-material.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

function tableFor({ origin, outbound, inbound }: WarmUpPlaces) {
  const listeners = (['outbound', 'inbound'] as const).map((direction) => {
    const port = direction === 'outbound' ? outbound : inbound;
    return listenerOf([ruleOf()], { name: `${direction}|${port}`, direction, port });
  });
  return tableOf(listeners, [clusterOf([origin])]);
}

interface Watched extends WarmUpOptions {
  readonly records: MemoryTelemetry[];
  readonly places: WarmUpPlaces[];
}

function optionsOf(over: Partial<WarmUpOptions>): Watched {
  const records: MemoryTelemetry[] = [];
  const places: WarmUpPlaces[] = [];
  return {
    clock: systemClock,
    random: seededRandom(3),
    wakeUps: systemWakeUps,
    limits: trafficLimits,
    atMostMs: 10_000,
    isHeldUp: () => false,
    isOver: () => false,
    telemetry: () => {
      const telemetry = new MemoryTelemetry();
      records.push(telemetry);
      return telemetry;
    },
    table: (place) => {
      places.push(place);
      return tableFor(place);
    },
    records,
    places,
    ...over,
  };
}

test('a warm-up runs whole exchanges of both directions, and nothing of it fails', async () => {
  let looks = 0;
  const options = optionsOf({ isOver: () => ++looks > 1_000 });
  const exchanges = await warmUp(options);
  const { records } = options.records[0]!;
  assert.ok(exchanges > 300, `${exchanges}`);
  const whole = records.filter(({ status, causeCode }) => status === 200 && causeCode === 0);
  assert.ok(whole.length >= exchanges, `${whole.length} of ${records.length} for ${exchanges}`);
  for (const kind of [1, 2]) assert.ok(whole.some((record) => record.kind === kind));
  assert.ok(
    whole.some(({ requestBytes }) => requestBytes > 0),
    'no body was sent',
  );
});

test('a workload with an identity warms its mutual TLS up too, from half to half', async () => {
  const names = { namespace: '123', serviceAccount: 'true' };
  const mesh = makeIdentity(makeRoot(), names);
  const followers = new Set<object>();
  const follow = mesh.follow.bind(mesh);
  mesh.follow = (listener) => {
    const follower = {};
    followers.add(follower);
    const end = follow(listener);
    return () => {
      followers.delete(follower);
      end();
    };
  };
  let looks = 0;
  const options = optionsOf({ mesh, table: warmUpTable, isOver: () => ++looks > 2_000 });
  const exchanges = await warmUp(options);
  const { records, names: table } = options.records[0]!;
  assert.ok(exchanges > 300, `${exchanges}`);
  const failed = records.filter(({ status, causeCode }) => status !== 200 || causeCode !== 0);
  assert.equal(failed.length, 0);
  const own = table.idOf(idOf(names));
  const proved = records.filter(({ principalId }) => principalId === own);
  for (const kind of [RecordKind.Server, RecordKind.Client]) {
    const share = proved.filter((record) => record.kind === kind).length / exchanges;
    assert.ok(share > 0.02 && share < 0.2, `${share} of kind ${kind}`);
  }
  assert.equal(followers.size, 0, 'something of it still waits for certificates');
});

test('without a certificate by then it is as without an identity', async () => {
  let looks = 0;
  const mesh = new MeshIdentity();
  const options = optionsOf({ mesh, table: warmUpTable, isOver: () => ++looks > 400 });
  assert.ok((await warmUp(options)) > 100);
  assert.ok(options.records[0]!.records.every(({ principalId }) => principalId === 0));
});

test('a warm-up leaves no listener behind', async () => {
  let looks = 0;
  const options = optionsOf({ isOver: () => ++looks > 200 });
  await warmUp(options);
  const { origin, outbound, inbound } = options.places[0]!;
  for (const port of [origin, outbound, inbound]) {
    await assert.rejects(fetch(`http://127.0.0.1:${port}/`), /fetch failed/);
  }
});

test('a warm-up waits for no callers when its listeners close', { timeout: 30_000 }, async () => {
  let looks = 0;
  const limits = { ...trafficLimits, acceptQuietMs: 60_000, acceptLastMs: 120_000 };
  assert.ok((await warmUp(optionsOf({ limits, isOver: () => ++looks > 1_000 }))) > 300);
});

test('nothing is sent while real traffic is under way, and the time is kept all the same', async () => {
  const options = optionsOf({ isHeldUp: () => true, atMostMs: 60 });
  assert.equal(await warmUp(options), 0);
  assert.equal(options.records[0]!.records.length, 0);
});

test('real traffic holds it up for as long as it lasts and no longer', async () => {
  let looks = 0;
  let ends = 0;
  const options = optionsOf({ isHeldUp: () => ++looks < 20, isOver: () => ++ends > 400 });
  assert.ok((await warmUp(options)) > 0);
  assert.ok(looks > 20);
});

test('with no time there is no warm-up', async () => {
  const options = optionsOf({ atMostMs: 0 });
  assert.equal(await warmUp(options), 0);
  assert.equal(options.records.length, 0);
});

test('a warm-up that cannot listen is left out', async () => {
  const table = (places: WarmUpPlaces) => tableFor({ ...places, outbound: places.origin });
  assert.equal(await warmUp(optionsOf({ table })), 0);
});
