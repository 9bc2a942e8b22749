/** `tracecar validate`: what it prints, and its exit status. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { UsageError } from '../../src/main/flags.ts';
import { runValidate } from '../../src/main/validate.ts';

const example = join(import.meta.dirname, '../../examples/ab-rollout');

async function run(...args: string[]): Promise<{ status: number; text: string }> {
  let text = '';
  const status = await runValidate(args, (piece) => {
    text += piece;
  });
  return { status, text };
}

function makeFolder(context: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-validate-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const sidecar = `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web}
spec:
  workloadSelector: {labels: {app: web}}
  egress:
    - {port: {number: 1, protocol: HTTP}, hosts: ["./*"]}
    - {port: {number: 1, protocol: HTTP}, hosts: ["./*"]}
`;

test('the example is clean', async () => {
  const { status, text } = await run(example);
  assert.equal(text, '0 errors, 0 warnings in 4 files\n');
  assert.equal(status, 0);
});

test("mistakes of every Sidecar's view are found without --labels", async (context) => {
  const folder = makeFolder(context, { 'a.yaml': sidecar, 'b.yaml': 'x: [' });
  const { status, text } = await run(folder);
  assert.equal(status, 1);
  assert.match(text, /a\.yaml:8:14: error TC1508: .*\n {5}8 \| .*\n {7}\| {14}\^\n {7}= Give/);
  assert.match(text, /b\.yaml:.*TC1010/);
  assert.match(text, /\n\d errors, 0 warnings in 2 files\n$/);
});

test('with --labels the view of that workload is checked', async (context) => {
  const folder = makeFolder(context, { 'a.yaml': sidecar });
  const { status, text } = await run(folder, '--labels', 'app=other');
  assert.equal(status, 0);
  assert.match(text, /warning TC1513: No Sidecar of namespace default .*app=other/);
  assert.equal((await run(folder, '--labels', 'app=web')).status, 1);
});

test('JSON output holds every diagnostic', async (context) => {
  const folder = makeFolder(context, { 'a.yaml': sidecar });
  const { status, text } = await run(folder, '--output', 'json');
  assert.equal(status, 1);
  const report = JSON.parse(text);
  assert.deepEqual([report.errors, report.warnings, report.files], [1, 0, 1]);
  assert.equal(report.diagnostics[0].code, 'TC1508');
});

test('a resource with a mistake is not missed by those that refer to it', async (context) => {
  const service = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.example.com], resolution: DNS, ports: [{number: 80, name: http}], foo: 1}
`;
  const route = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec: {hosts: [a.example.com], http: [{route: [{destination: {host: a.example.com}}]}]}
`;
  const folder = makeFolder(context, { 'a.yaml': service, 'b.yaml': route });
  const { text } = await run(folder, '--output', 'json');
  const { diagnostics } = JSON.parse(text);
  assert.deepEqual(
    diagnostics.map(({ code }: { code: string }) => code),
    ['TC1201'],
  );
});

test('a double name is found although each file has a mistake of its own', async (context) => {
  const entry = (extra: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.example.com], resolution: DNS, ports: [{number: 80, name: http}]${extra}}
`;
  const folder = makeFolder(context, {
    'a.yaml': entry(', foo: 1'),
    'b.yaml': entry(''),
    'c.yaml': entry(', bar: 1'),
  });
  const { text } = await run(folder, '--output', 'json');
  const { diagnostics } = JSON.parse(text);
  assert.deepEqual(
    diagnostics.map(
      ({ file, code }: { file: string; code: string }) => `${file.slice(-6)} ${code}`,
    ),
    ['a.yaml TC1201', 'b.yaml TC1501', 'c.yaml TC1501', 'c.yaml TC1201'],
  );
  // The first one is in a file that is refused as a whole: nobody may be told that it counts.
  assert.doesNotMatch(text, /which counts/);
});

test('a path that does not exist is an error, no path is a mistake in usage', async (context) => {
  const { status, text } = await run('/nowhere/at/all');
  assert.equal(status, 1);
  assert.match(text, /^\/nowhere\/at\/all: error TC1001: There is no such file or folder/);
  const empty = await run(makeFolder(context, {}));
  assert.equal(empty.status, 1);
  assert.match(empty.text, /TC1007: There is no \*\.yaml/);
  await assert.rejects(run(), UsageError);
  await assert.rejects(run(example, '--lables', 'app=web'), UsageError);
});
