/**
 * The demo's mesh on ports of its own: nine processes, counted by what each of them received.
 */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { drawTrace } from '../../examples/ab-rollout/driver/draw.ts';
import { Load } from '../../examples/ab-rollout/driver/load.ts';
import { type Measured, measure } from '../../examples/ab-rollout/driver/measure.ts';
import { type Mesh, startMesh } from '../../examples/ab-rollout/driver/mesh.ts';
import { type DemoPlan, readPlan } from '../../examples/ab-rollout/driver/plan.ts';
import { copyOnFreePorts } from './demo-copy.ts';
import { getUntil } from './sidecar-process.ts';

const requests = 300;
const losses: string[] = [];
let folder: { path: string; remove(): void };
let plan: DemoPlan;
let mesh: Mesh;
let load: Load;
let measured: Measured;

before(async () => {
  folder = await copyOnFreePorts();
  plan = readPlan(folder.path);
  mesh = await startMesh(
    plan,
    folder.path,
    () => {},
    (lastWords) => losses.push(lastWords),
  );
  load = new Load(plan.workloads[0]!.inbound, 8);
  measured = await measure(plan, mesh, load, { requests, concurrency: 8 }, () => {});
});

after(async () => {
  load?.close();
  await mesh?.end();
  folder?.remove();
  assert.deepEqual(losses, []);
});

test('no request fails, and each is answered as itself', () => {
  assert.deepEqual(measured.problems, []);
  assert.equal(measured.figures.failed, 0);
});

test('the split is exact over windows of the weights', () => {
  assert.deepEqual(
    [...plan.configured],
    [
      ['v1', 0.6],
      ['v2', 0.4],
    ],
  );
  assert.deepEqual(measured.figures.split, { v1: requests * 0.6, v2: requests * 0.4 });
});

test('every request has its whole trace, with no wrong parent', () => {
  assert.deepEqual(measured.figures.traces, {
    started: requests,
    complete: requests,
    wrongParents: 0,
  });
});

test('one trace is drawn as a waterfall of five spans', async () => {
  const picture = await drawTrace(mesh.viewer, measured.sampleTrace!);
  for (const service of ['web', 'reviews', 'ratings']) assert.match(picture, new RegExp(service));
  assert.ok(picture.trim().split('\n').length >= 5, picture);
});

/** Puts a file back however the test ends, and waits until that is in effect. */
async function withEdit(
  edit: (yaml: string) => string,
  run: (web: string, generation: number) => Promise<void>,
): Promise<void> {
  const file = plan.weightsFile;
  const yaml = readFileSync(file, 'utf8');
  const web = mesh.sidecars[0]!.admin;
  const { generation } = await getUntil<{ generation: number }>(web, '/config', () => true);
  writeFileSync(file, edit(yaml));
  try {
    await run(web, generation);
  } finally {
    writeFileSync(file, yaml);
  }
}

test('edited weights shift the traffic, and no request fails', async () => {
  const answers: { version: string; problem: string }[] = [];
  let isOver = false;
  const worker = async () => {
    while (!isOver) answers.push(await load.sendOne());
  };
  const workers = Array.from({ length: 4 }, worker);
  const edit = (yaml: string) =>
    yaml.replace(/weight: 60/, 'weight: 0').replace(/weight: 40/, 'weight: 100');
  await withEdit(edit, async (web, before) => {
    const isNext = ({ generation }: { generation: number }) => generation > before;
    await getUntil(web, '/config', isNext);
    // A window of responses that all began after the swap.
    const from = answers.length + 8;
    while (answers.length < from + 100) await load.sendOne();
    isOver = true;
    await Promise.all(workers);
    assert.deepEqual(
      answers.filter(({ problem }) => problem !== ''),
      [],
    );
    assert.ok(answers.slice(from).every(({ version }) => version === 'v2'));
  });
  // The file that was put back is in effect when the other version answers again.
  for (let answer = await load.sendOne(); answer.version !== 'v1'; ) answer = await load.sendOne();
});

test('a broken file under load changes nothing but the diagnostics', async () => {
  const edit = (yaml: string) => yaml.replace(/weight: 60/, 'weight: lots');
  const web = mesh.sidecars[0]!.admin;
  await withEdit(edit, async (_, before) => {
    const { generation, diagnostics } = await getUntil<{
      generation: number;
      diagnostics: { severity: string; path: string; file: string; line: number }[];
    }>(web, '/config', (config) => config.diagnostics.length > 0);
    assert.equal(generation, before);
    assert.equal(diagnostics[0]!.severity, 'error');
    assert.equal(diagnostics[0]!.file, plan.weightsFile);
    assert.match(diagnostics[0]!.path, /weight$/);
    const split: Record<string, number> = {};
    for (let sent = 0; sent < 50; sent += 1) {
      const { version, problem } = await load.sendOne();
      assert.equal(problem, '');
      split[version] = (split[version] ?? 0) + 1;
    }
    assert.deepEqual(split, { v1: 30, v2: 20 });
  });
  await getUntil<{ diagnostics: unknown[] }>(web, '/config', (config) => {
    return config.diagnostics.length === 0;
  });
});

test('the applications hold no tracing code', () => {
  const applications = resolve(import.meta.dirname, '../../examples/ab-rollout/apps');
  for (const name of readdirSync(applications)) {
    const code = readFileSync(join(applications, name), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
    assert.doesNotMatch(code, /trace|tracecar|x-request-id|opentelemetry|headers\[/i, name);
  }
});
