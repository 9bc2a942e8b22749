/**
 * `tracecar check --strict`: who would be refused, from admin ports and files, with and without the
 * resources that are to be.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AdminState, createAdminServer } from '../../src/admin/admin-server.ts';
import { runCheck } from '../../src/main/check.ts';
import type { StrictReport } from '../../src/main/strict-report.ts';

const limit = { timeout: 30_000 };
const sinceMs = Date.UTC(2026, 10, 26, 9);

const report: StrictReport = {
  namespace: 'shop',
  labels: { app: 'web' },
  identity: 'spiffe://cluster.local/ns/shop/sa/web',
  sinceMs,
  security: { mode: 'permissive', origin: '', ports: [{ port: 9090, mode: 'strict', origin: '' }] },
  callers: [
    { address: '10.0.0.9', port: 8080, connections: 1, lastMs: sinceMs, isAlsoMeshed: true },
    {
      address: '10.0.0.7',
      port: 9090,
      connections: 41,
      lastMs: sinceMs + 61_000,
      isAlsoMeshed: false,
    },
  ],
  forgotten: 0,
};

function folder(
  t: TestContext,
  files: Readonly<Record<string, unknown>>,
): (name: string) => string {
  const path = mkdtempSync(join(tmpdir(), 'tracecar-check-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const text = typeof content === 'string' ? content : JSON.stringify(content);
    writeFileSync(join(path, name), text);
  }
  return (name) => join(path, name);
}

async function check(...args: readonly string[]) {
  let text = '';
  const status = await runCheck(['--strict', ...args], (part) => {
    text += part;
  });
  return { status, text };
}

const mesh = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: shop, namespace: shop}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  portLevelMtls: {9090: {mode: PERMISSIVE}}
---
apiVersion: v1
kind: Pod
metadata: {name: cron, namespace: batch}
status: {podIP: 10.0.0.9}
`;

/** As a caller of that address is named. */
const cron = 'Pod batch/cron, without a sidecar';

test('who would be refused is named, and the status says that there is somebody', async (t) => {
  const at = folder(t, { 'web.json': report, 'quiet.json': { ...report, callers: [] } });
  assert.deepEqual(await check(at('web.json')), {
    status: 1,
    text: `shop app=web (${at('web.json')})
  10.0.0.9 to port 8080: 1 connection, last 2026-11-26T09:00:00Z; comes by mutual TLS too
  10.0.0.7 to port 9090: 41 connections, last 2026-11-26T09:01:01Z; is refused already
  recorded since 2026-11-26T09:00:00Z
`,
  });
  const quiet = await check(at('quiet.json'));
  assert.equal(quiet.status, 0);
  assert.match(quiet.text, /nobody since 2026-11-26T09:00:00Z/);
});

test('only ports that the configuration makes STRICT count, and callers have names', async (t) => {
  const at = folder(t, { 'web.json': report, 'mesh.yaml': mesh });
  const { status, text } = await check(
    '--output=json',
    `--config=${at('mesh.yaml')}`,
    at('web.json'),
  );
  assert.equal(status, 1);
  const [{ refused, workload }] = JSON.parse(text).workloads;
  assert.equal(workload, 'shop app=web');
  assert.deepEqual(
    refused.map(({ address, name }: { address: string; name: string }) => [address, name]),
    [['10.0.0.9', cron]],
  );
  const open = folder(t, { 'mesh.yaml': mesh.replace('STRICT', 'PERMISSIVE') });
  assert.equal((await check(`--config=${open('mesh.yaml')}`, at('web.json'))).status, 0);
});

