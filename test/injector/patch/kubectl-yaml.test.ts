/**
 * What `tracecar inject` prints means to a YAML 1.1 reader, as kubectl is one, what was meant.
 *
 * The rule for quotes is held against a table of words, against every tag of YAML 1.1 that the
 * `yaml` package knows, and, where they are at hand, against PyYAML and kubectl itself.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { Document, parse } from 'yaml';
import { needsQuotes } from '../../../injector/offline/kubectl-yaml.ts';
import { runInject } from '../../../injector/offline/main.ts';

/** Texts that some YAML 1.1 reader takes for something else when they are plain. */
const words = [
  ...['y', 'Y', 'n', 'N', 'yes', 'Yes', 'YES', 'no', 'No', 'NO', 'on', 'On', 'ON', 'off', 'OFF'],
  ...['true', 'True', 'FALSE', 'null', 'Null', 'NULL', '~', '=', '<<', ''],
  ...['0', '-0', '+1', '644', '0644', '0o17', '08', '1_000', '1__0', '0x1F', '0x_1F', '0b11'],
  ...['12:30', '12:30:00', '190:20:30.15', '1.', '.5', '-.5', '1.5', '1e3', '6.85e+5', '+1_0.5_0'],
  ...[
    '.inf',
    '-.INF',
    '.nan',
    '.NaN',
    '.',
    '2001-12-14',
    '2001-12-14 10:00:00',
    '2001-12-14t1:2:3Z',
  ],
];

async function inject(text: string): Promise<string> {
  let written = '';
  const status = await runInject(['--image', 'tracecar:test', '-f', '-'], {
    read: async () => Buffer.from(text),
    write: (each) => {
      written += each;
    },
    complain: (each) => assert.fail(each),
  });
  assert.equal(status, 0);
  return written;
}

interface Manifest {
  metadata: { name: string };
  spec: {
    template: {
      metadata: { labels: Record<string, string>; annotations: Record<string, string> };
      spec: { initContainers: { name: string; env: { name: string; value?: string }[] }[] };
    };
  };
}

function serviceNameOf(manifest: Manifest): unknown {
  const [sidecar] = manifest.spec.template.spec.initContainers;
  return sidecar!.env.find(({ name }) => name === 'OTEL_SERVICE_NAME')!.value;
}

/** A Deployment that is called by a word, with words in quotes, an alias, and plain non-texts. */
function manifestOf(word: string): string {
  const quoted = JSON.stringify(word);
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${quoted} }
spec:
  selector: { matchLabels: &labels { a: ${quoted} } }
  template:
    metadata: { labels: *labels, annotations: { x: '${word}', t: 12:30:00 } } # kept
    spec:
      automountServiceAccountToken: no
      containers: [{ name: app, image: app }]
      volumes:
        - { name: mode, configMap: { name: c, defaultMode: 0644 } }
`;
}

const plain = { version: '1.1', schema: 'yaml-1.1' } as const;

test('every word of YAML 1.1 stays a text, and what stood plain stays as it stood', async () => {
  for (const word of words) {
    const written = await inject(manifestOf(word));
    const read = parse(written, plain) as Manifest;
    assert.equal(serviceNameOf(read), word || 'app', written);
    assert.equal(read.metadata.name, word);
    assert.deepEqual(read.spec.template.metadata.labels, { a: word });
    assert.equal(read.spec.template.metadata.annotations.x, word);
    assert.match(written, /t: 12:30:00/);
    assert.match(written, /automountServiceAccountToken: no\n/);
    assert.match(written, /defaultMode: 0644 /);
    assert.match(written, /# kept/);
  }
});

test('a text is quoted wherever a tag of YAML 1.1 would take it', () => {
  const tags = new Document(null, { ...plain, merge: true }).schema.tags.filter(
    ({ tag }) => tag !== 'tag:yaml.org,2002:str',
  );
  const tests = tags.flatMap((tag) => ('test' in tag && tag.test ? [tag.test] : []));
  assert.ok(tests.length >= 10);
  const digits = fc.string({ unit: fc.constantFrom(...'0123456789_.:+-xobeETZtny infaN~=<') });
  fc.assert(
    fc.property(digits, (text) => {
      if (tests.some((each) => each.test(text))) assert.ok(needsQuotes(text), text);
    }),
    { numRuns: 5_000, examples: words.map((word) => [word]) },
  );
  for (const text of [
    'web',
    'node',
    'yesterday',
    'off-peak',
    'a:1',
    'epoch',
    '/tmp',
    '$(NODE_NAME)',
  ]) {
    assert.equal(needsQuotes(text), false, text);
  }
});

test('a kubectl truth is a truth: `hostNetwork: yes` is seen', async () => {
  let complained = '';
  const text = 'kind: Pod\nspec: { hostNetwork: yes, containers: [{ name: app }] }\n';
  await runInject(['--image', 't', '-f', '-'], {
    read: async () => Buffer.from(text),
    write: (each) => assert.equal(each, text),
    complain: (each) => {
      complained += each;
    },
  });
  assert.match(complained, /no sidecar: .*hostNetwork/);
});

test('merge keys are read as kubectl reads them, and written out where a pod changes', async () => {
  const written = await inject(`kind: Deployment
