/**
 * PeerAuthentication resources joined: the most particular one that says a mode counts, for the
 * workload itself and for those who call it; and whose identity an endpoint has to prove.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileTable, readResources } from '../../src/config/load.ts';
import type { PeerMode } from '../../src/model/security.ts';

type Said = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT' | undefined;

const modes = fc.constantFrom<Said>(undefined, 'UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT');

/** One for each level; undefined: there is no such resource. */
const levels = fc.record({
  mesh: fc.option(modes),
  namespace: fc.option(modes),
  workload: fc.option(fc.record({ mode: modes, port: modes })),
  elsewhere: fc.option(modes),
});

function peers(namespace: string, name: string, mode: Said, rest = ''): string {
  const mtls = mode === undefined ? '' : `mtls: {mode: ${mode}}`;
  return `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: ${name}, namespace: ${namespace}}
spec: {${[mtls, rest].filter((each) => each !== '').join(', ')}}
---
`;
}

const endpoint = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: shop}
spec:
  hosts: [web.shop.svc.cluster.local]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 81, name: other, protocol: HTTP}]
  endpoints:
    - address: 192.0.2.1
      labels: {app: web, security.istio.io/tlsMode: istio}
      ports: {http: 8080}
      serviceAccount: web
`;

/** What counts last, of a mode that is said. */
function last(otherwise: PeerMode, ...said: readonly Said[]): PeerMode {
  const found = said.filter((each) => each !== undefined && each !== 'UNSET').at(-1);
  return found === undefined ? otherwise : (found.toLowerCase() as PeerMode);
}

test('the most particular mode counts, on both ends of a call', () => {
  fc.assert(
    fc.property(levels, ({ mesh, namespace, workload, elsewhere }) => {
      const selector = 'selector: {matchLabels: {app: web}}';
      const port = workload?.port === undefined ? '' : `{mode: ${workload.port}}`;
      const ports = `portLevelMtls: {8080: ${port === '' ? '{}' : port}}`;
      const text = [
        mesh === null ? '' : peers('root', 'mesh', mesh),
        namespace === null ? '' : peers('shop', 'all', namespace),
        workload === null ? '' : peers('shop', 'web', workload.mode, `${selector}, ${ports}`),
        elsewhere === null ? '' : peers('far', 'all', elsewhere),
        elsewhere === null
          ? ''
          : peers('shop', 'db', elsewhere, 'selector: {matchLabels: {app: db}}'),
        endpoint,
      ].join('');
      const { resources, diagnostics } = readResources([{ file: 'mesh.yaml', text }]);
      assert.deepEqual(diagnostics, []);
      const compile = (of: string, app: string) =>
        compileTable(resources, {
          ...{ namespace: of, labels: { app }, generation: 1, capture: 'redirect' },
          ...{ rootNamespace: 'root', trustDomain: 'mesh.test' },
        });
      const own = compile('shop', 'web');
      assert.deepEqual(own.diagnostics, []);
      const mode = last('permissive', mesh ?? undefined, namespace ?? undefined, workload?.mode);
      const ofPort = last(mode, workload?.port);
      const { security } = own.table;
      assert.equal(security.mode, mode);
      assert.equal(
        security.ports.find((each) => each.port === 8080)?.mode ?? security.mode,
        ofPort,
      );
      const { clusters } = compile('far', 'caller').table;
      const identities = clusters.map(({ endpoints }) => endpoints[0]?.identity);
      const id = 'spiffe://mesh.test/ns/shop/sa/web';
      const expected = [ofPort === 'disable' ? '' : id, mode === 'disable' ? '' : id];
      assert.deepEqual(identities, expected);
    }),
  );
});

test('without resources everything is taken, and nobody is named', () => {
  const { resources } = readResources([{ file: 'mesh.yaml', text: endpoint }]);
  const context = { namespace: 'shop', labels: {}, generation: 1, capture: 'redirect' } as const;
  const { mode, origin, ports } = compileTable(resources, context).table.security;
  assert.deepEqual({ mode, origin, ports }, { mode: 'permissive', origin: '', ports: [] });
});
