/**
 * The access log: what a line says, and how lines get to a reader that is quick, slow, stuck or gone.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { failure } from '../../src/model/failure.ts';
import { accessLogLine } from '../../src/telemetry/access-log.ts';
import { RecordFlag, RecordKind, SampledBy } from '../../src/telemetry/exchange-record.ts';
import { LineOutput } from '../../src/telemetry/line-output.ts';
import { inbound, outbound } from './records.ts';

const names = ['', 'reviews-route', 'v1', '10.0.0.7:9080', 'outbound|9080|v1|reviews'];

test('a line of a relayed connection has where it went, its bytes and its times', () => {
  const record = inbound({
    kind: RecordKind.Connection,
    flags: RecordFlag.Inbound,
    authority: '10.0.0.9:5432',
    requestBytes: 71,
    responseBytes: 9_000,
    connectUs: 120,
    connectionId: 12,
    causeCode: failure['stream-idle-timeout'].code,
  });
  assert.deepEqual(JSON.parse(accessLogLine(record, names, 1_700_000_000_000)), {
    time: '2023-11-14T22:13:21.000Z',
    direction: 'inbound',
    protocol: 'opaque',
    destination: '10.0.0.9:5432',
    cause: 'stream-idle-timeout',
    flag: 'SI',
    peer: '10.0.0.7',
    sent_bytes: 71,
    received_bytes: 9_000,
    total_us: 1_234,
    connect_us: 120,
    ttfb_us: 700,
    conn_id: 12,
  });
});

test('a line of a failed outbound attempt has ids, cause, route and times', () => {
  const record = outbound({
    flags: RecordFlag.Sampled | RecordFlag.RandomId,
    sampledBy: SampledBy.Parent,
    status: 0,
    causeCode: failure['connect-refused'].code,
    routeId: 1,
    subsetId: 2,
    endpointId: 3,
    clusterId: 4,
    weight: 60,
    attempt: 1,
    generation: 7,
    firstByteUs: -1,
    queueUs: 5,
    target: '/reviews/7?sig=s3cret&a=1',
    userAgent: 'curl/8 "quoted"\u0007',
  });
  const line = accessLogLine(record, names, 1_700_000_000_000);
  assert.ok(!line.includes('\n') && !line.includes('\u0007'));
  assert.deepEqual(JSON.parse(line), {
    time: '2023-11-14T22:13:21.000Z',
    direction: 'outbound',
    method: 'GET',
    authority: 'reviews:9080',
    path: '/reviews/7',
    query: 'sig=REDACTED&a=1',
    protocol: 'HTTP/1.1',
    cause: 'connect-refused',
    flag: 'UF',
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: '00f067aa0ba902b7',
    trace_flags: '03',
    sampled_by: 'parent',
    route: 'reviews-route',
    rule: 0,
    cluster: 'outbound|9080|v1|reviews',
    subset: 'v1',
    weight: 60,
    endpoint: '10.0.0.7:9080',
    attempt: 1,
    peer: '10.0.0.7',
    user_agent: 'curl/8 "quoted"\u0007',
    request_bytes: 0,
    response_bytes: 0,
    total_us: 1234,
    queue_us: 5,
    generation: 7,
  });
});

test('a line without a trace has no ids', () => {
  const record = inbound({ traceId0: 0, traceId1: 0, traceId2: 0, traceId3: 0, spanId0: 5 });
  const line = JSON.parse(accessLogLine(record, names, 0));
  assert.equal(line.direction, 'inbound');
  assert.equal(line.status, 200);
  assert.ok(!('trace_id' in line) && !('span_id' in line) && !('trace_flags' in line));
});

/** Runs `use` with a folder that is removed afterwards. */
async function withFolder(use: (folder: string) => Promise<void> | void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-lines-'));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('lines to a file are there after flush', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'log');
    const fd = openSync(path, 'w');
    const output = new LineOutput(fd, 1_000);
    output.add('one');
    output.add('two');
    assert.equal(readFileSync(path, 'utf8'), '');
    output.flush();
    assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\n');
    await output.end();
    closeSync(fd);
  });
});

test('a pipe that nobody reads holds up to the limit, then lines are dropped', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(path, constants.O_WRONLY);
    const output = new LineOutput(writeEnd, 10_000);
    const line = 'x'.repeat(999);
    for (let index = 0; index < 500; index++) {
      output.add(line);
      output.flush();
    }
    // The pipe takes 64 KiB and 10 more lines wait.
    assert.ok(output.dropped > 400 && output.dropped < 450, String(output.dropped));
    const ended = output.end();
    const block = Buffer.alloc(1 << 20);
    let bytes = 0;
    while (bytes < (500 - output.dropped) * 1_000) {
      try {
        bytes += readSync(readEnd, block);
      } catch {
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    await ended;
    assert.equal(bytes, (500 - output.dropped) * 1_000);
    closeSync(readEnd);
    closeSync(writeEnd);
  });
});

test('a reader that is gone costs the lines, nothing else', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(path, constants.O_WRONLY);
    const output = new LineOutput(writeEnd, 10_000);
    closeSync(readEnd);
    output.add('lost');
    output.flush();
    await new Promise((resolve) => setImmediate(resolve));
    output.add('counted');
    output.flush();
    await output.end();
    assert.equal(output.dropped, 1);
    closeSync(writeEnd);
  });
});

test('a descriptor that is closed costs the lines, nothing else', () => {
  const output = new LineOutput(9_999, 1_000);
  output.add('lost');
  output.flush();
  assert.equal(output.dropped, 1);
});

const writer = join(import.meta.dirname, 'access-log-writer.ts');

test('a process writes one line a record to its stdout, all before it ends', async () => {
  const child = spawn(process.execPath, [writer, '300'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let errors = '';
  child.stdout.on('data', (part) => {
    out += part;
  });
  child.stderr.on('data', (part) => {
    errors += part;
  });
  const [status] = await once(child, 'close');
  assert.equal(status, 0, errors);
  const lines = out.trimEnd().split('\n');
  assert.equal(JSON.parse(errors).linesDropped, 0);
  assert.equal(lines.length, 300);
  const first = JSON.parse(lines[0]!);
  assert.equal(first.route, 'reviews-route');
  assert.equal(first.subset, 'v1');
  assert.equal(first.trace_id, '0af7651916cd43dd8448eb211c80319c');
});

test('a process whose stdout is never read still ends in time', async () => {
  const child = spawn(process.execPath, [writer, '5000'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (part) => {
    errors += part;
  });
  const [status] = await once(child, 'exit');
  assert.equal(status, 0, errors);
  const { closeMs, linesDropped } = JSON.parse(errors.trimEnd().split('\n').at(-1)!);
  assert.ok(closeMs < 2_100, String(closeMs));
  assert.ok(linesDropped > 0);
  child.stdout.destroy();
});
