/**
 * The configuration feed with real folders: what may start, and a ConfigMap volume as the kubelet
 * writes it (a hidden folder for each version, `..data` swapped by rename, links for the files).
 */

import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ManualClock } from '../../src/base/clock.ts';
import type { WakeUps } from '../../src/base/deadlines.ts';
import { type CompileJob, runCompileJob } from '../../src/config/compile-job.ts';
import { ConfigFeed } from '../../src/main/config-feed.ts';
import { StartError } from '../../src/main/listen-problem.ts';
import type { RoutingTable } from '../../src/model/routing-table.ts';
import { capturePlanOf } from '../support/tables.ts';

const bounded = { timeout: 20_000 };
/** Timers that keep the test alive while it waits for one. */
const wakeUps: WakeUps = {
  after(delayMs, call) {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-feed-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const services = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.default.svc.cluster.local]
  resolution: DNS
  ports: [{number: 9080, name: http, protocol: HTTP}]
  endpoints:
    - {address: reviews-v1.default.svc.cluster.local, labels: {version: v1}}
    - {address: reviews-v2.default.svc.cluster.local, labels: {version: v2}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
`;

function route(first: number, second: number): string {
  return `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - route:
        - {destination: {host: reviews, subset: v1}, weight: ${first}}
        - {destination: {host: reviews, subset: v2}, weight: ${second}}
`;
}

/** A volume of a ConfigMap: `publish` does what the kubelet's atomic writer does, in its order. */
class Volume {
  readonly folder: string;
  #version = 0;

  constructor(context: TestContext) {
    this.folder = makeFolder(context);
  }

  publish(files: Readonly<Record<string, string>>): void {
    const { folder } = this;
    const old = `..2026_${this.#version}`;
    this.#version += 1;
    const fresh = `..2026_${this.#version}`;
    mkdirSync(join(folder, fresh));
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(join(folder, fresh, name), text);
    }
    symlinkSync(fresh, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    const links = readdirSync(folder).filter((name) => !name.startsWith('..'));
    for (const name of Object.keys(files)) {
      if (!links.includes(name)) symlinkSync(join('..data', name), join(folder, name));
    }
    for (const name of links) if (!(name in files)) rmSync(join(folder, name));
    rmSync(join(folder, old), { recursive: true, force: true });
  }
}

/** A feed for a workload without labels; `until` waits for the table that fits. */
function makeFeed(context: TestContext, capture: 'none' | 'redirect', ...paths: string[]) {
  const tables: RoutingTable[] = [];
  const lines: string[] = [];
  const jobs: CompileJob[] = [];
  let notify = () => {};
  const feed = new ConfigFeed({
    paths,
    namespace: 'default',
    labels: {},
    capture,
    clock: new ManualClock(),
    wakeUps,
    compiler: {
      run: async (job) => {
        jobs.push(job);
        return runCompileJob(structuredClone(job), new ManualClock());
      },
      close: () => {},
    },
    log: (level, message) => {
      lines.push(`${level} ${message}`);
      notify();
    },
    apply: async (table) => {
      tables.push(table);
      notify();
    },
  });
  context.after(() => feed.close());
  const waitFor = async (isSo: () => boolean) => {
    while (!isSo()) {
      await new Promise<void>((settle) => {
        notify = settle;
      });
    }
  };
  const until = (wanted: string) => waitFor(() => weights(tables.at(-1)) === wanted);
  return { feed, tables, lines, jobs, until, waitFor };
}

/** `9080: v1 60, v2 40` of the captured listeners; empty when nothing is known. */
function weights(table: RoutingTable | undefined): string {
  return (table?.capture?.outbound ?? [])
    .map(({ port, virtualHosts }) => {
      const backends = virtualHosts.flatMap(({ rules }) => rules.flatMap((rule) => rule.backends));
      const shown = backends.map(
        ({ cluster, weight }) =>
          `${table!.clusters.find(({ name }) => name === cluster)!.subset} ${weight}`,
      );
      return `${port}: ${shown.join(', ')}`;
    })
    .join('; ');
}

test('each swap of a ConfigMap volume is followed', bounded, async (context) => {
  const volume = new Volume(context);
  volume.publish({ 'services.yaml': services, 'route.yaml': route(60, 40) });
  const { feed, tables, lines, jobs, until, waitFor } = makeFeed(
    context,
    'redirect',
    volume.folder,
  );
  await feed.start();
  assert.equal(weights(tables[0]), '9080: v1 60, v2 40');
  assert.equal(jobs.length, 0);
  feed.watch();
  volume.publish({ 'services.yaml': services, 'route.yaml': route(10, 90) });
  await until('9080: v1 10, v2 90');
  volume.publish({ 'mesh.yaml': `${services}---\n${route(20, 80)}` });
  await until('9080: v1 20, v2 80');
  // Every table but the first was made beside this thread.
  await waitFor(() => feed.counts.applied === 2);
  assert.ok(jobs.length >= 2, `${jobs.length} jobs`);
  assert.deepEqual(
    lines.filter((line) => line.startsWith('error')),
    [],
  );
});

test(
  'with capture an empty volume starts with nothing known, and files are picked up later',
  bounded,
  async (context) => {
    const volume = new Volume(context);
    const { feed, tables, lines, until, waitFor } = makeFeed(context, 'redirect', volume.folder);
    await feed.start();
    const [first] = tables;
    assert.deepEqual([first?.listeners, first?.capture], [[], capturePlanOf()]);
    feed.watch();
    volume.publish({ 'services.yaml': services, 'route.yaml': route(60, 40) });
    await until('9080: v1 60, v2 40');
    assert.equal(feed.resources, 3);
    volume.publish({});
    await until('');
    // The table follows the resources that are there (DESIGN.md, decision 5), and it is said aloud.
    await waitFor(() => lines.some((line) => line.startsWith('warn no resource is left')));
    assert.equal(feed.resources, 0);
  },
);

test('with capture a file with an error is left out, and the sidecar starts', async (context) => {
  const folder = makeFolder(context);
  writeFileSync(join(folder, 'a.yaml'), services);
  writeFileSync(join(folder, 'b.yaml'), 'kind: [');
  const { feed, tables, lines } = makeFeed(context, 'redirect', folder);
  await feed.start();
  assert.equal(weights(tables[0]), '9080:  100');
  assert.ok(lines.some((line) => /^error .*b\.yaml:\d+:\d+: error TC1010/.test(line)));
});

test(
  'with capture a mistake in a new version of a ConfigMap keeps the last good one',
  bounded,
  async (context) => {
    const volume = new Volume(context);
    volume.publish({ 'services.yaml': services, 'route.yaml': route(60, 40) });
    const { feed, tables, lines, waitFor, until } = makeFeed(context, 'redirect', volume.folder);
    await feed.start();
    feed.watch();
    volume.publish({ 'services.yaml': services, 'route.yaml': route(60, -40) });
    await waitFor(() =>
      lines.some((line) =>
        line.includes('route.yaml has an error: its last good content stays in force'),
      ),
    );
    assert.equal(weights(tables.at(-1)), '9080: v1 60, v2 40');
    volume.publish({ 'services.yaml': services, 'route.yaml': route(1, 1) });
    await until('9080: v1 1, v2 1');
  },
);

test('a path that is not there stops the start, with capture too', async (context) => {
  const missing = join(makeFolder(context), 'none');
  for (const capture of ['none', 'redirect'] as const) {
    const { feed } = makeFeed(context, capture, missing);
    await assert.rejects(feed.start(), (error) => {
      assert.ok(error instanceof StartError);
      assert.equal(error.message, `cannot read ${missing} (--config)`);
      return true;
    });
  }
});

const sidecar = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app}
spec:
  ingress:
    - port: {number: 8080, protocol: HTTP}
      defaultEndpoint: 127.0.0.1:8081
