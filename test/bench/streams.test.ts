/**
 * The second upstream and its caller: each kind of stream is carried and counted, and what is wrong is said.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Histogram } from '../../bench/load/histogram.ts';
import {
  type StreamAnswer,
  type StreamOrder,
  streamKinds,
} from '../../bench/load/stream-caller.ts';
import { Summary } from '../../bench/result/summary.ts';
import { reportStreams, StreamPoint } from '../../bench/scenarios/streams-report.ts';
import { Children } from '../../bench/stage/children.ts';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { latencyRow, resultOf } from './scenario-case.ts';

const load = join(import.meta.dirname, '../../bench/load');
const children = new Children();
let ports: readonly number[];

before(async () => {
  ports = await freePorts(2);
  const backend = children.start({
    command: process.execPath,
    args: [join(load, 'stream-backend.ts'), ...ports.map(String)],
    core: undefined,
    directory: tmpdir(),
  });
  await backend.says('open');
});
after(() => children.stopAll());

function call(order: Omit<StreamOrder, 'host'>) {
  const args = [join(load, 'stream-caller.ts'), JSON.stringify({ host: '127.0.0.1', ...order })];
  return spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
}

for (const kind of streamKinds) {
  test(`${kind}: as many times as were asked for, each longer than nothing`, () => {
    const port = ports[kind === 'http2' ? 1 : 0]!;
    const { status, stdout, stderr } = call({ kind, port, count: 5 });
    assert.equal(status, 0, stderr);
    const histogram = new Histogram();
    histogram.add((JSON.parse(stdout) as StreamAnswer).times);
    assert.equal(histogram.total, 5);
    assert.ok(histogram.percentile(0) > 0);
  });
}

test('a caller whose connection is refused says so and fails', async () => {
  const [port] = await freePorts(1);
  for (const kind of streamKinds) {
    const { status, stderr } = call({ kind, port: port!, count: 1 });
    assert.deepEqual([status, stderr === ''], [1, false], kind);
  }
});

test('streams are told over direct, and the upgrade as a multiple of the plain request', () => {
  const us = { direct: 100, tracecar: 150, haproxy: 130 };
  const rows = [0, 1, 2].flatMap((round) =>
    Object.entries(us).flatMap(([arm, each]) => [
      latencyRow(arm, StreamPoint.H1, round, each),
      latencyRow(arm, StreamPoint.WebSocket, round, each / 2),
    ]),
  );
  const { tables } = reportStreams(new Summary(resultOf('streams', Object.keys(us), rows)));
  const [added, relative] = tables;
  assert.deepEqual(added!.columns.slice(2), [
    'tracecar: p50',
    'tracecar: p99',
    'haproxy: p50',
    'haproxy: p99',
  ]);
  assert.match(added!.rows[1]![2]!, /^25 \[/);
  assert.match(relative!.rows[0]![2]!, /^0\.50 \[/);
  // HTTP/2 was not measured here.
  assert.deepEqual(new Set(added!.rows.at(-1)!.slice(1)), new Set(['-']));
});
