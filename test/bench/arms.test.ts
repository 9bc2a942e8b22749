/**
 * The arms: every name that is measured exists, what is missing says how to have it, and a copy's
 * configuration is whole.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { withOneDestination } from '../../bench/arms/ablation.ts';
import type { Arm, ArmPlace } from '../../bench/arms/arm.ts';
import { armOf, arms } from '../../bench/arms/arms.ts';
import {
  besideArms,
  withBesideBackend,
  withBesideRoute,
  withBesideRule,
} from '../../bench/arms/beside.ts';
import { fillTemplate, findPackage, readTemplate } from '../../bench/arms/find.ts';
import { sampling, tracecarVariant } from '../../bench/arms/tracecar.ts';
import { benchHost } from '../../bench/load/load-order.ts';
import { priceSteps } from '../../bench/scenarios/price-steps.ts';
import { compileTable, readResources } from '../../src/config/load.ts';
import { launcherEnvironment, sidecarFlags } from '../../tools/launcher.ts';

const directory = mkdtempSync(join(tmpdir(), 'bench-arms-'));
after(() => rmSync(directory, { recursive: true }));

const place: ArmPlace = {
  port: 1001,
  backendPort: 1002,
  secondBackendPort: 1003,
  collectorPort: 1004,
  pairPort: 6,
  besidePort: 1007,
  adminPort: 1005,
  metricsPort: 1006,
  directory,
};

function compile(text: string) {
  const read = readResources([{ file: 'tracecar.yaml', text }]);
  const context = { namespace: 'bench', labels: {}, generation: 1, capture: 'none' } as const;
  const { table, diagnostics } = compileTable(read.resources, context);
  assert.deepEqual([...read.diagnostics, ...diagnostics], []);
  return table;
}

test('the arms have the names that scenarios and targets use, each once', () => {
  assert.deepEqual(
    arms.map((arm) => arm.name),
    [
      ...['tracecar', 'tracecar-aa', 'tracecar-100', 'tracecar-0', 'tracecar-off'],
      ...['tracecar-relay', 'envoy', 'envoy-no-stats', 'envoy-otel'],
      ...['haproxy', 'nginx', 'pingora', 'http-proxy', 'undici', 'floor'],
    ],
  );
  assert.throws(() => armOf('caddy'), /there is no arm "caddy"/);
});

test('an arm is found with its version, or missing with the command that helps', () => {
  for (const arm of arms) {
    const found = arm.find();
    if ('missing' in found) assert.match(found.install, /^npm (ci|run peers \w+)$/, arm.name);
    else assert.match(found.version, /\d+\.\d+/, arm.name);
  }
  assert.deepEqual(findPackage('no-such-proxy', 'bench/rivals/x.ts'), {
    missing: 'the package no-such-proxy is not installed',
    install: 'npm ci',
  });
});

for (const file of [
  ...['envoy.yaml', 'envoy-otel.yaml', 'haproxy.cfg', 'nginx.conf'].map((name) => `rivals/${name}`),
  'arms/tracecar.yaml',
]) {
  test(`${file} is filled in without a rest, and says what is in whose favour`, () => {
    const text = readFileSync(fillTemplate(file, place), 'utf8');
    assert.doesNotMatch(text.replaceAll(/^\s*#.*$/gm, ''), /\{\{/);
    assert.match(text, /1001/);
    assert.match(text, /1002/);
    if (file.startsWith('rivals/')) assert.match(text, /# In its favour/);
  });
}

test('an Envoy with the tracer has all that Envoy has', () => {
  const linesOf = (file: string) =>
    readTemplate(file)
      .replaceAll(/^\s*#.*\n/gm, '')
      .split('\n');
  const traced = linesOf('rivals/envoy-otel.yaml');
  const missing = linesOf('rivals/envoy.yaml').filter((line) => !traced.includes(line));
  assert.deepEqual(missing, []);
});

test('Envoy without statistics is Envoy and a matcher that rejects all of them', (t) => {
  const arm = armOf('envoy-no-stats');
  if ('missing' in arm.find()) {
    t.skip('ENVOY IS NOT INSTALLED: npm run peers envoy');
    return;
  }
  const [plain, silent] = [armOf('envoy').prepare(place), arm.prepare(place)];
  const { command, args } = silent;
  assert.deepEqual([command, ...args.slice(2)], [plain.command, ...plain.args.slice(2)]);
  const [before, after] = [plain, silent].map((each) => readFileSync(each.args[1]!, 'utf8'));
  assert.ok(after!.startsWith(before!));
  const more = after!.slice(before!.length).replaceAll(/^#.*\n/gm, '');
  assert.equal(more, 'stats_config:\n  stats_matcher: {reject_all: true}\n');
  execFileSync(command, [...args, '--mode', 'validate'], { stdio: 'pipe' });
});

test('a variant of Tracecar has its own resources, variables and flags beside the common ones', () => {
  const arm: Arm = tracecarVariant('mine', 'Mine', 'made up', {
    yaml: 'port: {{PORT}}\n',
    environment: { ...sampling(1), EXTRA: 'yes' },
    args: ['--log-level', 'error'],
  });
  const { args, environment } = arm.prepare(place);
  assert.equal(readFileSync(join(directory, 'tracecar.yaml'), 'utf8'), 'port: 1001\n');
  assert.deepEqual(args.slice(-2), ['--log-level', 'error']);
  assert.ok(args.includes('127.0.0.1:1006'), args.join(' '));
  assert.equal(environment?.OTEL_TRACES_SAMPLER_ARG, '1');
  assert.equal(environment?.OTEL_EXPORTER_OTLP_ENDPOINT, 'http://127.0.0.1:1004');
  assert.equal(environment?.EXTRA, 'yes');
});

test('the rule without a choice is the same rule with one destination', () => {
  const template = readTemplate('arms/tracecar.yaml');
  const fill = (text: string) =>
    text
      .replaceAll('{{HOST}}', benchHost)
      .replaceAll('{{PORT}}', '1001')
      .replaceAll('{{BACKEND}}', '1002')
      .replaceAll('{{SECOND}}', '1003');
  const rulesOf = (text: string) =>
    compile(fill(text)).listeners[0]!.virtualHosts.flatMap(({ rules }) => rules);
  const [split] = rulesOf(template);
  const [one] = rulesOf(withOneDestination(template));
  assert.deepEqual(
    split!.backends.map((backend) => backend.weight),
    [60, 40],
  );
  assert.equal(one!.backends.length, 1);
  assert.deepEqual(one!.matches, split!.matches);
  assert.equal(one!.timeoutMs, split!.timeoutMs);
  assert.throws(() => withOneDestination('nothing'), /no split of 60 to 40/);
});

test('every step of the price list runs with the flags and variables of the launcher', () => {
  for (const { arm } of priceSteps) {
    const { command, args, environment } = arm.prepare(place);
    // The launcher sets them itself; that it is written with these is how tools/build.ts makes it.
    if (!command.endsWith('dist/tracecar')) {
      assert.deepEqual(args.slice(0, sidecarFlags.length), sidecarFlags, arm.name);
    }
    for (const [name, value] of Object.entries(launcherEnvironment)) {
      assert.equal(environment?.[name], value, `${arm.name}: ${name}`);
    }
  }
});

test('a second upstream is one more rule before those of Tracecar, which stay as they are', () => {
  const filled = (text: string) =>
    text
      .replaceAll('{{HOST}}', benchHost)
      .replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => `${1000 + name.length}`);
  const rulesOf = (text: string) =>
    compile(filled(text)).listeners[0]!.virtualHosts.flatMap(({ rules }) => rules);
  const plain = rulesOf(readTemplate('arms/tracecar.yaml'));
  const [beside, ...others] = rulesOf(withBesideRule(readTemplate('arms/tracecar.yaml')));
  assert.deepEqual(beside!.matches[0]!.path, { kind: 'prefix', value: '/beside' });
  const essence = (rules: typeof plain) =>
    rules.map(({ matches, backends }) => [matches, backends]);
  // The other service has a virtual host of its own, with a rule that leads to it.
  assert.deepEqual(essence(others.slice(0, plain.length)), essence(plain));
  assert.throws(() => withBesideRule('nothing'), /has no one line/);
});

for (const [name, text] of [
  ['envoy', withBesideRoute(readTemplate('rivals/envoy.yaml'))],
  ['haproxy', withBesideBackend(readTemplate('rivals/haproxy.cfg'))],
] as const) {
  test(`${name} takes its configuration with a second upstream, and one like it in a pod`, (t) => {
    assert.match(text, /\/beside/);
    const arm = besideArms.find((each) => each.name === name)!;
    if ('missing' in arm.find()) {
      t.skip(`${name.toUpperCase()} IS NOT INSTALLED: npm run peers ${name}`);
      return;
    }
    const { command, args } = arm.prepare(place);
    const file = args[args.indexOf(name === 'envoy' ? '-c' : '-f') + 1]!;
    assert.match(readFileSync(file, 'utf8'), /\b1007\b/);
    const check = (path: string) =>
      name === 'envoy' ? ['-c', path, '-l', 'error', '--mode', 'validate'] : ['-c', '-f', path];
    const inPod = name === 'envoy' ? 'envoy-tcp.yaml' : 'haproxy-tcp.cfg';
    for (const path of [file, join(import.meta.dirname, '../../bench/rivals', inPod)]) {
      execFileSync(command, check(path), { stdio: 'pipe' });
    }
  });
}
