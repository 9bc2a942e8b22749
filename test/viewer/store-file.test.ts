/**
 * `--store FILE`: traces survive restarts and kill -9, a full store takes nothing back that it has said
 * yes to, and a file that cannot be had is one line.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { findDependencies } from '../../src/viewer/dependencies.ts';
import { decodeTraces } from '../../src/viewer/otlp-decode.ts';
import { traceJson } from '../../src/viewer/query-api.ts';
import { SqliteBodies } from '../../src/viewer/sqlite-bodies.ts';
import { StoreFailure } from '../../src/viewer/store-failure.ts';
import { findTraces } from '../../src/viewer/trace-search.ts';
import { type Refused, TraceStore } from '../../src/viewer/trace-store.ts';
import { summarizeTrace } from '../../src/viewer/trace-summary.ts';
import { demoTrace, exportBody, type SpanFixture, sendSpans } from './span-fixtures.ts';

const startMs = 1_795_627_913_000;
const program = resolve(import.meta.dirname, '../../src/cli/tracecar.ts');

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-store-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function idOf(n: number): string {
  return n.toString(16).padStart(32, '0');
}

function addSpans(store: TraceStore, spans: readonly SpanFixture[]): Refused {
  const decoded = decodeTraces(exportBody(spans), viewerLimits);
  assert.equal(decoded.kind, 'spans');
  return store.add(decoded.kind === 'spans' ? decoded.groups : []);
}

/** What people can see of a store. */
function viewOf(store: TraceStore) {
  const traces = [...store.newestFirst()];
  const query = {
    service: 'web',
    operation: 'GET',
    startMinUs: 0,
    startMaxUs: Number.POSITIVE_INFINITY,
    durationMinNs: 2_000_000,
    durationMaxNs: 2_100_000,
    attributes: new Map([['tracecar.subset', 'v1']]),
    tracesMax: 1_000,
  };
  const { traces: count, spans } = store.counts();
  return {
    count,
    spans,
    traces: traces.map((trace) => traceJson(store, [trace]).toString()),
    summaries: traces.map((trace) => summarizeTrace(store, trace)),
    found: findTraces(store, query, viewerLimits).map(({ traceId }) => traceId),
    services: store.services(),
    operations: store.operations('web', ''),
    dependencies: findDependencies(store, 0, Number.POSITIVE_INFINITY),
  };
}

test('a store is the same after a restart, and goes on', (t) => {
  const file = join(folderOf(t), 'traces.db');
  const open = (): TraceStore =>
    new TraceStore(viewerLimits, new SqliteBodies(file, viewerLimits.storeBytesMax));
  const before = open();
  for (let n = 1; n <= 50; n++) addSpans(before, demoTrace(idOf(n), startMs + n));
  const [root, ...rest] = demoTrace(idOf(51), startMs);
  addSpans(before, rest);
  const view = viewOf(before);
  assert.equal(view.found.length, 51);
  before.close();
  const after = open();
  assert.deepEqual(viewOf(after), view);
  addSpans(after, [root!, ...rest]);
  assert.deepEqual([after.counts().spans, after.counts().repeatedSpans], [255, 4]);
  addSpans(after, demoTrace(idOf(52), startMs));
  const last = viewOf(after);
  after.close();
  const again = open();
  assert.deepEqual(viewOf(again), last);
  again.close();
});

test('a file that is over a smaller limit loses its oldest traces at the start', (t) => {
  const file = join(folderOf(t), 'traces.db');
  const large = new TraceStore(viewerLimits, new SqliteBodies(file, 10_000_000));
  for (let n = 1; n <= 500; n++) addSpans(large, demoTrace(idOf(n), startMs));
  large.close();
  const limits = { ...viewerLimits, storeBytesMax: 400_000 };
  const small = new TraceStore(limits, new SqliteBodies(file, limits.storeBytesMax));
  const counts = small.counts();
  assert.ok(counts.bytes <= 400_000 && counts.traces > 20, JSON.stringify(counts));
  assert.equal([...small.newestFirst()][0]!.traceId, idOf(500));
  addSpans(small, demoTrace(idOf(501), startMs));
  small.close();
});

