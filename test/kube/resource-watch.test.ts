import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import type { WakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { EventLines } from '../../src/kube/event-lines.ts';
import { KubeClient } from '../../src/kube/kube-client.ts';
import { keyOf } from '../../src/kube/kube-object.ts';
import { ResourceWatch } from '../../src/kube/resource-watch.ts';
import { kubeLimits } from '../../src/model/injector-limits.ts';
import { cut, hang, json, ScriptedServer, type Step, status, stream } from './scripted-server.ts';

const path = '/api/v1/namespaces';

function namespace(name: string, version: string) {
  return { metadata: { name, resourceVersion: version } };
}

function event(type: string, name: string, version: string) {
  return { type, object: namespace(name, version) };
}

function bookmark(version: string) {
  return { type: 'BOOKMARK', object: { metadata: { resourceVersion: version } } };
}

function list(version: string, ...names: readonly string[]): Step {
  const items = names.map((name) => namespace(name, version));
  return json({ metadata: { resourceVersion: version }, items });
}

const gone = { code: 410, reason: 'Expired', message: 'too old resource version: 1 (5)' };

/** Wake-ups that come at once when they are short, and when told when they are the watchdog's. */
class TestWakeUps implements WakeUps {
  readonly waits: number[] = [];
  readonly #watchdogs = new Set<() => void>();

  after(delayMs: number, call: () => void): () => void {
    if (delayMs === kubeLimits.watchIdleMs) {
      this.#watchdogs.add(call);
      return () => this.#watchdogs.delete(call);
    }
    this.waits.push(delayMs);
    setImmediate(call);
    return () => {};
  }

  get watchdogs(): number {
    return this.#watchdogs.size;
  }

  fireWatchdogs(): void {
    for (const call of [...this.#watchdogs]) call();
  }
}

async function play(...steps: readonly Step[]) {
  const server = await ScriptedServer.start(...steps);
  const settings = {
    server: server.url,
    tokenFile: undefined,
    caFile: undefined,
    userAgent: 'test',
  };
  const client = new KubeClient(settings);
  const wakeUps = new TestWakeUps();
  const clock = new ManualClock(0, 0);
  const told: string[] = [];
  const heard: number[] = [];
  const events = new EventEmitter();
  const tell = (text: string) => {
    heard.push(watch.heardAtMs);
    clock.advance(1_000);
    told.push(text);
    events.emit(text);
  };
  const watch = new ResourceWatch(
    client,
    { path, isMetadataOnly: true },
    {
      onObject: (object) => tell(`has ${keyOf(object)} ${object.metadata.resourceVersion}`),
      onGone: (object) => tell(`lost ${keyOf(object)}`),
      onSynced: () => tell('synced'),
      onTrouble: (error) => tell(`trouble ${error.reason}`),
    },
    { wakeUps, clock, random: seededRandom(1) },
  );
  return {
    server,
    wakeUps,
    clock,
    told,
    heard,
    watch,
    /** Starts it and waits until it told `text`. */
    async until(text: string): Promise<void> {
      const heard = once(events, text);
      watch.start();
      await heard;
    },
    async finish(): Promise<void> {
      await watch.stop();
      await client.close();
      await server.finish();
      assert.equal(wakeUps.watchdogs, 0);
    },
  };
}

test('a collection is listed in pages and watched from where the list ended', async () => {
  const run = await play(
    json({ metadata: { resourceVersion: '7', continue: 'next' }, items: [namespace('a', '3')] }),
    json({ metadata: { resourceVersion: '7' }, items: [namespace('b', '4')] }),
    stream(event('MODIFIED', 'a', '8'), event('DELETED', 'b', '9'), bookmark('12')),
    hang(event('ADDED', 'c', '13')),
  );
  await run.until('has c 13');
  assert.deepEqual(run.told, ['has a 3', 'has b 4', 'synced', 'has a 8', 'lost b', 'has c 13']);
  assert.deepEqual([...run.watch.objects.keys()], ['a', 'c']);
  const [first, second, third, fourth] = run.server.seen;
  assert.match(first?.headers.accept ?? '', /as=PartialObjectMetadataList/);
  assert.equal(first?.query.get('limit'), '500');
  assert.equal(second?.query.get('continue'), 'next');
  assert.equal(third?.query.get('resourceVersion'), '7');
  assert.equal(third?.query.get('allowWatchBookmarks'), 'true');
  const seconds = Number(third?.query.get('timeoutSeconds'));
  assert.ok(seconds >= 290 && seconds <= 590);
  assert.equal(fourth?.query.get('resourceVersion'), '12', 'the bookmark counts');
  assert.deepEqual(run.wakeUps.waits, [], 'a watch that ended well is followed at once');
  await run.finish();
});

for (const [title, step] of [
  ['as an answer', status(410, 'Expired', 'too old')],
  ['as an event', stream({ type: 'ERROR', object: { kind: 'Status', ...gone } })],
] as const) {
  test(`410 ${title} lists again at once and tells what is gone`, async () => {
    const run = await play(list('1', 'a', 'b'), step, list('5', 'b', 'c'), hang());
    await run.until('has c 5');
    assert.deepEqual(run.told.slice(3, 7), ['trouble Expired', 'lost a', 'has b 5', 'has c 5']);
    assert.deepEqual(run.wakeUps.waits, []);
    await run.finish();
  });
}

test('a continue token that expired begins the list again', async () => {
  const run = await play(
    json({ metadata: { resourceVersion: '1', continue: 'old' }, items: [namespace('a', '1')] }),
    status(410, 'Expired', 'the provided continue parameter is too old'),
    list('2', 'a'),
    hang(),
  );
  await run.until('synced');
  assert.deepEqual(run.told, ['trouble Expired', 'has a 2', 'synced']);
  assert.equal(run.server.seen[2]?.query.has('continue'), false);
  await run.finish();
});

test('a garbled event is asked for again from the last good version', async () => {
  const run = await play(
    list('1'),
    stream(event('ADDED', 'a', '2'), '{"type":"ADDED","object":{"meta\n'),
    hang(event('ADDED', 'b', '3')),
  );
  await run.until('has b 3');
  assert.deepEqual(run.told, ['synced', 'has a 2', 'trouble Garbled', 'has b 3']);
  assert.equal(run.server.seen[2]?.query.get('resourceVersion'), '2');
  await run.finish();
});

test('a watch that was cut goes on from the last good version', async () => {
  const run = await play(
    list('1'),
    cut(event('ADDED', 'a', '2'), '{"type":"ADDED","obj'),
    hang(event('ADDED', 'b', '3')),
  );
  await run.until('has b 3');
  assert.deepEqual(run.told, ['synced', 'has a 2', 'trouble Cut', 'has b 3']);
  assert.equal(run.server.seen[2]?.query.get('resourceVersion'), '2');
  await run.finish();
});

test('a watch without a byte is given up by the watchdog', async () => {
  const run = await play(list('1'), hang(event('ADDED', 'a', '2')), hang(event('ADDED', 'b', '3')));
  await run.until('has a 2');
  assert.equal(run.wakeUps.watchdogs, 1);
  const next = run.until('has b 3');
  run.wakeUps.fireWatchdogs();
  await next;
  assert.deepEqual(run.told, ['synced', 'has a 2', 'trouble Cut', 'has b 3']);
  await run.finish();
});

test('failures in a row wait longer and longer, and end in a new list', async () => {
  const busy = status(429, 'TooManyRequests', 'busy', { 'retry-after': '9' });
  const run = await play(
    list('1', 'a'),
    status(500, 'InternalError', 'oops'),
    status(500, 'InternalError', 'oops'),
    busy,
    list('4', 'a'),
    hang(event('ADDED', 'b', '5')),
  );
  await run.until('has b 5');
  const [first, second, third] = run.wakeUps.waits as [number, number, number];
  assert.ok(first >= 250 && first <= 501, `${first}`);
  assert.ok(second >= 500 && second <= 1_001, `${second}`);
  assert.equal(third, 9_000, 'what the server asked for');
  assert.equal(run.server.seen[4]?.query.has('watch'), false);
  await run.finish();
});

test('a server that ends every watch at once is not hammered', async () => {
  const run = await play(list('1'), stream(), stream(), stream(), list('1'), hang(bookmark('2')));
  const synced = run.until('synced');
  await synced;
  await run.until('synced');
  assert.equal(run.wakeUps.waits.length, 3);
  assert.ok(run.wakeUps.waits.every((waitMs) => waitMs >= 250));
  await run.finish();
});

test('an API server that is away at the start is waited for', async () => {
  const run = await play(status(503, 'ServiceUnavailable', 'starting'), list('1', 'a'), hang());
  await run.until('synced');
  assert.deepEqual(run.told, ['trouble ServiceUnavailable', 'has a 1', 'synced']);
  await run.finish();
});

test('stop ends a watch that hangs, and a wait', async () => {
  const run = await play(list('1'), hang());
  await run.until('synced');
  await run.finish();
});

test('events are cut out of chunks of any size, and of no others', () => {
  const text = `${JSON.stringify(event('ADDED', 'ä', '1'))}\n\n${JSON.stringify(bookmark('2'))}\n`;
  const bytes = Buffer.from(text);
  for (let size = 1; size <= bytes.length; size += 1) {
    const lines = new EventLines();
    const found = [];
    for (let at = 0; at < bytes.length; at += size) {
      found.push(...lines.push(bytes.subarray(at, at + size)));
    }
    assert.deepEqual(found, [event('ADDED', 'ä', '1'), bookmark('2')], `pieces of ${size}`);
  }
  const bad = ['null\n', '[]\n', '{"type":"OTHER"}\n', '{"type":"ADDED","object":null}\n', 'x\n'];
  for (const line of bad) {
    assert.throws(() => [...new EventLines().push(Buffer.from(line))], /the watch sent/, line);
  }
  assert.throws(() => [...new EventLines(10).push(Buffer.alloc(11, 'x'))], /more than 10 bytes/);
});

test('lists, events and bookmarks are signs of life, and silence is none', async () => {
  const run = await play(
    list('7', 'a'),
    stream(event('MODIFIED', 'a', '8'), bookmark('9')),
    hang(event('ADDED', 'b', '10')),
  );
  assert.equal(run.watch.heardAtMs, Number.NEGATIVE_INFINITY);
  await run.until('has b 10');
  assert.deepEqual(run.told, ['has a 7', 'synced', 'has a 8', 'has b 10']);
  // A second passes with each of them. A list is as old as its question.
  assert.deepEqual(run.heard, [Number.NEGATIVE_INFINITY, 0, 2_000, 3_000]);
  run.clock.advance(60_000);
  assert.equal(run.watch.heardAtMs, 3_000);
  await run.finish();
});
