/**
 * AuthorizationPolicies of a running sidecar, from files: who is denied hears why, probes and metrics go on,
 * an edit holds at once, and what cannot be enforced denies and is named before it is applied.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import {
  application,
  get,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  tracecar,
  writeConfig,
} from './sidecar-process.ts';

function policy(name: string, spec: string): string {
  return `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: default}
spec: ${spec}
`;
}

const nobody = policy('allow-nothing', '{}');
const local = policy(
  'local-status',
  '{rules: [{from: [{source: {ipBlocks: [127.0.0.0/8]}}], to: [{operation: {paths: ["/status/*"]}}]}]}',
);

async function start(t: TestContext, policies: string, args: readonly string[] = []) {
  const port = await application(t, (incoming, response) => response.end(`hello ${incoming.url}`));
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  writeConfig(folder, 'policies.yaml', policies);
  const probes = { '/app-health/app/readyz': { httpGet: { path: '/ready', port } } };
  const environment = { POD_IPS: '127.0.0.1', TRACECAR_PROBES: JSON.stringify(probes) };
  const sidecar = await startSidecar(t, folder, args, environment);
  const call = (path: string) => get(`127.0.0.1:${inbound}`, path);
  let generation = 1;
  const edit = async (change: () => void) => {
    change();
    generation++;
    sidecar.child.kill('SIGHUP');
    await sidecar.logged(new RegExp(`"configuration applied","generation":${generation}`));
  };
  return { sidecar, folder, call, edit };
}

test('in a namespace that denies by default only who is listed gets in; probes and metrics go on', async (t) => {
  const { sidecar, folder, call, edit } = await start(t, nobody, ['--access-log=json']);
  const denied = await call('/status/a');
  assert.equal(denied.status, 403);
  assert.match(
    denied.body,
    /^denied: .*\(no rule of default\/allow-nothing lets a caller without identity at 127\.0\.0\.1 in: GET \/status\/a\)$/m,
  );
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
  assert.equal((await get(sidecar.health, '/app-health/app/readyz')).status, 200);
  const page = (await get(sidecar.metrics, '/metrics')).body;
  assert.match(
    page,
    /^tracecar_policy_decisions_total\{policy="default\/allow-nothing",decision="denied"\} 1$/m,
  );

  await edit(() => writeConfig(folder, 'more.yaml', local));
  assert.equal((await call('/status/a')).body, 'hello /status/a');
  assert.equal((await call('/admin')).status, 403);
  assert.equal((await call('/status/%2e%2e/admin')).status, 403);
  await edit(() => rmSync(join(folder, 'more.yaml')));
  assert.equal((await call('/status/a')).status, 403);
  // Lines come from another thread: by some later answer the first one is there.
  while (sidecar.output.length === 0) await get(sidecar.health, '/healthz/ready');
  const first = JSON.parse(sidecar.output[0]!);
  assert.equal(first.cause, 'denied');
  assert.equal(first.policy, 'default/allow-nothing');
});

test('a policy that cannot be enforced denies all, and validate names it first', async (t) => {
  const custom = policy('ask-them', '{action: CUSTOM, provider: {name: opa}, rules: [{}]}');
  const tokens = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: jwt, namespace: default}
spec: {jwtRules: [{issuer: x}]}
`;
  const { sidecar, folder, call, edit } = await start(t, local);
  assert.equal((await call('/status/a')).status, 200);
  for (const [name, text] of [
    ['default/ask-them', custom],
    ['default/jwt', tokens],
  ] as const) {
    await edit(() => writeConfig(folder, 'more.yaml', text));
    const { status, body } = await call('/status/a');
    assert.equal(status, 403);
    assert.ok(body.startsWith('policy-unsupported: ') && body.includes(name), body);
    const checked = spawnSync(process.execPath, [tracecar, 'validate', folder], {
      encoding: 'utf8',
    });
    assert.equal(checked.status, 1);
    assert.match(checked.stdout, /more\.yaml:\d+:\d+: error TC1341: .*everything that it selects/);
    await edit(() => rmSync(join(folder, 'more.yaml')));
    assert.equal((await call('/status/a')).status, 200);
    // In the file that was good it is no less in force, whatever its last good content lets in.
    await edit(() => writeConfig(folder, 'policies.yaml', `${local}---\n${text}`));
    assert.equal((await call('/status/a')).status, 403);
    await edit(() => writeConfig(folder, 'policies.yaml', local));
    assert.equal((await call('/status/a')).status, 200);
  }
  await sidecar.logged(
    /policies\.yaml has an error: its last good content stays in force, and beside/,
  );
  await sidecar.logged(/more\.yaml has an error: it never had good content, so nothing of it is/);
});
