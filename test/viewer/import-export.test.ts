/**
 * `--export FILE` and `--import FILE`: a trace goes from one viewer to another as a line of OTLP JSON.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ManualClock } from '../../src/base/clock.ts';
import { readViewSettings } from '../../src/main/view-settings.ts';
import { showTrace } from '../../src/main/view-trace.ts';
import { viewerLimits } from '../../src/model/viewer-limits.ts';
import { ImportFailure } from '../../src/viewer/otlp-import.ts';
import type { SpanBodies } from '../../src/viewer/span-bodies.ts';
import { SqliteBodies } from '../../src/viewer/sqlite-bodies.ts';
import { ViewerServer } from '../../src/viewer/viewer-server.ts';
import { demoTrace, exportBody, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const startMs = 1_795_627_913_000;
const ids = ['1', '2'].map((digit) => digit.repeat(32));
const requests = ids.map((id) => exportBody(demoTrace(id, startMs)));

function fileOf(t: TestContext, text: string | Buffer): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-import-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'traces.json');
  writeFileSync(file, text);
  return file;
}

/** Starts a viewer with the file; gives what it says of it and the traces it has then. */
async function importInto(
  t: TestContext,
  file: string,
  limits = viewerLimits,
  bodies?: SpanBodies,
) {
  const server = new ViewerServer();
  t.after(() => server.close());
  const at = { address: '127.0.0.1', port: 0 };
  const { queryPort, imported } = await server.start({
    otlpAddress: at,
    queryAddress: at,
    clock: new ManualClock(),
    limits,
    bodies,
    importFile: file,
  });
  const found: string[] = [];
  for (const id of ids) {
    const response = await fetch(`http://127.0.0.1:${queryPort}/api/v3/traces/${id}`);
    if (response.status === 200) found.push(id);
  }
  return { imported, found };
}

async function exportTrace(query: string, id: string, file: string): Promise<number> {
  const settings = readViewSettings(['--trace', id, '--query', query, '--export', file], {});
  assert.equal(settings.kind, 'show');
  return settings.kind === 'show' ? showTrace(settings) : -1;
}

test('an exported trace is imported whole', async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  await sendSpans(viewer.otlp, requests[0]);
  const file = fileOf(t, '');
  assert.equal(await exportTrace(viewer.query, ids[0]!, file), 0);
  const text = readFileSync(file, 'utf8');
  assert.equal(text.split('\n').length, 2);
  const answer = await fetch(`${viewer.query}/api/v3/traces/${ids[0]}`);
  const { result } = (await answer.json()) as { result: unknown };
  assert.deepEqual(JSON.parse(text), result);
  const { imported, found } = await importInto(t, file);
  assert.deepEqual([imported?.documents, imported?.rejected, found], [1, 0, [ids[0]]]);
});

test('a file that cannot be written is told', async (t) => {
  const viewer = await startViewer();
  t.after(() => viewer.close());
  await sendSpans(viewer.otlp, requests[0]);
  const file = join(fileOf(t, ''), 'below-a-file');
  await assert.rejects(exportTrace(viewer.query, ids[0]!, file), {
    name: 'StartError',
    message: /below-a-file cannot be written: ENOTDIR/,
  });
});

test('lines, one document over many lines, and answers of the query API are read', async (t) => {
  const lines = requests.map((each) => JSON.stringify(each));
  const cases: readonly (readonly [string, readonly string[], number])[] = [
    [`${lines.join('\n')}\n`, ids, 2],
    [`\n${lines.join('\r\n\n')}`, ids, 2],
    [JSON.stringify(requests[0], null, 2), [ids[0]!], 1],
    [`${JSON.stringify({ result: requests[1] }, null, 2)}\n\n`, [ids[1]!], 1],
    [`{"result":${lines[0]}}\n{"result":${lines[1]}}\n`, ids, 2],
    [`\ufeff${lines[0]}\n`, [ids[0]!], 1],
    [`\ufeff${JSON.stringify(requests[0], null, 2)}`, [ids[0]!], 1],
    // As a collector's file exporter mixes them.
    [`{"resourceMetrics":[]}\n${lines[0]}\n{"resourceLogs":[]}\n`, [ids[0]!], 3],
  ];
  for (const [text, wanted, documents] of cases) {
    const { imported, found } = await importInto(t, fileOf(t, text));
    assert.deepEqual([found, imported?.documents], [wanted, documents], text.slice(0, 60));
  }
});

test('spans that are none are counted, with the reason', async (t) => {
  const bad = { resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: 'x' }] }] }] };
  const { imported } = await importInto(t, fileOf(t, JSON.stringify(bad)));
  assert.deepEqual([imported?.documents, imported?.rejected], [1, 1]);
  assert.match(imported!.reason, /traceId is not 32 hex digits/);
});

