/**
 * The patch: a pod with a sidecar from a pod, as a pure function.
 *
 *   pod -> take away an earlier injection -> probes, propagation -> containers -> volumes -> annotations
 *
 * f(f(p)) = f(p), and the diff of f(p) with itself is empty: the webhook is called again when another
 * one changed the pod, and an older injection is replaced as a whole. Whether a pod is to have a
 * sidecar is `decide`'s question, and what is wrong with its annotations too. What others put into our
 * containers is taken out again, such as the token that the API server mounts between two calls.
 */

import { hash } from 'node:crypto';
import { assert } from '../src/base/assert.ts';
import { type InjectionOptions, readOptions, statusKey } from './annotations.ts';
import { jsonOf } from './json-patch.ts';
import { appMetricsOf, redirectScrape } from './merge-metrics.ts';
import { initContainer, sidecarContainer, tlsVolumeName } from './patch-containers.ts';
import { startOrder } from './patch-gate.ts';
import {
  type IdentitySettings,
  identityLabels,
  identityOf,
  identityVolumes,
} from './patch-identity.ts';
import {
  type InjectionStatus,
  initName,
  safeToEvictKey,
  sidecarName,
  volumeNames,
} from './patch-names.ts';
import { withoutInjection } from './patch-strip.ts';
import {
  applicationOf,
  defaultContainerKey,
  resourceAttributes,
  serviceName,
  type Workload,
  workloadOf,
} from './patch-workload.ts';
import {
  type Container,
  isObject,
  type NamespaceFacts,
  type Pod,
  type PodMetadata,
  type Volume,
} from './pod.ts';
import { type ProbeEntries, rewriteProbes } from './probes.ts';
import { addPropagation } from './propagation.ts';

/** What the injector was started with; the same for every pod. */
export interface InjectionSettings {
  /** Image of init container and sidecar. */
  readonly image: string;
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  /** Version of Tracecar, for the status annotation. */
  readonly version: string;
  /** Holds where neither pod nor namespace says `tracecar.dev/propagation`. */
  readonly propagation: 'node' | 'off';
  /** Holds where neither pod nor namespace says `tracecar.dev/otlp-endpoint`. */
  readonly otlpEndpoint: string;
  /**
   * Printable text without spaces; a pod that has one from an earlier injection keeps it. Empty: each
   * sidecar makes its own when it starts, and the drain begins from inside its container.
   */
  readonly drainSecret: string;
  /** Absent: pods get no identity. */
  readonly identity?: IdentitySettings;
  /** Namespaces that are never meshed; without it those of `exemptNamespaces()`. */
  readonly exempt?: readonly string[];
  /** Known offline, where a template has no owner yet; else the pod's owner reference says it. */
  readonly workload?: Workload;
}

/** The pod with its sidecar. Only for pods that `decide` lets in: asserts that they can be read. */
export function injectPod(pod: Pod, namespace: NamespaceFacts, settings: InjectionSettings): Pod {
  const plain = withoutInjection(pod);
  const read = readOptions(plain.metadata?.annotations ?? {}, namespace.annotations, settings);
  assert('options' in read, 'a pod with wrong annotations is refused before it is injected');
  const { options } = read;

  const drainSecret = drainSecretOf(pod) || settings.drainSecret;
  const entries: Record<string, ProbeEntries[string]> = {};
  const meshed = (container: Container) => {
    const rewritten = rewriteProbes(container, drainSecret);
    Object.assign(entries, rewritten.entries);
    return rewritten.container;
  };
  const initContainers = (plain.spec.initContainers ?? []).map(meshed);
  const containers = (plain.spec.containers ?? []).map(meshed);
  const workload = settings.workload ?? workloadOf(plain);
  const identity = identityOf(settings, options);
  const metrics = options.mergeMetrics === 'on' ? appMetricsOf(plain) : undefined;
  const appMetrics = metrics !== undefined && 'page' in metrics ? metrics.page : '';
  const init = initContainer(settings, options);
  const sidecar = sidecarContainer(settings, options, {
    labels: plain.metadata?.labels ?? {},
    serviceName: serviceName(plain, workload),
    resourceAttributes: resourceAttributes(plain, workload),
    probes: Object.keys(entries).length === 0 ? '' : JSON.stringify(entries),
    drainSecret,
    identity,
    appMetrics,
  });
  const volumes = volumesOf(options, identity !== undefined);
  const hasPreload = options.propagation === 'node';
  return {
    ...plain,
    metadata: metadataOf(plain, {
      volumes,
      isMeshed: identity !== undefined,
      isScrapedHere: appMetrics !== '',
      version: settings.version,
      hash: hashOf([sidecar, init], volumes, drainSecret),
    }),
    spec: {
      ...plain.spec,
      initContainers: startOrder(init, sidecar, initContainers),
      ...(plain.spec.containers
        ? { containers: hasPreload ? containers.map(addPropagation) : containers }
        : {}),
      volumes: [...(plain.spec.volumes ?? []), ...volumes],
    },
  };
}

