/** What Node.js's check of names gets of a TLS peer: the leaf's names, and nothing of what it sends besides. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { withPlainPeers } from '../../src/base/peer-certificate.ts';
import {
  distinguishedName,
  generateKeys,
  pemOf,
  privateKeyPem,
  signCertificate,
  spkiOf,
} from '../../src/identity/certificate.ts';
import { ownDer } from '../../src/identity/der.ts';
import { type MeshLeaf, makeLeaf, makeRoot } from '../support/mesh-material.ts';
import { makeDecoy } from '../support/odd-issuers.ts';

const root = makeRoot();

/** A server of TLS that shows `leaf`; gives how a GET ends that takes it for `servername`. */
async function serve(t: TestContext, leaf: Pick<MeshLeaf, 'certificates' | 'privateKey'>) {
  const server = createServer({ cert: leaf.certificates, key: leaf.privateKey }, (_head, answer) =>
    answer.end(),
  );
  server.on('tlsClientError', () => {});
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return async (servername: string): Promise<string> => {
    const agent = withPlainPeers(new Agent({ ca: root.roots }));
    try {
      const sent = get({ host: '127.0.0.1', port, servername, agent });
      const [response] = await once(sent, 'response');
      response.resume();
      return String(response.statusCode);
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  };
}

test('a peer is who its leaf says, whatever it sends behind it', async (t) => {
  const leaf = makeLeaf(root, { dnsNames: ['shop.example', '*.wild.example'] });
  const ask = await serve(t, { ...leaf, certificates: leaf.certificates + makeDecoy(root) });
  assert.equal(await ask('shop.example'), '200');
  assert.equal(await ask('a.wild.example'), '200');
  assert.equal(await ask('bank.example'), 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a peer whose leaf has no DNS name is refused under any', async (t) => {
  const ask = await serve(t, makeLeaf(root));
  assert.equal(await ask('shop.example'), 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a peer without alternative names is who its common name says, as ever', async (t) => {
  const keys = generateKeys();
  const der = signCertificate(
    {
      ...{ serial: Buffer.of(1), issuer: ownDer(root.signer.name) },
      ...{ subject: distinguishedName('old.example'), publicKey: spkiOf(keys.publicKey) },
      ...{ notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000, extensions: [] },
    },
    root.signer.privateKey,
  );
  const certificates = pemOf(der);
  const ask = await serve(t, { certificates, privateKey: privateKeyPem(keys.privateKey) });
  assert.equal(await ask('old.example'), '200');
  assert.equal(await ask('shop.example'), 'ERR_TLS_CERT_ALTNAME_INVALID');
});