`;

test('with capture a start without files says whether there was a --config', async (context) => {
  const bare = makeFeed(context, 'redirect');
  await bare.feed.start();
  const rest = 'nothing is routed, connections pass through';
  assert.deepEqual(bare.lines, [`info no --config: ${rest}`]);
  const folder = makeFolder(context);
  const empty = makeFeed(context, 'redirect', folder);
  await empty.feed.start();
  assert.deepEqual(empty.lines, [`info no *.yaml file in ${folder} yet: ${rest}`]);
});

test('without capture an empty folder stops the start', async (context) => {
  const { feed, tables } = makeFeed(context, 'none', makeFolder(context));
  await assert.rejects(feed.start(), /no \*\.yaml file in /);
  assert.equal(tables.length, 0);
});

test('without capture a file with an error stops the start and is named', async (context) => {
  const folder = makeFolder(context);
  writeFileSync(join(folder, 'a.yaml'), sidecar);
  writeFileSync(join(folder, 'b.yaml'), services.replace('DNS', 'DSN'));
  const { feed, tables } = makeFeed(context, 'none', folder);
  await assert.rejects(feed.start(), (error) => {
    assert.ok(error instanceof StartError);
    const file = join(folder, 'b.yaml');
    assert.equal(error.message, `${file} has an error: \`tracecar validate ${folder}\` explains`);
    return true;
  });
  assert.equal(tables.length, 0);
});

test('without capture files that leave no listener never replace those that have one', async (context) => {
  const folder = makeFolder(context);
  writeFileSync(join(folder, 'a.yaml'), sidecar);
  const { feed, tables, lines } = makeFeed(context, 'none', folder);
  await feed.start();
  rmSync(join(folder, 'a.yaml'));
  await feed.reload();
  assert.equal(tables.length, 1);
  assert.match(lines.at(-1)!, /^error .*; what ran before stays in force$/);
});

test(
  'a large configuration is read beside this thread from the start',
  bounded,
  async (context) => {
    const volume = new Volume(context);
    const padding = `# ${'x'.repeat(78)}\n`.repeat(400);
    volume.publish({ 'services.yaml': padding + services, 'route.yaml': route(60, 40) });
    const { feed, tables, jobs, until } = makeFeed(context, 'redirect', volume.folder);
    await feed.start();
    assert.equal(weights(tables[0]), '9080: v1 60, v2 40');
    assert.equal(jobs.length, 1);
    feed.watch();
    volume.publish({ 'services.yaml': padding + services, 'route.yaml': route(10, 90) });
    await until('9080: v1 10, v2 90');
  },
);

test('a start that is called off while a large configuration is read ends in peace', async (context) => {
  const folder = makeFolder(context);
  writeFileSync(join(folder, 'large.yaml'), `# ${'x'.repeat(78)}\n`.repeat(400) + services);
  const { feed, tables } = makeFeed(context, 'redirect', folder);
  const started = feed.start();
  feed.close();
  await started;
  assert.deepEqual(tables, []);
});
