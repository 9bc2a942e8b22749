/**
 * The way to STRICT with whole programs: `tracecar check --strict` names who would be refused, and
 * when STRICT comes by an edit, exactly those are.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { AuthorityProcess, copyMesh, startSidecarOf } from './meshed-pair.ts';
import { application, get, getUntil, tracecar, writeConfig } from './sidecar-process.ts';

const policies = resolve(import.meta.dirname, '../../examples/mutual-tls/policies');

function check(...args: string[]): Promise<{ status: number; output: string }> {
  return new Promise((settle) => {
    execFile(process.execPath, [tracecar, 'check', '--strict', ...args], (error, stdout, stderr) =>
      settle({ status: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    );
  });
}

function idOf(account: string): string {
  return `spiffe://cluster.local/ns/default/sa/${account}`;
}

/** Requests on a page of metrics, by what Istio's counter says of them. */
function countOf(page: string, reporter: string) {
  return (security: string, label: string) => {
    const lines = page.split('\n').filter((line) => {
      const labels = [`reporter="${reporter}"`, `connection_security_policy="${security}"`, label];
      return (
        line.startsWith('istio_requests_total{') && labels.every((each) => line.includes(each))
      );
    });
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  };
}

const limit = { timeout: 60_000 };

test(
  'who would be refused in STRICT is named before, and refused after the edit',
  limit,
  async (t) => {
    const authority = await AuthorityProcess.start(t, 3_600);
    const port = await application(t, (_request, response) => response.end('paid'));
    const { folder: config, payments, orders } = await copyMesh(t, port);
    const start = async (account: string) =>
      startSidecarOf(t, account, { config, authority, tokenFile: await authority.token(account) });
    const [callee, caller] = [await start('payments'), await start('orders')];
    const withSidecar = () => get(`127.0.0.1:${orders}`, '/pay');
    const without = () => get(`127.0.0.1:${payments}`, '/pay');

    assert.equal((await withSidecar()).status, 200);
    const quiet = await check(callee.admin, caller.admin);
    assert.equal(quiet.status, 0, quiet.output);
    assert.equal(quiet.output.match(/nobody since 20/g)?.length, 2, quiet.output);

    assert.equal((await without()).status, 200);
    assert.equal((await without()).status, 200);
    const strict = join(policies, 'strict.yaml');
    const named = await check('--config', strict, callee.admin);
    assert.equal(named.status, 1, named.output);
    assert.match(named.output, new RegExp(`127\\.0\\.0\\.1 to port ${payments}: 2 connections, `));

    const ofPayments = (await get(callee.metrics, '/metrics')).body;
    const [ordersId, paymentsId] = ['orders', 'payments'].map(idOf);
    const inwards = countOf(ofPayments, 'destination');
    assert.equal(inwards('mutual_tls', `source_principal="${ordersId}"`), 1);
    assert.equal(inwards('mutual_tls', `destination_principal="${paymentsId}"`), 1);
    assert.equal(inwards('none', 'source_principal="unknown"'), 2);
    const outwards = countOf((await get(caller.metrics, '/metrics')).body, 'source');
    assert.equal(outwards('mutual_tls', `source_principal="${ordersId}"`), 1);
    assert.equal(outwards('mutual_tls', `destination_principal="${paymentsId}"`), 1);

    writeConfig(
      config,
      'strict.yaml',
      `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: all, namespace: default}
spec: {mtls: {mode: STRICT}}
`,
    );
    for (const { admin } of [callee, caller]) {
      await getUntil<{ table: { security: { mode: string } } }>(
        admin,
        '/config',
        ({ table }) => table.security.mode === 'strict',
      );
    }
    const refused = await without();
    assert.equal(refused.status, 403);
    assert.match(refused.body, /no-identity/);
    assert.equal((await withSidecar()).body, 'paid');
    assert.match((await check(callee.admin)).output, /is refused already/);

    // A port that is DISABLE has no mutual TLS for anybody, and callers know.
    writeConfig(
      config,
      'strict.yaml',
      `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: payments, namespace: default}
spec:
  selector: {matchLabels: {app: payments}}
  mtls: {mode: STRICT}
  portLevelMtls: {${payments}: {mode: DISABLE}}
`,
    );
    for (const { admin } of [callee, caller]) {
      await getUntil<{ generation: number }>(
        admin,
        '/config',
        ({ generation }) => generation === 3,
      );
    }
    const connections = async () => {
      const { output, status } = await check('--config', strict, callee.admin);
      assert.equal(status, 1, output);
      return Number(output.match(/: (\d+) connections?, /)?.[1]);
    };
    const before = await connections();
    assert.equal((await without()).status, 200);
    // STRICT would break it again: whoever is served without TLS on such a port is recorded too.
    assert.equal(await connections(), before + 1);
    assert.equal((await withSidecar()).body, 'paid');
  },
);