test('what is no OTLP JSON is refused, with its line, and the viewer does not start', async (t) => {
  const line = JSON.stringify(requests[0]);
  const cases: readonly (readonly [string, RegExp])[] = [
    [`${line}\n{"resourceSpans":\n`, /traces\.json, line 2 is not OTLP JSON: the body is not JSON/],
    [`${line}\n[]`, /line 2 is not OTLP JSON: the body is not an object with a list/],
    ['some\ntext\n', /traces\.json is not OTLP JSON/],
  ];
  for (const [text, message] of cases) {
    await assert.rejects(importInto(t, fileOf(t, text)), { name: 'ImportFailure', message });
  }
  const limits = { ...viewerLimits, ingestDecodedBytesMax: 1_000 };
  await assert.rejects(importInto(t, fileOf(t, line), limits), /a document of over 1000 bytes/);
  await assert.rejects(importInto(t, '/nonexistent'), (error) => {
    assert.ok(error instanceof ImportFailure);
    assert.equal(error.message, '/nonexistent cannot be read: there is no such file');
    return true;
  });
  await assert.rejects(importInto(t, tmpdir()), /it is a folder/);
});

test('a file without spans is refused by what it is, with the shape that is wanted', async (t) => {
  const wanted = '--import takes OTLP JSON, {"resourceSpans":[...]}';
  const viewer = await startViewer();
  t.after(() => viewer.close());
  await sendSpans(viewer.otlp, requests[0]);
  const older = await (await fetch(`${viewer.query}/api/traces/${ids[0]}`)).text();
  const absent = await (await fetch(`${viewer.query}/api/v3/traces/${ids[1]}`)).text();
  const line = JSON.stringify(requests[0]);
  const cases: readonly (readonly [string | Buffer, RegExp])[] = [
    ['', /traces\.json has no spans/],
    ['\ufeff\n \n', /has no spans/],
    ['{"resourceSpans":[]}', /has no spans/],
    ['{"resourceMetrics":[]}\n', /has no spans/],
    ['{}', /it is an empty object/],
    ['{"foo":1,"b\\u001br":2}', /no "resourceSpans", but "foo", "b.*r"/],
    [JSON.stringify({ name: 'x', version: '1' }, null, 2), /but "name", "version"/],
    [older, /it is an answer of Jaeger's older API \(\/api\/traces\/ID\)/],
    [absent, /it is an error that a query API answered/],
    [`${line}\n{"foo":1}\n`, /traces\.json, line 2 is not OTLP JSON: it has no "resourceSpans"/],
    [gzipSync(line), /it is gzip; unpack it first/],
    [Buffer.from(line.replace('"web"', '"\u00ff"'), 'latin1'), /the body is not UTF-8/],
  ];
  for (const [text, message] of cases) {
    await assert.rejects(importInto(t, fileOf(t, text)), (error) => {
      assert.ok(error instanceof ImportFailure);
      assert.match(error.message, message);
      assert.ok(error.message.includes(wanted), error.message);
      assert.match(error.message, /^[\x20-\x7e]*$/);
      return true;
    });
  }
});

test('a store without room is what is told, and not that the file is bad', async (t) => {
  const many = Array.from({ length: 200 }, (_, at) => {
    return demoTrace((at + 1).toString(16).padStart(32, '0'), startMs);
  });
  const file = fileOf(t, JSON.stringify(exportBody(many.flat())));
  const bodies = new SqliteBodies(join(fileOf(t, ''), '..', 'traces.db'), 10_000);
  await assert.rejects(importInto(t, file, viewerLimits, bodies), {
    name: 'ImportFailure',
    message: /traces\.json cannot be imported: the disk is full \(or the store/,
  });
});

test('flags of a server and of a client do not mix', () => {
  assert.throws(() => readViewSettings(['--export', 'x'], {}), /--export goes with --trace ID/);
  for (const flag of ['--store', '--import']) {
    const args = ['--trace', 'a', flag, 'x'];
    assert.throws(() => readViewSettings(args, {}), /does not go with --trace ID/);
  }
});

test('a user and a password in --query are refused, not dropped', () => {
  for (const user of ['u:p@', 'u@', ':p@']) {
    const args = ['--trace', 'a', '--query', `http://${user}127.0.0.1:1`];
    assert.throws(() => readViewSettings(args, {}), /--query takes no user and no password/);
  }
});

test('variables of the server that runs beside it do not keep a trace from being printed', () => {
  const environment = { TRACECAR_STORE: '/x/y.db', TRACECAR_STORE_BYTES: '1g' };
  const settings = readViewSettings(['--trace', 'a'], environment);
  assert.equal(settings.kind, 'show');
  assert.throws(
    () => readViewSettings(['--trace', 'a', '--store', 'x'], environment),
    /--store does not go with --trace ID/,
  );
});
