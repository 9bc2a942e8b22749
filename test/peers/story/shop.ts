/**
 * The shop of examples/kubernetes on a cluster, as README's Kubernetes section puts it there: install,
 * annotate, deploy. Every step is the command that a person types, or kubectl with the files of the
 * example.
 */

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { runOrThrow } from '../cluster/command.ts';
import { imageReferences } from '../cluster/images.ts';

const root = resolve(import.meta.dirname, '../../..');
export const example = join(root, 'examples/kubernetes');
export const deployments = ['web', 'reviews-v1', 'reviews-v2', 'ratings'] as const;
export const namespace = 'shop';

/** The command's stdout; throws with its own words when it fails. */
export async function tracecar(...args: string[]): Promise<string> {
  const program = join(root, 'src/cli/tracecar.ts');
  return await runOrThrow([process.execPath, program, ...args], { timeoutMs: 30_000 });
}

/** `tracecar install | kubectl apply -f -`, and waits until the injector is there. */
export async function install(cluster: Cluster, otlpUrl: string): Promise<void> {
  await cluster.kubectl(['apply', '-f', '-'], await printInstall(otlpUrl));
  await cluster.waitForDeployment('tracecar-system', 'tracecar-injector', 60_000);
}

export async function printInstall(otlpUrl: string): Promise<string> {
  const image = ['--image', imageReferences.tracecar];
  return await tracecar('install', ...image, '--propagation', 'node', '--otlp-endpoint', otlpUrl);
}

/** `tracecar uninstall | kubectl delete --ignore-not-found -f -`; waits until all is gone. */
export async function uninstall(cluster: Cluster): Promise<void> {
  const text = await tracecar('uninstall');
  await cluster.kubectl(['delete', '--ignore-not-found', '--timeout=50s', '-f', '-'], text);
}

/** A certificate for `web` as PEM; who trusts it trusts itself. */
export async function makeCertificate(): Promise<{ readonly cert: string; readonly key: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-story-'));
  try {
    const files = { cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
    await runOrThrow([
      ...['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
      ...['-nodes', '-days', '2', '-subj', '/CN=web', '-addext', 'subjectAltName=DNS:web.shop'],
      ...['-keyout', files.key, '-out', files.cert],
    ]);
    return { cert: readFileSync(files.cert, 'utf8'), key: readFileSync(files.key, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export interface ShopOptions {
  readonly certificate: { readonly cert: string; readonly key: string };
  /** Annotations of the namespace. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** Namespace, Secret, ConfigMap and applications; waits until every Service answers. */
export async function openShop(cluster: Cluster, options: ShopOptions): Promise<void> {
  const { certificate, annotations } = options;
  await cluster.kubectl(['create', 'namespace', namespace]);
  const pairs = Object.entries(annotations).map(([key, value]) => `${key}=${value}`);
  if (pairs.length > 0) await cluster.kubectl(['annotate', 'namespace', namespace, ...pairs]);
  await cluster.apply([
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'kubernetes.io/tls',
      metadata: { name: 'web-tls', namespace },
      stringData: { 'tls.crt': certificate.cert, 'tls.key': certificate.key },
    },
  ]);
  await writeWeights(cluster, 60, 40);
  await cluster.kubectl(['-n', namespace, 'apply', '-f', join(example, 'applications.yaml')]);
  await rolledOut(cluster);
  // kube-proxy hears of an endpoint a little after the Deployment is called ready.
  const service = (name: string) => `${name}.${namespace}.svc.cluster.local`;
  await Promise.all([
    cluster.untilListening(service('web'), 443),
    ...['reviews', 'reviews-v1', 'reviews-v2', 'ratings'].map((name) =>
      cluster.untilListening(service(name), 9080),
    ),
  ]);
}

export async function rolledOut(cluster: Cluster): Promise<void> {
  const waits = deployments.map((name) => cluster.waitForDeployment(namespace, name, 90_000));
  await Promise.all(waits);
}

const meshFiles = ['reviews-route', 'reviews-subsets', 'services', 'sidecars'];

/** The ConfigMap with the example's files, but for the weights of v1 and v2. */
export async function writeWeights(cluster: Cluster, v1: number, v2: number): Promise<void> {
  const texts = meshFiles.map((name): [string, string] => {
    const file = `${name}.yaml`;
    const text = readFileSync(join(example, 'mesh', file), 'utf8');
    return [
      file,
      text.replace('weight: 60', `weight: ${v1}`).replace('weight: 40', `weight: ${v2}`),
    ];
  });
  const data = Object.fromEntries(texts);
  const metadata = { name: 'tracecar-config', namespace };
  await cluster.apply([{ apiVersion: 'v1', kind: 'ConfigMap', metadata, data }]);
}

/** Four letters that no other run's request ids begin with. */
export function freshPrefix(): string {
  return randomBytes(2).toString('hex');
}