metadata: { name: web }
common: &common { labels: { app: web, tier: "on" } }
other: &other { labels: { app: lost }, name: named }
spec:
  template:
    metadata:
      <<: [*common, *other]
    spec: { containers: [{ name: app }] }
`);
  assert.doesNotMatch(written, /<<|[*&](common|other)/);
  const { metadata } = (parse(written) as Manifest).spec.template;
  assert.deepEqual(metadata.labels, { app: 'web', tier: 'on' });
  assert.equal(Reflect.get(metadata, 'name'), 'named');
});

const isPythonMissing = (() => {
  try {
    execFileSync('python3', ['-c', 'import yaml'], { stdio: 'ignore' });
    return false;
  } catch {
    process.stdout.write('SKIPPED: PyYAML as a reader: python3 has no module yaml\n');
    return 'python3 has no module yaml';
  }
})();

test('PyYAML reads the words as texts', { skip: isPythonMissing }, async () => {
  const input = words.map((word) => manifestOf(word));
  const written = await Promise.all(input.map(inject));
  const list = `[${written.map((each) => JSON.stringify(each)).join(',')}]`;
  const program = `import json, sys, yaml
print(json.dumps([yaml.safe_load(each) for each in json.load(sys.stdin)]))`;
  const read = JSON.parse(execFileSync('python3', ['-c', program], { input: list }).toString());
  assert.deepEqual(
    read.map(serviceNameOf),
    words.map((word) => word || 'app'),
  );
});

const [kubectl] = globSync(join(homedir(), '.cache/tracecar-peers/kubernetes-*/kubectl'));
const isKubectlMissing = kubectl === undefined && 'no kubectl: npm run peers cluster';
if (isKubectlMissing) process.stdout.write(`SKIPPED: kubectl as a reader: ${isKubectlMissing}\n`);

test('kubectl reads the words as texts, and 0644 as it did', {
  skip: isKubectlMissing,
}, async () => {
  const input = await Promise.all(words.map((word) => inject(manifestOf(word))));
  // A command that needs no server: it reads, sets a label and prints JSON.
  const args = ['label', '--local', '-f', '-', '-o', 'json', 'x=y'];
  const said = execFileSync(kubectl!, args, { input: input.join('---\n') }).toString();
  const read = JSON.parse(`[${said.replaceAll(/\}\s*\{/g, '},{')}]`) as Manifest[];
  assert.deepEqual(
    read.map(serviceNameOf),
    words.map((word) => word || 'app'),
  );
  for (const [at, { spec }] of read.entries()) {
    assert.deepEqual(spec.template.metadata.labels, { a: words[at] });
    const { volumes } = spec.template.spec as unknown as { volumes: Record<string, unknown>[] };
    assert.deepEqual(volumes[0], { name: 'mode', configMap: { name: 'c', defaultMode: 0o644 } });
  }
});
