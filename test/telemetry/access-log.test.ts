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
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { failure } from '../../src/model/failure.ts';
import { telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { accessLogLine } from '../../src/telemetry/export/access-log.ts';
import { LineOutput } from '../../src/telemetry/export/line-output.ts';
import { Detected, DetectedBy } from '../../src/telemetry/record/detection.ts';
import {
  PolicyBit,
  RecordFlag,
  RecordKind,
  SampledBy,
  sampledByWords,
} from '../../src/telemetry/record/exchange-record.ts';
import { createRingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RingWriter } from '../../src/telemetry/record/ring-writer.ts';
import { RecordPipeline } from '../../src/telemetry/record-pipeline.ts';
import type { SpanSurroundings } from '../../src/telemetry/span/span-surroundings.ts';
import { untilSo, untilStill } from '../support/turns.ts';
import { inbound, outbound } from './records.ts';

const names = ['', 'reviews-route', 'v1', '10.0.0.7:9080', 'outbound|9080|v1|reviews'];

test('a line of an arrival at a gateway has its client beside the peer that has called', () => {
  const arrival = inbound({ peerAddress: '10.0.0.8', extra: 'a192.0.2.7' });
  const line = JSON.parse(accessLogLine(arrival, names, 0));
  assert.deepEqual([line.direction, line.client, line.peer], ['inbound', '192.0.2.7', '10.0.0.8']);
  assert.equal('client' in JSON.parse(accessLogLine(inbound(), names, 0)), false);
});

test('a line of what failed says what it was about', () => {
  const failed = {
    causeCode: failure['connect-refused'].code,
    extra: 'dECONNREFUSED, 10.0.0.9:80',
  };
  for (const kind of [RecordKind.Server, RecordKind.Client, RecordKind.Connection]) {
    const line = JSON.parse(accessLogLine(outbound({ kind, ...failed }), names, 0));
    assert.equal(line.detail, 'ECONNREFUSED, 10.0.0.9:80');
  }
  assert.ok(!('detail' in JSON.parse(accessLogLine(outbound(), names, 0))));
});

test('a line of a relayed connection has where it went, its bytes and its times', () => {
  const record = inbound({
    kind: RecordKind.Connection,
    flags: RecordFlag.Inbound | RecordFlag.Sampled | RecordFlag.RandomId,
    sampledBy: SampledBy.Ratio,
    method: Detected.Tls,
    join: DetectedBy.Sniffed,
    target: 'db.example',
    authority: '10.0.0.9:5432',
    userAgent: 'postgresql,h2',
    clusterId: 4,
    status: 0,
    requestBytes: 71,
    responseBytes: 9_000,
    connectUs: 120,
    connectionId: 12,
    causeCode: failure['stream-idle-timeout'].code,
  });
  assert.deepEqual(JSON.parse(accessLogLine(record, names, 1_700_000_000_000)), {
    time: '2023-11-14T22:13:21.000Z',
    direction: 'inbound',
    protocol: 'tls',
    detected_by: 'sniffed',
    destination: '10.0.0.9:5432',
    sni: 'db.example',
    alpn: 'postgresql,h2',
    cause: 'stream-idle-timeout',
    flag: 'SI',
    trace_id: '0af7651916cd43dd8448eb211c80319c',
    span_id: '00f067aa0ba902b7',
    trace_flags: '03',
    sampled_by: 'ratio',
    cluster: 'outbound|9080|v1|reviews',
    peer: '10.0.0.7',
    sent_bytes: 71,
    received_bytes: 9_000,
    total_us: 1_234,
    connect_us: 120,
    ttfb_us: 700,
    conn_id: 12,
  });
});

test('a line of a tunnel has the Host of its request, one of an unknown verdict is opaque', () => {
  const kind = RecordKind.Connection;
  const tunnel = outbound({ kind, method: Detected.WebSocket, authority: 'chat', target: '' });
  const line = JSON.parse(accessLogLine(tunnel, names, 0));
  assert.equal(line.protocol, 'websocket');
  assert.equal(line.authority, 'chat');
  assert.equal(line.direction, 'outbound');
  assert.ok(!('destination' in line) && !('detected_by' in line) && !('sni' in line));
  const unknown = outbound({ kind, method: Detected.Unknown, target: '' });
  assert.equal(JSON.parse(accessLogLine(unknown, names, 0)).protocol, 'opaque');
});

test('a line says who the peer has proved to be, and which policy did what', () => {
  const names = ['', 'spiffe://cluster.local/ns/shop/sa/web', 'shop/nobody policies.yaml:3:1'];
  const lineOf = (policyBits: number, kind: number = RecordKind.Server) => {
    const record = inbound({ kind, principalId: 1, policyId: 2, policyBits });
    const line = JSON.parse(accessLogLine(record, names, 0));
    return [line.peer_identity, line.policy, line.policy_would, line.policy_audit];
  };
  const policy = 'shop/nobody';
  assert.deepEqual(lineOf(PolicyBit.Denied), [names[1], policy, undefined, undefined]);
  assert.deepEqual(lineOf(PolicyBit.WouldDeny), [names[1], undefined, policy, undefined]);
  assert.deepEqual(lineOf(PolicyBit.Audited, RecordKind.Connection), [
    names[1],
    undefined,
    undefined,
    policy,
  ]);
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
    queueUs: 11.4,
    dnsUs: 250,
    connectUs: 30,
    tlsUs: 900,
    firstByteUs: -1,
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
    queue_us: 11,
    dns_us: 250,
    connect_us: 30,
    tls_us: 900,
    generation: 7,
  });
});