test('a full file takes back the request it has no room for, says so, and is read on', (t) => {
  const file = join(folderOf(t), 'traces.db');
  // The file may hold less than the store would put into it: as on a disk that is full.
  const store = new TraceStore(viewerLimits, new SqliteBodies(file, 100_000));
  let accepted = 0;
  let refused: Refused = { spans: 0, reason: '', isTemporary: false };
  for (let n = 1; n <= 1_000 && refused.spans === 0; n++) {
    refused = addSpans(store, demoTrace(idOf(n), startMs));
    if (refused.spans === 0) accepted = n;
  }
  assert.deepEqual(refused, {
    spans: 5,
    reason: 'the disk is full (or the store, see --store-bytes)',
    isTemporary: true,
  });
  const { traces, spans, problem } = store.counts();
  assert.deepEqual([traces, spans], [accepted, 5 * accepted]);
  assert.match(problem, /the disk is full/);
  assert.equal(store.trace(idOf(accepted + 1)), undefined);
  const view = viewOf(store);
  assert.equal(view.traces.length, accepted);
  // Again and again: nothing piles up, and what is there stays.
  for (let n = 0; n < 20; n++) addSpans(store, demoTrace(idOf(5_000 + n), startMs));
  assert.deepEqual(viewOf(store), view);
  store.close();
  const again = new TraceStore(viewerLimits, new SqliteBodies(file, 10_000_000));
  assert.deepEqual(viewOf(again), view);
  // With room there is no problem any more.
  assert.equal(addSpans(again, demoTrace(idOf(9_000), startMs)).spans, 0);
  assert.equal(again.counts().problem, '');
  again.close();
});

interface Running {
  readonly child: ChildProcess;
  readonly otlp: string;
  readonly query: string;
}

