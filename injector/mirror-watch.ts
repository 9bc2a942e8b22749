/**
 * The namespace mirror at work: watches namespaces and patches those whose label lags behind.
 *
 * The webhook writes the label at once; this repairs what happened while nothing was installed, and
 * says what is wrong with a namespace that nobody could refuse. It is also the cache of namespaces that
 * pod reviews read. One patch at a time; a refused one is tried again later, a conflict never, because
 * the event that caused it is on its way.
 */

import type { Clock } from '../src/base/clock.ts';
import type { WakeUps } from '../src/base/deadlines.ts';
import type { Random } from '../src/base/random.ts';
import type { KubeClient } from '../src/kube/kube-client.ts';
import { isKubeStatus, KubeError } from '../src/kube/kube-error.ts';
import type { KubeObject } from '../src/kube/kube-object.ts';
import { ResourceWatch } from '../src/kube/resource-watch.ts';
import { namespaceProblems } from './annotations.ts';
import { mirrorNamespace } from './mirror.ts';
import { NamespaceReader, namespacesPath } from './namespace-facts.ts';
import type { NamespaceFacts } from './pod.ts';

export interface MirrorOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly random: Random;
  /** Namespaces that are left alone. */
  readonly exempt: readonly string[];
  readonly log: (level: 'info' | 'warn', message: string) => void;
  readonly onSynced: () => void;
}

const retryMs = 5_000;

export class NamespaceMirror {
  readonly #options: MirrorOptions;
  readonly #watch: ResourceWatch;
  readonly #reader: NamespaceReader;
  readonly #lagging = new Set<string>();
  /** By name: what was said of a namespace last. */
  readonly #said = new Map<string, string>();
  #isWorking = false;
  #isStopped = false;
  #callOff: (() => void) | undefined;

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#watch = new ResourceWatch(
      options.client,
      { path: namespacesPath, isMetadataOnly: true },
      {
        onObject: (namespace) => this.#onNamespace(namespace),
        onGone: ({ metadata }) => this.#forget(metadata.name ?? ''),
        onSynced: () => options.onSynced(),
        onTrouble: (error, waitMs) => {
          const next = `the namespaces are read again in ${Math.round(waitMs)} ms`;
          // History that is gone is ordinary.
          if (error.status !== 410) options.log('warn', `${error.message}; ${next}`);
        },
      },
      options,
    );
    this.#reader = new NamespaceReader(options.client, options.clock, this.#watch);
  }

  get isSynced(): boolean {
    return this.#watch.isSynced;
  }

  start(): void {
    this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#callOff?.();
    await this.#watch.stop();
  }

  /** See NamespaceReader. */
  factsOf(name: string, isSelected: boolean): Promise<NamespaceFacts> {
    return this.#reader.factsOf(name, isSelected);
  }

  #forget(name: string): void {
    this.#lagging.delete(name);
    this.#said.delete(name);
  }

  #onNamespace(namespace: KubeObject): void {
    const name = namespace.metadata.name ?? '';
    this.#complain(name, namespace);
    const { change } = mirrorNamespace(name, namespace.metadata, this.#options.exempt);
    if (change === undefined || namespace.metadata.deletionTimestamp !== undefined) {
      this.#lagging.delete(name);
      return;
    }
    this.#lagging.add(name);
    void this.#work();
  }

  /** Once for each state: the webhook refuses such a namespace, but it may be older than the webhook. */
  #complain(name: string, { metadata }: KubeObject): void {
    if (this.#options.exempt.includes(name)) return;
    const problems = namespaceProblems(metadata.labels ?? {}, metadata.annotations ?? {});
    const text = problems.join('; ');
    if (text === (this.#said.get(name) ?? '')) return;
    if (text === '') this.#said.delete(name);
    else {
      this.#said.set(name, text);
      this.#options.log('warn', `namespace ${name}: ${text}`);
    }
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    for (const name of this.#lagging) {
      if (this.#isStopped) break;
      if (await this.#repair(name)) this.#lagging.delete(name);
    }
    this.#isWorking = false;
    if (this.#lagging.size === 0 || this.#isStopped) return;
    this.#callOff?.();
    this.#callOff = this.#options.wakeUps.after(retryMs, () => void this.#work());
  }

  /** True when nothing is left to do for that namespace. */
  async #repair(name: string): Promise<boolean> {
    const namespace = this.#watch.objects.get(name);
    if (namespace === undefined) return true;
    const { change } = mirrorNamespace(name, namespace.metadata, this.#options.exempt);
    if (change === undefined) return true;
    const { resourceVersion } = namespace.metadata;
    const body = { metadata: { ...change, ...(resourceVersion && { resourceVersion }) } };
    try {
      await this.#options.client.patch(
        `${namespacesPath}/${encodeURIComponent(name)}`,
        'merge',
        body,
      );
      this.#options.log('info', `namespace ${name}: its label now follows its annotation`);
      return true;
    } catch (error) {
      if (isKubeStatus(error, 404) || isKubeStatus(error, 409)) return true;
      const text = error instanceof KubeError ? error.message : String(error);
      this.#options.log('warn', `namespace ${name}: the label could not be written: ${text}`);
      return false;
    }
  }
}