test('a line says why its trace is exported, by every reason that there is', () => {
  const words = Object.values(SampledBy).map(
    (sampledBy) => JSON.parse(accessLogLine(outbound({ sampledBy }), names, 0)).sampled_by,
  );
  assert.deepEqual(words, [...sampledByWords]);
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
      await new Promise((resolve) => setImmediate(resolve));
    }
    // The pipe takes 64 KiB and some more lines wait.
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

/** All that is in a pipe now. */
function readAvailable(readEnd: number): string {
  const block = Buffer.alloc(1 << 20);
  let text = '';
  try {
    for (;;) {
      const count = readSync(readEnd, block);
      if (count === 0) return text;
      text += block.toString('utf8', 0, count);
    }
  } catch {
    return text;
  }
}

test('what is given up is counted to the line', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = new LineOutput(openSync(path, constants.O_WRONLY), 1_000_000);
    for (let index = 0; index < 500; index++) output.add('x'.repeat(100 + (index % 900)));
    output.flush();
    await untilStill(() => output.written);
    output.giveUp();
    const lines = readAvailable(readEnd).split('\n').length - 1;
    assert.ok(lines > 50, String(lines));
    assert.deepEqual([output.written, output.dropped], [lines, 500 - lines]);
    closeSync(readEnd);
  });
});

test('at the end a slow reader is waited for, so that nothing is lost', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const lines = new LineOutput(openSync(path, constants.O_WRONLY), 200_000);
    const memory = createRingMemory(1 << 19, 1 << 19);
    const ring = new RingWriter(memory, 1_024);
    for (let index = 0; index < 2_000; index++) assert.ok(ring.write(outbound()));
    const pipeline = new RecordPipeline({
      memory,
      limits: telemetryLimits,
      clock: systemClock,
      wakeUps: systemWakeUps,
      surroundings: { names, epochMs: 0 } as unknown as SpanSurroundings,
      readNames: () => undefined,
      spans: undefined,
      lines,
      destination: '',
      warn: (text) => assert.fail(text),
    });
    const closed = pipeline.close();
    let text = '';
    // The pipe is full and more is held before anything is read.
    await untilStill(() => lines.written);
    await untilSo(() => {
      text += readAvailable(readEnd);
      return lines.written === 2_000;
    }, 'the last line');
    await closed;
    text += readAvailable(readEnd);
    assert.equal(text.split('\n').length - 1, 2_000);
    assert.equal(lines.dropped, 0);
    closeSync(readEnd);
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
    assert.deepEqual([output.written, output.dropped], [0, 2]);
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

test('a process writes one line a record to its stdout before it ends, or counts it', async () => {
  const total = 3_000;
  const child = spawn(process.execPath, [writer, `${total}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
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
  // On a machine that is very busy the two seconds for the end may not be enough for all of them.
  const { linesDropped, ringDropped } = JSON.parse(errors.trimEnd().split('\n').at(-1)!);
  assert.equal(lines.length + linesDropped + ringDropped, total);
  for (const line of lines) assert.equal(JSON.parse(line).route, 'reviews-route');
  const first = JSON.parse(lines[0]!);
  assert.equal(first.subset, 'v1');
  assert.equal(first.trace_id, '0af7651916cd43dd8448eb211c80319c');
});

test('a process whose stdout is never read still ends in time, and counts what is lost', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'pipe');
    execFileSync('mkfifo', [path]);
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writeEnd = openSync(path, constants.O_WRONLY);
    const child = spawn(process.execPath, [writer, '5000'], {
      stdio: ['ignore', writeEnd, 'pipe'],
    });
    closeSync(writeEnd);
    let errors = '';
    child.stderr!.on('data', (part) => {
      errors += part;
    });
    const [status] = await once(child, 'close');
    assert.equal(status, 0, errors);
    const said = JSON.parse(errors.trimEnd().split('\n').at(-1)!);
    assert.ok(said.closeMs < 2_100, String(said.closeMs));
    assert.ok(said.linesDropped > 0);
    const lines = readAvailable(readEnd).split('\n').length - 1;
    assert.equal(lines + said.linesDropped + said.ringDropped, 5_000);
    closeSync(readEnd);
  });
});