async function startProgram(t: TestContext, file: string): Promise<Running> {
  const at = ['--otlp', '127.0.0.1:0', '--query', '127.0.0.1:0'];
  const child = spawn(process.execPath, [program, 'view', ...at, '--store', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  let text = '';
  while (text.split('\n').length < 3) text += (await once(child.stdout!, 'data'))[0];
  const otlp = /spans come in at (http:\/\/[\d.:]+)\/v1/.exec(text)?.[1];
  const query = /traces are shown at (http:\/\/[\d.:]+)\//.exec(text)?.[1];
  assert.ok(otlp !== undefined && query !== undefined, text);
  return { child, otlp, query };
}

test('what was answered with success is there after kill -9', { timeout: 60_000 }, async (t) => {
  const file = join(folderOf(t), 'traces.db');
  const first = await startProgram(t, file);
  const closed = once(first.child, 'close');
  const stored: string[] = [];
  let next = 1;
  /** Sends until the viewer is gone. */
  const send = async (): Promise<void> => {
    for (;;) {
      const id = idOf(next++);
      const response = await sendSpans(first.otlp, exportBody(demoTrace(id, startMs))).catch(
        () => undefined,
      );
      if (response?.status !== 200) return;
      const { partialSuccess } = (await response.json()) as { partialSuccess: unknown };
      assert.deepEqual(partialSuccess, {});
      stored.push(id);
      if (stored.length === 200) first.child.kill('SIGKILL');
    }
  };
  await Promise.all([send(), send(), send()]);
  await closed;
  const second = await startProgram(t, file);
  for (const id of stored) {
    const response = await fetch(`${second.query}/api/v3/traces/${id}`);
    assert.equal(response.status, 200, id);
    assert.equal((await response.text()).split('"spanId"').length, 6);
  }
  second.child.kill('SIGTERM');
  const [status] = await once(second.child, 'close');
  assert.equal(status, 0);
});

/** A file with some traces, closed again. */
function filledFile(t: TestContext): string {
  const file = join(folderOf(t), 'traces.db');
  const store = new TraceStore(viewerLimits, new SqliteBodies(file, 10_000_000));
  for (let n = 1; n <= 200; n++) addSpans(store, demoTrace(idOf(n), startMs));
  store.close();
  return file;
}

function changeFile(file: string, statement: string): void {
  const database = new DatabaseSync(file);
  database.exec(statement);
  database.close();
}

test('a file whose pages or rows are damaged is one line with what to do, and status 2', {
  timeout: 60_000,
}, async (t) => {
  const damaged = (file: string): RegExp =>
    new RegExp(`^tracecar view: ${file} is damaged \\(.+\\); move it away or name another file`);
  const pages = filledFile(t);
  const bytes = readFileSync(pages);
  bytes.fill(0xa5, 4096);
  writeFileSync(pages, bytes);
  assert.match(await failure(pages), damaged(pages));
  const origins = filledFile(t);
  changeFile(origins, "UPDATE origin SET parts = '{bad'");
  assert.match(await failure(origins), damaged(origins));
  for (const statement of [
    "UPDATE origin SET parts = 'null'",
    `UPDATE origin SET parts = '{"service":1}'`,
    'UPDATE span SET row = substr(row, 1, 70)',
    'UPDATE span SET row = substr(row, 1, 72)',
    "UPDATE span SET row = x''",
    "UPDATE span SET trace = x'00'",
  ]) {
    const file = filledFile(t);
    changeFile(file, statement);
    // As the viewer does it at its start.
    assert.throws(
      () => new TraceStore(viewerLimits, new SqliteBodies(file, 10_000_000)),
      (error) => {
        assert.ok(error instanceof StoreFailure, `${statement}: ${error}`);
        assert.match(`tracecar view: ${error.message}`, damaged(file));
        return true;
      },
    );
    // It holds the file no more.
    changeFile(file, 'DELETE FROM span; DELETE FROM origin');
  }
});

test('a body that cannot be read is an empty span and a problem that stays', (t) => {
  const file = filledFile(t);
  const at = new DatabaseSync(file);
  const { rootpage } = at
    .prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'body'")
    .get() as {
    rootpage: number;
  };
  at.close();
  const bytes = readFileSync(file);
  bytes.fill(0xa5, (rootpage - 1) * 4096, rootpage * 4096);
  writeFileSync(file, bytes);
  const store = new TraceStore(viewerLimits, new SqliteBodies(file, 10_000_000));
  const trace = store.trace(idOf(7))!;
  assert.match(traceJson(store, [trace]).toString(), /"spans":\[\{\},/);
  assert.match(store.counts().problem, /traces\.db is damaged/);
  store.close();
});

async function failure(file: string): Promise<string> {
  const at = ['--otlp', '127.0.0.1:0', '--query', '127.0.0.1:0'];
  const child = spawn(process.execPath, [program, 'view', ...at, '--store', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let text = '';
  child.stderr.on('data', (chunk) => {
    text += chunk;
  });
  const [status] = await once(child, 'close');
  assert.equal(status, 2, text);
  assert.equal(text.split('\n').length, 2, text);
  return text;
}

test('a file that cannot be had is one line, and status 2', { timeout: 60_000 }, async (t) => {
  const folder = folderOf(t);
  const file = join(folder, 'traces.db');
  const bodies = new SqliteBodies(file, 1_000_000);
  assert.match(await failure(file), /traces\.db is in use: does another viewer have it\?/);
  bodies.close();
  const other = new DatabaseSync(join(folder, 'other.db'));
  other.exec('CREATE TABLE t (a)');
  other.close();
  assert.match(await failure(join(folder, 'other.db')), /is a database of another program/);
  const future = new DatabaseSync(file);
  future.exec('PRAGMA user_version = 99');
  future.close();
  assert.match(await failure(file), /from another release \(its tables have version 99, not 1\)/);
  writeFileSync(join(folder, 'text'), 'no database at all\n'.repeat(100));
  assert.match(await failure(join(folder, 'text')), /text is no SQLite database/);
  assert.match(
    await failure(join(folder, 'none', 'x.db')),
    /cannot be opened or made: is its folder/,
  );
});
