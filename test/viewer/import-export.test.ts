/**
 * `--export FILE` and `--import FILE`: a trace goes from one viewer to another as a line of OTLP JSON.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import { readViewSettings } from '../../src/main/view-settings.ts';
import { showTrace } from '../../src/main/view-trace.ts';
import { viewerLimits } from '../../src/model/limits.ts';
import { ImportFailure } from '../../src/viewer/otlp-import.ts';
import { ViewerServer } from '../../src/viewer/viewer-server.ts';
import { demoTrace, exportBody, sendSpans } from './span-fixtures.ts';
import { startViewer } from './viewer-fixture.ts';

const startMs = 1_795_627_913_000;
const ids = ['1', '2'].map((digit) => digit.repeat(32));
const requests = ids.map((id) => exportBody(demoTrace(id, startMs)));

function fileOf(t: TestContext, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-import-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'traces.json');
  writeFileSync(file, text);
  return file;
}

/** Starts a viewer with the file; gives what it says of it and the traces it has then. */
async function importInto(t: TestContext, file: string, limits = viewerLimits) {
  const server = new ViewerServer();
  t.after(() => server.close());
  const at = { address: '127.0.0.1', port: 0 };
  const { queryPort, imported } = await server.start({
    otlpAddress: at,
    queryAddress: at,
    clock: new ManualClock(),
    limits,
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
    ['', [], 0],
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

test('flags of a server and of a client do not mix', () => {
  assert.throws(() => readViewSettings(['--export', 'x'], {}), /--export goes with --trace ID/);
  for (const flag of ['--store', '--import']) {
    const args = ['--trace', 'a', flag, 'x'];
    assert.throws(() => readViewSettings(args, {}), /does not go with --trace ID/);
  }
});
