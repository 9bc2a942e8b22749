/**
 * One collection of the API server, kept in memory: listed once, then watched, and healed for ever.
 *
 *    list (pages) -> watch from its version -> events ... -> the server ends it -> watch again
 *         ^                                        |
 *         +---- 410, or failures in a row ---------+      (every failure waits, a bit longer each time)
 *
 * What always holds: a handler hears of every object that exists and of every one that is gone, also
 * when that happened while nobody watched. It may hear of an unchanged object again.
 */

import { type Clock, systemClock } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import { type Random, randomBelow } from '../base/random.ts';
import { type KubeLimits, kubeLimits } from '../model/injector-limits.ts';
import { EventLines } from './event-lines.ts';
import type { KubeClient, Query } from './kube-client.ts';
import { isKubeStatus, KubeError } from './kube-error.ts';
import { type KubeObject, keyOf, type WatchEvent } from './kube-object.ts';

export interface WatchTarget {
  /** `/api/v1/namespaces`. */
  readonly path: string;
  /** `metadata.name=tracecar-injector`. */
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** Ask for names, labels and annotations only: a fraction of the bytes. */
  readonly isMetadataOnly?: boolean;
}

export interface WatchHandlers {
  /** New, changed, or seen again. What it throws is reported and the watch goes on. */
  onObject(object: KubeObject): void;
  onGone(object: KubeObject): void;
  /** After each complete list, the first one too. */
  onSynced(): void;
  /** A failure that will be tried again after `waitMs`. */
  onTrouble(error: KubeError, waitMs: number): void;
}

export interface WatchPlatform {
  readonly wakeUps: WakeUps;
  readonly random: Random;
  readonly clock?: Clock;
  readonly limits?: KubeLimits;
}

const metadataKind = 'g=meta.k8s.io;v=v1';

export class ResourceWatch {
  readonly #client: KubeClient;
  readonly #target: WatchTarget;
  readonly #handlers: WatchHandlers;
  readonly #wakeUps: WakeUps;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #limits: KubeLimits;
  readonly #stop = new AbortController();
  readonly #objects = new Map<string, KubeObject>();
  #version = '';
  #failures = 0;
  #isSynced = false;
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #ended: Promise<void> | undefined;

  constructor(
    client: KubeClient,
    target: WatchTarget,
    handlers: WatchHandlers,
    platform: WatchPlatform,
  ) {
    this.#client = client;
    this.#target = target;
    this.#handlers = handlers;
    this.#wakeUps = platform.wakeUps;
    this.#random = platform.random;
    this.#clock = platform.clock ?? systemClock;
    this.#limits = platform.limits ?? kubeLimits;
  }

  /** By `keyOf`: the newest that was heard of each. */
  get objects(): ReadonlyMap<string, KubeObject> {
    return this.#objects;
  }

  /** Whether a whole list has been read; stays true when the server goes away later. */
  get isSynced(): boolean {
    return this.#isSynced;
  }

  /**
   * Clock time of the last sign that `objects` is up to date: a list, an event or a bookmark. A watch
   * that is dead without a word shows none, and neither does one of a collection that nobody changes.
   */
  get heardAtMs(): number {
    return this.#heardAtMs;
  }

  /** Begins; failures are told to `onTrouble` and tried again until `stop`. */
  start(): void {
    this.#ended ??= this.#run();
  }