test('a workload of which nothing becomes STRICT is no all-clear: the reason and the callers are told', async (t) => {
  const at = folder(t, {
    'web.json': report,
    'bare.json': { ...report, identity: '', callers: [] },
    'open.yaml': mesh.replace('STRICT', 'PERMISSIVE').replace('9090: {mode: PERMISSIVE}', ''),
    'pods.yaml': mesh.slice(mesh.indexOf('apiVersion: v1')),
  });
  assert.deepEqual(await check('--config', at('pods.yaml'), at('web.json'), at('bare.json')), {
    status: 0,
    text: `shop app=web (${at('web.json')})
  nothing of it would be STRICT: no PeerAuthentication says what it takes. If all of it were:
  10.0.0.9 to port 8080: 1 connection, last 2026-11-26T09:00:00Z; ${cron}; comes by mutual TLS too
  10.0.0.7 to port 9090: 41 connections, last 2026-11-26T09:01:01Z; is refused already
  recorded since 2026-11-26T09:00:00Z
shop app=web (${at('bare.json')})
  nothing of it would be STRICT: no PeerAuthentication says what it takes. If all of it were:
  it has no identity (--identity), so it records nobody, and in STRICT it refuses everybody
`,
  });
  const { text } = await check('--config', at('open.yaml'), at('web.json'));
  const place = `PeerAuthentication shop/shop ${at('open.yaml')}:1:1`;
  assert.ok(text.includes(`STRICT: ${place} says PERMISSIVE. If`), text);
});

test('documents without a namespace are those of the workload, as its own sidecar reads them', async (t) => {
  const at = folder(t, {
    'shop.json': report,
    'bank.json': { ...report, namespace: 'bank' },
    'mesh.yaml': mesh.slice(0, mesh.indexOf('---')).replace(', namespace: shop', ''),
  });
  const { status, text } = await check(
    '--config',
    at('mesh.yaml'),
    at('shop.json'),
    at('bank.json'),
  );
  assert.equal(status, 1);
  assert.equal(text.match(/10\.0\.0\.9 to port 8080/g)?.length, 2, text);
  assert.doesNotMatch(text, /nothing of it/);
});

test('a sidecar without an identity would refuse everybody, and forgotten callers count', async (t) => {
  const bare = { ...report, identity: '', callers: [] };
  const at = folder(t, {
    'bare.json': bare,
    'many.json': { ...report, callers: [], forgotten: 3 },
  });
  const without = await check(at('bare.json'));
  assert.equal(without.status, 1);
  assert.match(without.text, /has no identity \(--identity\).* refuses everybody/);
  const many = await check(at('many.json'));
  assert.equal(many.status, 1);
  assert.match(many.text, /and 3 more, which had to be forgotten/);
});

test('an admin port is asked over its socket', limit, async (t) => {
  const state = { plaintextCallers: () => report } as Partial<AdminState> as AdminState;
  const server = createAdminServer({ ...state, logLevels: [] });
  const { port } = await server.listen('127.0.0.1', 0);
  t.after(() => server.close());
  const { status, text } = await check(`127.0.0.1:${port}`);
  assert.equal(status, 1);
  assert.match(text, /10\.0\.0\.7 to port 9090/);
});

test('what is no report, no sidecar or no file is said in one line', limit, async (t) => {
  const at = folder(t, {
    'list.json': [],
    'text.json': 'hello',
    'caller.json': { ...report, callers: [{ ...report.callers[0], port: 'x' }] },
    'late.json': { ...report, sinceMs: 1e300 },
    'broken.yaml': `${mesh}---\nkind: [\n`,
  });
  for (const name of ['list.json', 'text.json', 'caller.json', 'late.json']) {
    await assert.rejects(check(at(name)), /holds something else than/, name);
  }
  await assert.rejects(check(at('lst.json')), /did you mean .*list\.json/);
  await assert.rejects(check('127.0.0.1:1'), /ECONNREFUSED.*kubectl exec POD/);
  await assert.rejects(
    check(`--config=${at('broken.yaml')}`, at('list.json')),
    /tracecar validate/,
  );
  await assert.rejects(runCheck([]), /--strict/);
});

test('a report cannot steer the terminal', async (t) => {
  const [caller] = report.callers;
  const evil = { ...report, callers: [{ ...caller, address: '\u001b[2J\n10.0.0.1' }] };
  const at = folder(t, { 'evil.json': evil });
  const { text } = await check(at('evil.json'));
  assert.match(text, /^ {2}\\x1b\[2J\\x0a10\.0\.0\.1 to port/m);
});