/** Reads the secret of an earlier injection, so that another call gives the same pod. */
function drainSecretOf(pod: Pod): string {
  const sidecar = pod.spec.initContainers?.find(({ name }) => name === sidecarName);
  const value = sidecar?.env?.find(({ name }) => name === 'TRACECAR_DRAIN_SECRET')?.value ?? '';
  return value.replaceAll('$$', '$');
}

function volumesOf(options: InjectionOptions, hasIdentity: boolean): Volume[] {
  return [
    {
      name: volumeNames.config,
      configMap: { name: options.configMap, optional: true, defaultMode: 0o644 },
    },
    ...options.tlsSecrets.map((secretName, index) => ({
      name: tlsVolumeName(index),
      secret: { secretName, defaultMode: 0o644 },
    })),
    ...(options.propagation === 'node'
      ? [{ name: volumeNames.preload, emptyDir: { sizeLimit: '1Mi' } }]
      : []),
    ...(hasIdentity ? identityVolumes : []),
    { name: volumeNames.temporary, emptyDir: { sizeLimit: '16Mi' } },
  ];
}

interface Additions extends Pick<InjectionStatus, 'version' | 'hash'> {
  readonly volumes: readonly Volume[];
  /** Whether callers are to speak mutual TLS. */
  readonly isMeshed: boolean;
  /** Whether its scraper is led to the sidecar. */
  readonly isScrapedHere: boolean;
}

/** Labels and annotations, and in one of them what has to be taken back. */
function metadataOf(plain: Pod, additions: Additions): PodMetadata {
  const { volumes, version, hash: hashed } = additions;
  const labels = additions.isMeshed ? identityLabels(plain.metadata?.labels ?? {}) : {};
  const before = plain.metadata?.annotations ?? {};
  const local = volumes.filter(isOnDisk).map(({ name }) => name);
  const evictable = before[safeToEvictKey] ? [before[safeToEvictKey], ...local] : local;
  const added: Record<string, string> = {};
  const application = applicationOf(plain);
  if (before[defaultContainerKey] === undefined && application !== undefined) {
    added[defaultContainerKey] = application.name;
  }
  const scrape = additions.isScrapedHere ? redirectScrape(before) : undefined;
  const addedLabels = Object.keys(labels);
  const status: InjectionStatus = {
    version,
    hash: hashed,
    containers: [sidecarName, initName],
    volumes: volumes.map(({ name }) => name),
    annotations: Object.keys(added),
    ...(addedLabels.length > 0 ? { labels: addedLabels } : {}),
    ...(scrape === undefined ? {} : { replaced: scrape.replaced }),
  };
  return {
    ...plain.metadata,
    ...(addedLabels.length > 0 ? { labels: { ...plain.metadata?.labels, ...labels } } : {}),
    annotations: {
      ...before,
      ...added,
      ...scrape?.changed,
      [safeToEvictKey]: evictable.join(','),
      [statusKey]: JSON.stringify(status),
    },
  };
}

/** What the autoscaler calls local; a volume in memory is not. */
function isOnDisk({ emptyDir }: Volume): boolean {
  return isObject(emptyDir) && emptyDir.medium !== 'Memory';
}

/** The same for every pod that gets the same; the containers' JSON goes into the patch as well. */
function hashOf(
  containers: readonly Container[],
  volumes: readonly Volume[],
  drainSecret: string,
): string {
  const added = `[[${containers.map(jsonOf).join(',')}],${JSON.stringify(volumes)}]`;
  const shared = drainSecret === '' ? added : added.replaceAll(drainSecret, '');
  return hash('sha256', shared, 'hex').slice(0, 16);
}
