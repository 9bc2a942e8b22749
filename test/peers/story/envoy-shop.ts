/**
 * The shop of examples/kubernetes with an Envoy beside each application: the same Deployments and
 * Services, read from the example, with a plain container and explicit addresses added by hand.
 *
 * No redirection and no injector: applications dial their Envoy on 127.0.0.1, Services lead to it.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';
import { envoyConfig, envoyPorts } from './envoy-config.ts';
import { envoyReference } from './envoy-image.ts';
import { deployments, example } from './shop.ts';

export const envoyNamespace = 'shop-envoy';

/** What an application asks instead of a Service's name. */
export const envoyOutbound = `http://127.0.0.1:${envoyPorts.outbound}`;

export interface EnvoyShopOptions {
  readonly certificate: { readonly cert: string; readonly key: string };
  /** Where OTLP over gRPC goes. */
  readonly collector: { readonly address: string; readonly port: number };
}

/** All its traces, or a share; takes effect with new pods. */
export async function setEnvoySampling(
  cluster: Cluster,
  collector: EnvoyShopOptions['collector'],
  samplingPercent: number,
): Promise<void> {
  await cluster.apply([configMap(collector, samplingPercent)]);
}

/** Deploys it and waits until every Service answers. */
export async function openEnvoyShop(cluster: Cluster, options: EnvoyShopOptions): Promise<void> {
  const { certificate } = options;
  await cluster.kubectl(['create', 'namespace', envoyNamespace]);
  const namespace = envoyNamespace;
  await cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'web-tls', namespace },
      stringData: { 'tls.crt': certificate.cert, 'tls.key': certificate.key },
    },
    configMap(options.collector, 100),
    ...exampleObjects().map((object) => withEnvoy(object, namespace)),
  ]);
  await Promise.all(deployments.map((name) => cluster.waitForDeployment(namespace, name, 90_000)));
  const host = (name: string) => `${name}.${namespace}.svc.cluster.local`;
  await Promise.all([
    cluster.untilListening(host('web'), 443),
    ...['reviews', 'reviews-v1', 'reviews-v2', 'ratings'].map((name) =>
      cluster.untilListening(host(name), 9080),
    ),
  ]);
}

function configMap(collector: EnvoyShopOptions['collector'], samplingPercent: number): object {
  const host = (name: string) => `${name}.${envoyNamespace}.svc.cluster.local`;
  const upstreams = {
    web: [
      { host: host('reviews-v1'), weight: 60 },
      { host: host('reviews-v2'), weight: 40 },
    ],
    reviews: [{ host: host('ratings'), weight: 100 }],
    ratings: [],
  };
  const files = Object.entries(upstreams).map(([service, each]) => [
    `${service}.json`,
    envoyConfig({
      ...{ service, hasTls: service === 'web', upstreams: each },
      ...{ samplingPercent, collector },
    }),
  ]);
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'envoy', namespace: envoyNamespace },
    data: Object.fromEntries(files),
  };
}

/** An object of the example, as far as it is looked at here. */
interface ExampleObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  /** A ServiceAccount has none. */
  readonly spec?: {
    readonly ports?: readonly { readonly targetPort: number }[];
    readonly template?: PodTemplate;
    readonly [field: string]: unknown;
  };
}

interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly AppContainer[];
    readonly [field: string]: unknown;
  };
}

interface AppContainer {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly [field: string]: unknown;
}

function exampleObjects(): ExampleObject[] {
  const text = readFileSync(join(example, 'applications.yaml'), 'utf8');
  return parseAllDocuments(text).map((each) => each.toJS() as ExampleObject);
}

function withEnvoy(object: ExampleObject, namespace: string): object {
  const metadata = { ...object.metadata, namespace };
  if (object.spec === undefined) return { ...object, metadata };
  const { template, ports } = object.spec;
  if (template !== undefined) {
    return { ...object, metadata, spec: { ...object.spec, template: withContainer(template) } };
  }
  const towardsEnvoy = ports?.map((port) =>
    port.targetPort === 9080 ? { ...port, targetPort: envoyPorts.inbound } : port,
  );
  return { ...object, metadata, spec: { ...object.spec, ports: towardsEnvoy } };
}

function withContainer(template: PodTemplate): object {
  const service = template.metadata.labels.app!;
  const containers = template.spec.containers.map((container) => ({
    ...container,
    env: container.env.map((each) =>
      each.name.endsWith('_URL') ? { name: each.name, value: envoyOutbound } : each,
    ),
  }));
  const envoy = {
    name: 'envoy',
    image: envoyReference,
    imagePullPolicy: 'Never',
    args: ['-c', `/etc/envoy/${service}.json`, '--concurrency', '1', '--log-level', 'warning'],
    volumeMounts: [
      { name: 'config', mountPath: '/etc/envoy' },
      ...(service === 'web' ? [{ name: 'tls', mountPath: '/etc/tls' }] : []),
    ],
  };
  const tls = { name: 'tls', secret: { secretName: 'web-tls', defaultMode: 0o444 } };
  return {
    metadata: { labels: template.metadata.labels },
    spec: {
      ...template.spec,
      containers: [...containers, envoy],
      volumes: [
        { name: 'config', configMap: { name: 'envoy' } },
        ...(service === 'web' ? [tls] : []),
      ],
    },
  };
}
