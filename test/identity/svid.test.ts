import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { readSvid } from '../../src/identity/svid.ts';
import { hostileLeaves } from '../support/hostile-leaves.ts';
import { type MeshLeaf, makeIssuer, makeLeaf, makeRoot } from '../support/mesh-material.ts';

const root = makeRoot();
const web = { serviceAccount: 'web' };
const webId = 'spiffe://cluster.local/ns/default/sa/web';

/** Whether OpenSSL takes what `leaf` shows as a caller's, which has to chain to `root`. */
async function isVerified(leaf: MeshLeaf): Promise<boolean> {
  const own = makeLeaf(root);
  const server = createServer({
    cert: own.certificates,
    key: own.privateKey,
    ca: root.roots,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  const verdict = Promise.race([
    once(server, 'secureConnection').then(() => true),
    once(server, 'tlsClientError').then(() => false),
  ]);
  let caller: TLSSocket | undefined;
  try {
    const pair = { cert: leaf.certificates, key: leaf.privateKey };
    caller = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...pair });
    caller.on('error', () => {});
    return await verdict;
  } catch {
    // OpenSSL does not even load it.
    return false;
  } finally {
    caller?.destroy();
    server.close();
  }
}

test('a leaf of the authority is verified by OpenSSL and names its workload', async () => {
  for (const by of [root, makeIssuer(root)]) {
    const leaf = makeLeaf(by, web);
    assert.equal(await isVerified(leaf), true);
    assert.deepEqual(readSvid(leaf.der), {
      id: webId,
      trustDomain: 'cluster.local',
      namespace: 'default',
      serviceAccount: 'web',
    });
  }
});

test('DNS names beside the id are allowed and mean nothing', () => {
  const leaf = makeLeaf(root, { ...web, dnsNames: ['localhost', '*.example.com'] });
  const svid = readSvid(leaf.der);
  assert.ok('id' in svid);
  assert.equal(svid.id, webId);
});

for (const { name, refusedBy, make } of hostileLeaves) {
  test(`a certificate is refused that ${name}`, async () => {
    const leaf = make(root);
    const svid = readSvid(leaf.der);
    const isChained = await isVerified(leaf);
    if (refusedBy === 'chain') assert.equal(isChained, false);
    if (refusedBy === 'svid') {
      assert.ok('problem' in svid, 'it was believed');
    }
    if (refusedBy === 'id') {
      assert.ok('id' in svid);
      assert.notEqual(svid.id, webId);
      assert.equal(isChained, true);
    }
  });
}
