/**
 * The state of an authority in a cluster: two objects of its own namespace, and the roots for everybody.
 *
 *   Secret    tracecar-ca-state      roots, issuer and their keys
 *   ConfigMap tracecar-ca-sidecars   what sidecars reported, compressed: an object has 1 MiB at most
 *   ConfigMap tracecar-trust-bundle  the roots, which the injector gives to new pods
 *
 * The resourceVersion decides between writers. No text of an error quotes what is stored.
 */

import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { WallTime } from '../base/clock.ts';
import type { StateName, StateStore, StoredText } from '../identity/state-store.ts';
import type { KubeClient } from '../kube/kube-client.ts';
import { isKubeStatus } from '../kube/kube-error.ts';
import type { KubeObject } from '../kube/kube-object.ts';
import { authorityLimits } from '../model/authority-limits.ts';

/** What of a KubeClient is needed. */
export type KubeCalls = Pick<KubeClient, 'get' | 'create' | 'replace'>;

interface Place {
  readonly kind: 'Secret' | 'ConfigMap';
  readonly name: string;
  /** `data` of a Secret and `binaryData` of a ConfigMap are base64. */
  readonly field: 'data' | 'binaryData';
  readonly key: string;
  readonly isCompressed: boolean;
}

const places: Readonly<Record<StateName, Place>> = {
  authority: {
    kind: 'Secret',
    name: 'tracecar-ca-state',
    field: 'data',
    key: 'authority.json',
    isCompressed: false,
  },
  sidecars: {
    kind: 'ConfigMap',
    name: 'tracecar-ca-sidecars',
    field: 'binaryData',
    key: 'sidecars.json.gz',
    isCompressed: true,
  },
};

const [compress, expand] = [promisify(gzip), promisify(gunzip)];

export class KubeStateStore implements StateStore {
  readonly place: string;
  readonly #client: KubeCalls;
  readonly #namespace: string;

  constructor(client: KubeCalls, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.place = `Secret ${namespace}/${places.authority.name}`;
  }

  async read(name: StateName): Promise<StoredText | undefined> {
    const place = places[name];
    const object = await readObject(this.#client, pathOf(this.#namespace, place));
    if (object === undefined) return undefined;
    const stored = (object[place.field] as Readonly<Record<string, unknown>> | undefined)?.[
      place.key
    ];
    const bytes = Buffer.from(typeof stored === 'string' ? stored : '', 'base64');
    const text = place.isCompressed ? await expanded(bytes) : bytes.toString('utf8');
    return { text, version: object.metadata.resourceVersion ?? '' };
  }

  async write(name: StateName, text: string, before: string | undefined): Promise<boolean> {
    const place = places[name];
    const bytes = place.isCompressed ? await compress(text) : Buffer.from(text, 'utf8');
    const body = {
      ...headOf(place, this.#namespace, before),
      [place.field]: { [place.key]: bytes.toString('base64') },
    };
    return await writeObject(this.#client, this.#namespace, place, body, before);
  }
}

/** Stands in for a list that cannot be read; nobody's reports are made of it. */
async function expanded(bytes: Buffer): Promise<string> {
  try {
    const { sidecarsBytesMax: maxOutputLength } = authorityLimits;
    return (await expand(bytes, { maxOutputLength })).toString('utf8');
  } catch {
    return '';
  }
}

const bundlePlace = { kind: 'ConfigMap', name: 'tracecar-trust-bundle' } as const;

/** Whoever took it away or changed it by hand does not for longer. */
const checkMs = 30_000;

/** Keeps ConfigMap `tracecar-trust-bundle` as it has to be. */
export class BundlePublisher {
  readonly #client: KubeCalls;
  readonly #namespace: string;
  readonly #wallTime: WallTime;
  #published = '';
  #checkedMs = Number.NEGATIVE_INFINITY;

  constructor(client: KubeCalls, namespace: string, wallTime: WallTime) {
    this.#client = client;
    this.#namespace = namespace;
    this.#wallTime = wallTime;
  }

  /** The name of the object, if it is there. */
  async published(): Promise<string | undefined> {
    const found = await readObject(this.#client, pathOf(this.#namespace, bundlePlace));
    return found === undefined ? undefined : `ConfigMap ${this.#namespace}/${bundlePlace.name}`;
  }

  /** Publishes the roots (PEM) where they are not published; rejects when that cannot be done. */
  async keep(roots: string): Promise<void> {
    const nowMs = this.#wallTime();
    if (roots === this.#published && nowMs - this.#checkedMs < checkMs) return;
    this.#published = '';
    const path = pathOf(this.#namespace, bundlePlace);
    const found = await readObject(this.#client, path);
    const data = found?.data as Readonly<Record<string, unknown>> | undefined;
    if (data?.['roots.pem'] !== roots) {
      const before = found === undefined ? undefined : (found.metadata.resourceVersion ?? '');
      const head = headOf(bundlePlace, this.#namespace, before);
      const body = { ...head, data: { 'roots.pem': roots } };
      const isDone = await writeObject(this.#client, this.#namespace, bundlePlace, body, before);
      if (!isDone)
        throw new Error(`ConfigMap ${bundlePlace.name} is written by others; again soon`);
    }
    this.#published = roots;
    this.#checkedMs = nowMs;
  }
}

type Named = Pick<Place, 'kind' | 'name'>;

function collectionOf(namespace: string, { kind }: Named): string {
  const plural = kind === 'Secret' ? 'secrets' : 'configmaps';
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

function pathOf(namespace: string, place: Named): string {
  return `${collectionOf(namespace, place)}/${place.name}`;
}

function headOf({ kind, name }: Named, namespace: string, before: string | undefined) {
  return {
    apiVersion: 'v1',
    kind,
    metadata: {
      name,
      namespace,
      labels: {
        'app.kubernetes.io/name': 'tracecar-ca',
        'app.kubernetes.io/part-of': 'tracecar',
      },
      ...(before === undefined ? {} : { resourceVersion: before }),
    },
  };
}

async function readObject(client: KubeCalls, path: string): Promise<KubeObject | undefined> {
  try {
    return await client.get(path);
  } catch (error) {
    if (isKubeStatus(error, 404)) return undefined;
    throw error;
  }
}

/** False when somebody else wrote meanwhile. */
async function writeObject(
  client: KubeCalls,
  namespace: string,
  place: Named,
  body: object,
  before: string | undefined,
): Promise<boolean> {
  try {
    if (before === undefined) await client.create(collectionOf(namespace, place), body);
    else await client.replace(pathOf(namespace, place), body);
    return true;
  } catch (error) {
    // 404: what was read has been deleted since then.
    if (isKubeStatus(error, 409) || (before !== undefined && isKubeStatus(error, 404)))
      return false;
    throw error;
  }
}
