/**
 * What a review is told of the namespace of its pod, and when the cache may tell it.
 *
 *   the watch was heard of just now, and the cache says of the label what the call implies -> cache
 *   the namespace was read just now, likewise                                              -> that
 *   anything else -> read from the API server; when that fails, the review fails
 *
 * The API server asks because of the namespace's label. A cache that does not know of it yet would
 * admit the pod without its sidecar: a hole that nobody sees. Other annotations may be as old as
 * `namespaceTrustMs`, where a watch died without a word, and no older.
 */

import type { Clock } from '../src/base/clock.ts';
import type { KubeClient } from '../src/kube/kube-client.ts';
import type { KubeObject } from '../src/kube/kube-object.ts';
import { webhookLimits } from '../src/model/injector-limits.ts';
import { injectKey } from './annotations.ts';
import type { NamespaceFacts } from './pod.ts';

/** What is known without a question. */
export interface NamespaceCache {
  readonly objects: ReadonlyMap<string, KubeObject>;
  /** Clock time of the last sign that `objects` is up to date. */
  readonly heardAtMs: number;
}

interface Reading {
  readonly facts: NamespaceFacts;
  /** When the question was asked: the answer is not older. */
  readonly atMs: number;
}

export const namespacesPath = '/api/v1/namespaces';

export class NamespaceReader {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #cache: NamespaceCache;
  /** Oldest first. */
  readonly #readings = new Map<string, Reading>();
  readonly #underWay = new Map<string, Promise<NamespaceFacts>>();

  constructor(client: KubeClient, clock: Clock, cache: NamespaceCache) {
    this.#client = client;
    this.#clock = clock;
    this.#cache = cache;
  }

  /**
   * Labels and annotations. `isSelected`: the API server asks because the namespace's label says
   * enabled; false: it asks although the label does not. Rejects when it cannot be known.
   */
  async factsOf(name: string, isSelected: boolean): Promise<NamespaceFacts> {
    const oldestMs = this.#clock.now() - webhookLimits.namespaceTrustMs;
    const known = this.#cache.objects.get(name);
    if (known !== undefined && this.#cache.heardAtMs >= oldestMs) {
      const facts = factsFrom(name, known);
      if (isEnabled(facts) === isSelected) return facts;
    }
    const reading = this.#readings.get(name);
    if (reading !== undefined && reading.atMs >= oldestMs) {
      if (isEnabled(reading.facts) === isSelected) return reading.facts;
    }
    const shared = this.#underWay.get(name);
    if (shared !== undefined) {
      // It was asked before this review came: what it says against the review may be old.
      const facts = await shared;
      if (isEnabled(facts) === isSelected) return facts;
    }
    return this.#read(name);
  }

  #read(name: string): Promise<NamespaceFacts> {
    const asked = this.#ask(name).finally(() => {
      if (this.#underWay.get(name) === asked) this.#underWay.delete(name);
    });
    this.#underWay.set(name, asked);
    return asked;
  }

  async #ask(name: string): Promise<NamespaceFacts> {
    const atMs = this.#clock.now();
    const signal = AbortSignal.timeout(webhookLimits.namespaceTimeoutMs);
    const url = `${namespacesPath}/${encodeURIComponent(name)}`;
    const facts = factsFrom(name, await this.#client.get(url, { signal }));
    this.#readings.delete(name);
    this.#readings.set(name, { facts, atMs });
    for (const [other, reading] of this.#readings) {
      if (reading.atMs >= atMs - webhookLimits.namespaceTrustMs) break;
      this.#readings.delete(other);
    }
    return facts;
  }
}

function isEnabled({ labels }: NamespaceFacts): boolean {
  return Object.hasOwn(labels, injectKey) && labels[injectKey] === 'enabled';
}

function factsFrom(name: string, { metadata }: KubeObject): NamespaceFacts {
  return { name, labels: metadata.labels ?? {}, annotations: metadata.annotations ?? {} };
}
