/**
 * What `npm run build` makes, as a person without a checkout has it: outside of node_modules.
 *
 * Built once, into a folder that goes with the tests. Each program's bundle has classes of its own,
 * so what a bundle says about a mistake is no consequence of what the sources say.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { Script } from 'node:vm';
import { freePorts } from '../../bench/stage/free-ports.ts';
import {
  anyPorts,
  application,
  get,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from './sidecar-process.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'tracecar-bundle-'));
const bundle = join(folder, 'dist/tracecar.cjs');

before(() => {
  const out = join(folder, 'dist');
  execFileSync(process.execPath, [join(root, 'tools/build.ts'), '--out', out], { stdio: 'pipe' });
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], env = process.env): Promise<Outcome> {
  return new Promise((settle, reject) => {
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    const child = spawn(program, args, { cwd: folder, env, stdio: [...stdio] });
    let [stdout, stderr] = ['', ''];
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.on('error', reject);
    child.on('close', (status) => settle({ status, stdout, stderr }));
  });
}

const tracecar = (...args: string[]) => run(process.execPath, [bundle, ...args]);

test('a mistake of any program is one line, status 2', async (t) => {
  const holder = createServer();
  await new Promise<void>((settle) => holder.listen(0, '127.0.0.1', settle));
  t.after(() => holder.close());
  const taken = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
  const mesh = temporaryFolder(t);
  const [inbound] = await freePorts(1);
  writeConfig(mesh, 'mesh.yaml', sidecarYaml(inbound!, 9));
  const proxy = ['proxy', '--config', mesh, '--labels=app=app', ...anyPorts.slice(1)];
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['proxy'], /--config/],
    [['proxy', '--confgi', 'x'], /unknown flag --confgi; did you mean --config\?/],
    [[...proxy, `--admin=${taken}`], /the admin port .*in use/],
    [['view', '--trace', 'zz'], /--trace is a trace id of 32 hex digits, not 'zz'/],
    [['view', `--otlp=${taken}`, '--query=127.0.0.1:0'], new RegExp(taken)],
    [['explain'], /--trace ID says which trace/],
    [['explain', '--trace=1', '--query=127.0.0.1:1'], /nothing listens at http/],
    [['validate'], /needs a PATH/],
    [['check'], /--strict says who would break/],
    [['injector', '--nonsense'], /unknown flag --nonsense/],
    [['init', '--nonsense'], /unknown flag --nonsense/],
    [['inject', '-f', join(mesh, 'none'), '--image=tracecar:1'], /cannot read .*none/],
    [['uninject'], /needs -f FILE/],
    [['install'], /--image/],
    [['uninstall', '--nonsense'], /unknown flag --nonsense/],
  ];
  for (const [args, says] of cases) {
    const { status, stdout, stderr } = await tracecar(...args);
    assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
    assert.equal(stdout, '', args.join(' '));
    assert.match(stderr, new RegExp(`^tracecar ${args[0]}: [^\\n]+\\n$`));
    assert.match(stderr, says);
    assert.doesNotMatch(stderr, /\bbug\b/);
  }
});

test('the version is that of the package, also by the script that starts the bundle', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const env = {
    ...process.env,
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH}`,
  };
  const script = join(folder, 'dist/tracecar');
  for (const { status, stdout, stderr } of [
    await tracecar('--version'),
    await run(script, ['--version'], env),
  ]) {
    assert.equal(stderr, '');
    assert.equal(stdout, `tracecar ${version} (Node.js ${process.versions.node})\n`);
    assert.equal(status, 0);
  }
});

test('only who asks others over HTTP carries an HTTP client', async () => {
  const carriers = readdirSync(join(folder, 'dist'))
    .filter((name) => name.endsWith('.cjs'))
    .filter((name) => readFileSync(join(folder, 'dist', name), 'utf8').includes('UND_ERR_ABORTED'));
  assert.deepEqual(carriers.toSorted(), ['ca.cjs', 'injector.cjs', 'view-trace.cjs']);
  const { status, stderr } = await tracecar('view', '--trace', 'abc', '--query=127.0.0.1:1');
  assert.equal(status, 2);
  assert.match(stderr, /^tracecar view: nothing listens at http:\/\/127\.0\.0\.1:1/);
});

test('a bundled viewer serves its page: script, style and picture, and no other file', async (t) => {
  const any = '127.0.0.1:0';
  const args = [bundle, 'view', '--otlp', any, '--query', any];
  const viewer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => viewer.kill('SIGKILL'));
  const query = await new Promise<string>((settle) => {
    let said = '';
    viewer.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      said += chunk;
      const address = /shown at (http:\/\/[\d.:]+)\//.exec(said)?.[1];
      if (address !== undefined) settle(address);
    });
  });
  const html = await (await fetch(`${query}/trace/abc`)).text();
  const files = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!);
  const types: string[] = [];
  for (const path of files) {
    const response = await fetch(query + path);
    types.push(`${path} ${response.status} ${response.headers.get('content-type')}`);
    if (path.endsWith('.js')) assert.ok(!/\bimport\b[^;]*from/.test(await response.text()));
  }
  assert.deepEqual(types, [
    '/assets/page.svg 200 image/svg+xml',
    '/assets/page.css 200 text/css; charset=utf-8',
    '/assets/page.js 200 text/javascript; charset=utf-8',
  ]);
  for (const path of ['view.cjs', 'viewer/page/app.ts', '%2e%2e/package.json']) {
    assert.equal((await fetch(`${query}/assets/${path}`)).status, 404, path);
  }
});

test('a bundled sidecar answers, and SIGTERM ends it when what is under way is done', async (t) => {
  const begun = Promise.withResolvers<() => void>();
  const port = await application(t, (incoming, response) => {
    if (incoming.url === '/slow') begun.resolve(() => response.end('slow'));
    else response.end(`hello ${incoming.url}`);
  });
  const [inbound] = await freePorts(1);
  const mesh = temporaryFolder(t);
  writeConfig(mesh, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, mesh, ['--access-log=off'], {}, bundle);

  const { status, body } = await get(`127.0.0.1:${inbound}`, '/x?y=1');
  assert.equal(status, 200);
  assert.equal(body, 'hello /x?y=1');

  const slow = get(`127.0.0.1:${inbound}`, '/slow');
  const finish = await begun.promise;
  sidecar.child.kill('SIGTERM');
  await sidecar.logged(/"message":"SIGTERM: draining"/);
  finish();
  assert.equal((await slow).body, 'slow');
  assert.deepEqual(await sidecar.ended, { status: 0, signal: null });
  assert.ok(sidecar.lines.some((line) => /"message":"drained".*"cut":0/.test(line)));
});

test('a bundled sidecar with probes answers them from a bundle of their own', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('alive'));
  const [inbound] = await freePorts(1);
  const mesh = temporaryFolder(t);
  writeConfig(mesh, 'mesh.yaml', sidecarYaml(inbound!, port));
  const path = '/app-health/app/livez';
  const environment = {
    POD_IPS: '127.0.0.1',
    TRACECAR_PROBES: JSON.stringify({ [path]: { httpGet: { path: '/', port } } }),
  };
  const sidecar = await startSidecar(t, mesh, [], environment, bundle);
  assert.equal((await get(sidecar.health, path)).body, 'alive\n');
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
  sidecar.child.kill('SIGTERM');
  assert.deepEqual(await sidecar.ended, { status: 0, signal: null });
});

test('a start takes the code that was kept for this Node.js, and does without code that is not its own', async () => {
  const kept = join(folder, `dist/code/proxy-${process.version}-${process.arch}`);
  const text = readFileSync(join(folder, 'dist/proxy.cjs'), 'utf8');
  const wrapped = `(function(exports,require,module,__filename,__dirname){${text}\n})`;
  const cachedData = readFileSync(kept);
  assert.equal(new Script(wrapped, { cachedData }).cachedDataRejected, false);
  writeFileSync(kept, cachedData.subarray(0, 1_000));
  const { status, stderr } = await tracecar('proxy');
  writeFileSync(kept, cachedData);
  assert.equal(status, 2);
  assert.match(stderr, /^tracecar proxy: needs --config/);
});
