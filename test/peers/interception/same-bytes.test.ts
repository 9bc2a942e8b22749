/**
 * The same bytes with and without sidecars (B7, B8): what the server gets and what the caller gets,
 * through two sidecars and none, less the fields of tracing, and how the connection ends.
 */

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { mesh } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { byteCases } from './same-bytes.ts';

const skip = skipWithout(import.meta.filename, whyNoPods());

const program = resolve(import.meta.dirname, 'script-peer.cjs');
const folder = mkdtempSync(join(tmpdir(), 'tracecar-bytes-'));
const file = join(folder, 'cases.json');
const families = ['v4', 'v6'] as const;

interface End {
  readonly name: string;
  readonly received: string;
  readonly ending: string;
  /** The step that waited in vain. */
  readonly stuck?: number;
}

interface Both {
  readonly client: End;
  readonly server: End;
}

let network: PodNetwork | undefined;
let client: Pod;
let server: Pod;
let serving: PodProcess;
/** By family and case. */
const direct = new Map<string, Both>();
const meshed = new Map<string, Both>();

/** By case; a connection that was dialled for nothing has less to tell than the one that was used. */
function ends(lines: readonly string[]): Map<string, End> {
  const found = new Map<string, End>();
  for (const end of lines.map((line) => JSON.parse(line) as End)) {
    const known = found.get(end.name);
    if (known === undefined || known.received.length <= end.received.length) {
      found.set(end.name, end);
    }
  }
  return found;
}

async function playAll(into: Map<string, Both>): Promise<void> {
  for (const family of families) {
    const seen = serving.lines.length;
    const command = [process.execPath, program, 'call', file, server[family]];
    const { output, errors } = await client.finish(users.app, command, { timeoutMs: 60_000 });
    assert.match(output, /done\n$/, errors);
    const calls = output.split('\n').filter((line) => line.startsWith('{'));
    const callers = ends(calls);
    const servers = await serving.until(() => {
      const found = ends(serving.lines.slice(seen));
      return found.size === byteCases.length ? found : undefined;
    }, 'a line about each case');
    for (const { name } of byteCases) {
      into.set(`${family} ${name}`, { client: callers.get(name)!, server: servers.get(name)! });
    }
  }
}

/** Spans are made, which nobody takes: so the two sidecars say all that they ever do to each other. */
const tracing = {
  OTEL_TRACES_EXPORTER: 'otlp',
  OTEL_METRICS_EXPORTER: 'none',
  OTEL_TRACES_SAMPLER: 'parentbased_always_off',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
};

async function playTwice(): Promise<void> {
  if (skip !== false) return;
  const cases = byteCases.map((each, index) => ({ ...each, port: 20_000 + index }));
  writeFileSync(file, JSON.stringify(cases));
  chmodSync(folder, 0o755);
  network = makePods(2);
  [client, server] = network.pods as [Pod, Pod];
  serving = server.start(users.app, [process.execPath, program, 'serve', file]);
  await serving.says(/^open/);
  await playAll(direct);
  await Promise.all([mesh(client, 'client', [], tracing), mesh(server, 'server', [], tracing)]);
  await playAll(meshed);
}

// A case that never reaches the server would be waited for without end.
before(playTwice, { timeout: 90_000 });

after(async () => {
  await network?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What a sidecar is allowed to add. */
const added = /^(traceparent|tracestate|x-request-id):.*\r\n/gim;

for (const { name } of byteCases) {
  test(`the same bytes: ${name}`, { skip }, () => {
    for (const family of families) {
      const without = direct.get(`${family} ${name}`)!;
      const withTwo = meshed.get(`${family} ${name}`)!;
      assert.equal(without.client.stuck ?? without.server.stuck, undefined, 'it holds directly');
      const got = withTwo.server.received.replace(added, '');
      assert.equal(got, without.server.received, 'what the server got');
      assert.equal(withTwo.client.received, without.client.received, 'what the caller got');
      assert.equal(withTwo.client.ending, without.client.ending, 'how it ended for the caller');
      // The server's own connection may be kept for the next caller.
      if (name.startsWith('no HTTP')) assert.equal(withTwo.server.ending, without.server.ending);
    }
  });
}
