/**
 * Whom callers take for a sidecar of the mesh, told by pods as the injector and Istio's leave them.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { injectPod } from '../../injector/patch.ts';
import { readPod } from '../../injector/pod.ts';
import { compileTable, readResources } from '../../src/config/load.ts';
import { identity, meshed, settings } from '../injector/patch/pod-fixtures.ts';

const id = 'spiffe://mesh.test/ns/shop/sa/web';
const skip = 'tracecar.dev/skip-inbound-ports';
const sidecarLabel = { 'security.istio.io/tlsMode': 'istio' };

interface Written {
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
  readonly containers?: readonly object[];
  readonly initContainers?: readonly object[];
}

function podOf({ labels, annotations, ...containers }: Written): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...{ name: 'web-1', namespace: 'shop' },
      ...{ labels: { app: 'web', ...labels }, annotations: annotations ?? {} },
    },
    spec: { serviceAccountName: 'web', containers: [{ name: 'web', image: 'web' }], ...containers },
    status: { podIP: '192.0.2.1' },
  };
}

/** As the webhook hands it back. */
function injected(pod: Record<string, unknown>, ofNamespace: Record<string, string> = {}) {
  const namespace = { ...meshed, annotations: ofNamespace };
  const read = readPod(pod);
  assert.ok('pod' in read);
  return injectPod(read.pod, namespace, { ...settings, identity });
}

const ports = [80, 81, 9001];

/** Whose identity a caller asks for at each of the ports. */
function identitiesOf(pod: unknown): readonly string[] {
  const list = ports.map((port) => ({ name: `p${port}`, port }));
  const metadata = { name: 'web', namespace: 'shop' };
  const documents = [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: list, clusterIP: '10.0.0.1' } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [{ addresses: ['192.0.2.1'], targetRef: { kind: 'Pod', name: 'web-1' } }],
      ports: list,
    },
    pod,
  ];
  // JSON is YAML.
  const text = documents.map((each) => JSON.stringify(each)).join('\n---\n');
  const { resources, diagnostics } = readResources([{ file: 'shop.yaml', text }]);
  assert.deepEqual(diagnostics, []);
  const { table } = compileTable(resources, {
    ...{ namespace: 'shop', labels: { app: 'caller' }, generation: 1, capture: 'redirect' },
    ...{ rootNamespace: 'root', trustDomain: 'mesh.test' },
  });
  const byPort = new Map(
    table.clusters.flatMap(({ endpoints }) => endpoints.map((each) => [each.port, each.identity])),
  );
  return ports.map((port) => byPort.get(port) ?? 'no endpoint');
}

test('every port of an injected pod is the sidecar’s', () => {
  assert.deepEqual(identitiesOf(injected(podOf({}))), [id, id, id]);
});

test('a port that the sidecar does not capture proves nothing, wherever that is said', () => {
  const annotations = { [skip]: '80, 9000-9010' };
  assert.deepEqual(identitiesOf(injected(podOf({ annotations }))), ['', id, '']);
  assert.deepEqual(identitiesOf(injected(podOf({}), annotations)), ['', id, '']);
  const ofPod = { [skip]: '81' };
  assert.deepEqual(identitiesOf(injected(podOf({ annotations: ofPod }), annotations)), [
    ...[id, '', id],
  ]);
});

test('a pod of which nobody tells the containers is what label and annotation say', () => {
  const bare = (annotations: Record<string, string>) =>
    podOf({ labels: sidecarLabel, annotations });
  assert.deepEqual(identitiesOf(bare({})), [id, id, id]);
  assert.deepEqual(identitiesOf(bare({ [skip]: '81' })), [id, '', id]);
  assert.deepEqual(identitiesOf(bare({ [skip]: 'all' })), [id, id, id]);
});

test('the sidecar of Istio, whose label is the same, is called in plain text', () => {
  const istio = [{ name: 'istio-proxy', image: 'proxyv2' }];
  const web = { name: 'web', image: 'web' };
  const labels = sidecarLabel;
  const plain = ['', '', ''];
  assert.deepEqual(identitiesOf(podOf({ labels, containers: [web, ...istio] })), plain);
  assert.deepEqual(identitiesOf(podOf({ labels, initContainers: istio })), plain);
  // Who has ours too is reached through ours or not at all.
  assert.deepEqual(identitiesOf(injected(podOf({ containers: [web, ...istio] }))), [id, id, id]);
});

test('what others wrote into a pod is no mistake', () => {
  const env = [{ name: 'A', value: 1 }, null, 'B', { name: ['C'] }];
  const containers = [{ name: 'web', image: 'web', env }, null, 'text', { name: 7 }];
  const pod = podOf({ labels: sidecarLabel, containers: containers as object[] });
  assert.deepEqual(identitiesOf(pod), [id, id, id]);
});
