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

test('a path that is not there is a mistake in usage, with what was probably meant', async (context) => {
  const folder = makeFolder(context, { 'routes.yaml': sidecar });
  const cases: readonly (readonly [string, RegExp])[] = [
    ['/nowhere/at/all', /^cannot read \/nowhere\/at\/all: there is no such file or folder$/],
    [join(folder, 'rotues.yaml'), /no such file or folder; did you mean .*\/routes\.yaml\?$/],
    ['exmaples/nothing-near', /; a relative path begins at \//],
    [join(folder, 'routes.yaml/x'), /^cannot read .*ENOTDIR/],
  ];
  for (const [path, says] of cases) {
    // A path that is there beside it changes nothing: what was asked for cannot be checked.
    await assert.rejects(run(example, path), (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, says);
      return true;
    });
  }
  const empty = await run(makeFolder(context, {}));
  assert.equal(empty.status, 1);
  assert.match(empty.text, /TC1007: There is no \*\.yaml/);
  await assert.rejects(run(), UsageError);
  await assert.rejects(run(example, '--lables', 'app=web'), UsageError);
});

test('JSON in a folder is named, as it is not read', async (context) => {
  const files = { 'routes.yaml': sidecar, 'policy.json': '{}', '.hidden.json': '{}', 'a.txt': '' };
  const { text } = await run(makeFolder(context, files));
  assert.deepEqual(text.match(/[^/]+ TC1008: .*$/gm), [
    'policy.json: warning TC1008: This is not read: of a folder its *.yaml and *.yml are',
  ]);
  const alone = await run(makeFolder(context, { 'policy.json': '{}' }));
  assert.equal(alone.status, 1);
  assert.match(alone.text, /TC1007: There is no/);
  assert.match(alone.text, /TC1008: This is not read/);
});

/** The codes that a VirtualService with these two destinations is complained of with. */
async function codesOf(
  context: TestContext,
  first: string,
  second: string,
): Promise<readonly string[]> {
  const host = 'destination: {host: a.example.com}';
  const folder = makeFolder(context, {
    'a.yaml': `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.example.com], resolution: DNS, ports: [{number: 80, name: http}]}
`,
    'b.yaml': `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec: {hosts: [a.example.com], http: [{route: [{${host}${first}}, {${host}${second}}]}]}
`,
  });
  const { text } = await run(folder, '--output', 'json');
  return JSON.parse(text).diagnostics.map(({ code }: { code: string }) => code);
}

test('a weight with a mistake in its name is not also said to be missing or 0', async (context) => {
  const misspelt = await codesOf(context, ', wieght: 60', ', wieght: 40');
  assert.deepEqual(misspelt, ['TC1201', 'TC1201']);
  assert.deepEqual(await codesOf(context, ', wieght: 60', ', weight: 0'), ['TC1201']);
  assert.deepEqual(await codesOf(context, ', weight: -1', ', weight: 0'), ['TC1304']);
  // Weights that are known are judged, whatever else is wrong.
  const zero = await codesOf(context, ', weight: 0, foo: 1', ', weight: 0');
  assert.deepEqual(zero, ['TC1305', 'TC1201']);
  assert.deepEqual(await codesOf(context, '', ', weight: 1'), ['TC1320']);
});

test('a name that stands twice is offered once', async (context) => {
  const folder = makeFolder(context, {
    'a.yaml': `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http}]
  endpoints: [{address: 10.0.0.1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: a}
spec:
  host: a.example.com
  subsets: [{name: v1, labels: {version: v1}}, {name: v1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a.example.com]
  http:
    - route: [{destination: {host: a.example.com, subset: v2}}]
    - match: [{uri: {prefix: /x}}]
      route: [{destination: {host: a.example.com, subset: something-else}}]
`,
  });
  const { text } = await run(folder);
  assert.match(text, /= Did you mean `v1`\?\n/);
  assert.match(text, /= Its subsets are `v1`\.\n/);
});

test('no line of a Secret is printed, wherever its mistake stands', async (context) => {
  const secret = `apiVersion: v1
kind: Secret
metadata: {name: shop}
stringData:
  tls.key: "PRIVATE
  tls.crt: PRIVATE: PRIVATE
`;
  const folder = makeFolder(context, { 'a.yaml': secret, 'b.yaml': `${sidecar}speck: {}\n` });
  const { status, text } = await run(folder);
  assert.equal(status, 1);
  assert.match(text, /a\.yaml:\d+:\d+: error/);
  assert.doesNotMatch(text, /PRIVATE/);
  assert.match(text, /speck: \{\}/, 'other lines are shown');
});