  /** Ends it; no handler is called afterwards. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (this.#version === '') await this.#list();
        if (!signal.aborted) await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  async #list(): Promise<void> {
    const askedAtMs = this.#clock.now();
    const found = new Map<string, KubeObject>();
    let version = '';
    let next = '';
    do {
      const page = await this.#client.list(this.#target.path, {
        query: {
          ...this.#selectors(),
          limit: this.#limits.listPage,
          ...(next && { continue: next }),
        },
        accept: this.#accept('PartialObjectMetadataList'),
        signal: this.#stop.signal,
      });
      if (!Array.isArray(page.items)) {
        throw new KubeError(0, 'Garbled', `GET ${this.#target.path}: the list has no items`);
      }
      for (const object of page.items as KubeObject[]) found.set(keyOf(object), object);
      version = page.metadata.resourceVersion ?? '';
      next = page.metadata.continue ?? '';
    } while (next !== '');
    if (this.#stop.signal.aborted) return;
    for (const [key, object] of this.#objects) {
      if (!found.has(key)) this.#take('DELETED', object);
    }
    for (const object of found.values()) this.#take('ADDED', object);
    this.#version = version;
    this.#isSynced = true;
    this.#heardAtMs = askedAtMs;
    this.#handlers.onSynced();
  }

  /** Resolves when the server ends the watch in good order. */
  async #watch(): Promise<void> {
    const { watchSecondsMin, watchSecondsMax } = this.#limits;
    const seconds =
      watchSecondsMin + randomBelow(this.#random, watchSecondsMax - watchSecondsMin + 1);
    const stalled = new AbortController();
    const stream = await this.#client.watch(this.#target.path, {
      query: {
        ...this.#selectors(),
        resourceVersion: this.#version,
        allowWatchBookmarks: true,
        timeoutSeconds: seconds,
      },
      accept: this.#accept('PartialObjectMetadata'),
      signal: AbortSignal.any([this.#stop.signal, stalled.signal]),
    });
    let callOff = this.#guard(stalled);
    let events = 0;
    try {
      const lines = new EventLines(this.#limits.eventBytesMax);
      for await (const chunk of stream) {
        callOff();
        callOff = this.#guard(stalled);
        for (const event of lines.push(chunk)) {
          if (this.#stop.signal.aborted) return;
          this.#onEvent(event);
          events += 1;
        }
      }
    } catch (error) {
      if (error instanceof KubeError) throw error;
      const cause = stalled.signal.aborted ? 'was silent for too long' : 'was cut';
      throw new KubeError(0, 'Cut', `the watch of ${this.#target.path} ${cause}`);
    } finally {
      callOff();
    }
    // A server that accepts and ends at once would otherwise be asked without a pause.
    if (events === 0)
      throw new KubeError(0, 'Empty', `the watch of ${this.#target.path} ended empty`);
  }

  #guard(stalled: AbortController): () => void {
    return this.#wakeUps.after(this.#limits.watchIdleMs, () => stalled.abort());
  }

  #onEvent({ type, object }: WatchEvent): void {
    if (type === 'ERROR') {
      const { code, reason, message } = object as {
        code?: unknown;
        reason?: unknown;
        message?: unknown;
      };
      throw new KubeError(
        typeof code === 'number' ? code : 0,
        typeof reason === 'string' ? reason : '',
        `the watch of ${this.#target.path} ended: ${String(message)}`,
      );
    }
    this.#failures = 0;
    this.#heardAtMs = this.#clock.now();
    this.#version = object.metadata.resourceVersion ?? this.#version;
    if (type !== 'BOOKMARK') this.#take(type, object);
  }

  #take(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubeObject): void {
    if (type === 'DELETED') this.#objects.delete(keyOf(object));
    else this.#objects.set(keyOf(object), object);
    try {
      if (type === 'DELETED') this.#handlers.onGone(object);
      else this.#handlers.onObject(object);
    } catch (error) {
      this.#handlers.onTrouble(
        new KubeError(0, 'Handler', `a handler failed: ${String(error)}`),
        0,
      );
    }
  }

  /** Decides what the next round begins with and waits before it. */
  async #recover(error: unknown): Promise<void> {
    const trouble =
      error instanceof KubeError ? error : new KubeError(0, 'Bug', `unexpected: ${String(error)}`);
    this.#failures += 1;
    const isExpired = isKubeStatus(trouble, 410);
    if (isExpired || this.#failures >= this.#limits.failuresBeforeRelist) this.#version = '';
    // History that is gone is nobody's fault: the first time, list at once.
    const waitMs = isExpired && this.#failures === 1 ? 0 : this.#backoffMs(trouble);
    this.#handlers.onTrouble(trouble, waitMs);
    if (waitMs > 0) await this.#wait(waitMs);
  }

  /** Doubles up to the maximum; between half and all of it, so that replicas spread. */
  #backoffMs({ retryAfterMs }: KubeError): number {
    const { backoffMinMs, backoffMaxMs } = this.#limits;
    const full = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(this.#failures - 1, 16));
    const waitMs = full / 2 + randomBelow(this.#random, Math.ceil(full / 2) + 1);
    return Math.max(waitMs, Math.min(retryAfterMs ?? 0, backoffMaxMs));
  }

  #wait(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const { signal } = this.#stop;
      const callOff = this.#wakeUps.after(waitMs, done);
      function done(): void {
        signal.removeEventListener('abort', done);
        callOff();
        resolve();
      }
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }

  #selectors(): Query {
    const { fieldSelector, labelSelector } = this.#target;
    return {
      ...(fieldSelector === undefined ? {} : { fieldSelector }),
      ...(labelSelector === undefined ? {} : { labelSelector }),
    };
  }

  #accept(kind: string): string {
    if (this.#target.isMetadataOnly !== true) return 'application/json';
    return `application/json;as=${kind};${metadataKind},application/json`;
  }
}
