/**
 * An application that speaks HTTP, a service outside that speaks HTTPS and asks for a certificate, and a
 * sidecar between them as a program: from YAML and files to the bytes on the wire.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import { get, startSidecar, temporaryFolder, writeConfig } from './sidecar-process.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-origination-program-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const api = authority.issue('api.example.com');
const client = authority.issue('shop');

/** A service outside: it tells its callers what it saw of their TLS. */
async function startOutside(t: TestContext): Promise<number> {
  const server = createServer(
    { ...api, ca: authority.cert, requestCert: true, rejectUnauthorized: true },
    ({ socket, headers }, response) => {
      const { servername, getPeerCertificate } = socket as TLSSocket;
      const { subject } = getPeerCertificate.call(socket);
      response.end(`${subject.CN} asked ${String(servername)} for ${headers.host}`);
    },
  );
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return (server.address() as AddressInfo).port;
}

function configOf(listen: number, outside: number, tls: string): string {
  return `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app}
spec:
  workloadSelector: {labels: {app: app}}
  egress:
    - port: {number: ${listen}, protocol: HTTP, name: http}
      bind: 127.0.0.1
      captureMode: NONE
      hosts: ["./api.example.com"]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: ${listen}, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${outside}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api}
spec:
  host: api.example.com
  trafficPolicy: {tls: ${tls}}
`;
}

test('MUTUAL from YAML and files; a rule that is edited is followed', async (t) => {
  const config = temporaryFolder(t);
  const files = temporaryFolder(t);
  const [certificate, key, roots] = ['tls.crt', 'tls.key', 'ca.crt'].map((name) =>
    join(files, name),
  );
  writeFileSync(certificate!, client.cert);
  writeFileSync(key!, client.key);
  writeFileSync(roots!, authority.cert);
  const outside = await startOutside(t);
  const [listen] = await freePorts(1);
  const own = `clientCertificate: ${certificate}, privateKey: ${key}, caCertificates: ${roots}`;
  writeConfig(config, 'mesh.yaml', configOf(listen!, outside, `{mode: MUTUAL, ${own}}`));
  await startSidecar(t, config);
  const address = `127.0.0.1:${listen}`;
  const answer = await get(address, '/');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, `shop asked api.example.com for ${address}`);

  const named = `{mode: MUTUAL, ${own}, subjectAltNames: [other.example.com]}`;
  writeConfig(config, 'mesh.yaml', configOf(listen!, outside, named));
  let refused = await get(address, '/');
  while (refused.status === 200) refused = await get(address, '/');
  assert.equal(refused.status, 502);
  assert.match(
    refused.body,
    /^tls-wrong-identity: .*expected a certificate for other\.example\.com/,
  );
});
