/**
 * The roots that the authority publishes, for the pods that are injected: ConfigMap
 * `tracecar-trust-bundle` of the injector's namespace, followed while it runs.
 *
 * What cannot be read changes nothing: the last good roots stay, and the log says why. Without any
 * there is no pod that could believe somebody, and the injector is not ready.
 */

import { readTrustBundle } from '../src/identity/trust-bundle.ts';
import type { KubeClient } from '../src/kube/kube-client.ts';
import type { KubeObject } from '../src/kube/kube-object.ts';
import { ResourceWatch, type WatchPlatform } from '../src/kube/resource-watch.ts';
import { trustBundleKey, trustBundleName } from './trust-bundle-name.ts';

export interface TrustBundleOptions extends WatchPlatform {
  readonly client: KubeClient;
  /** The injector's own namespace. */
  readonly namespace: string;
  readonly log: (level: 'info' | 'warn', message: string) => void;
  /** After the first good roots. */
  readonly onKnown: () => void;
}

export class TrustBundleWatch {
  readonly #options: TrustBundleOptions;
  readonly #watch: ResourceWatch;
  #hash = '';
  #roots = '';
  #trouble = '';

  constructor(options: TrustBundleOptions) {
    this.#options = options;
    const { client, namespace } = options;
    this.#watch = new ResourceWatch(
      client,
      {
        path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`,
        fieldSelector: `metadata.name=${trustBundleName}`,
      },
      {
        onObject: (object) => this.#read(object),
        onGone: () => this.#complain('it is gone'),
        onSynced: () => {
          if (this.#watch.objects.size === 0) this.#complain('it is not there yet');
        },
        onTrouble: (error) => {
          if (error.status !== 410) this.#complain(error.message);
        },
      },
      options,
    );
  }

  /** PEM; empty: there were none yet. */
  get roots(): string {
    return this.#roots;
  }

  /** Why there are no newer roots, for a person; empty when all is well. */
  get trouble(): string {
    return this.#trouble;
  }

  start(): void {
    this.#watch.start();
  }

  stop(): Promise<void> {
    return this.#watch.stop();
  }

  #read({ data }: KubeObject): void {
    const text = (data as Readonly<Record<string, unknown>> | undefined)?.[trustBundleKey];
    const bundle = readTrustBundle(typeof text === 'string' ? text : '');
    if ('problem' in bundle) {
      this.#complain(`${trustBundleKey}: ${bundle.problem}`);
      return;
    }
    this.#trouble = '';
    if (bundle.hash === this.#hash) return;
    const isFirst = this.#hash === '';
    this.#hash = bundle.hash;
    this.#roots = bundle.pem;
    const count = bundle.roots.length;
    this.#options.log('info', `new pods trust ${count === 1 ? 'one root' : `${count} roots`}`);
    if (isFirst) this.#options.onKnown();
  }

  #complain(problem: string): void {
    if (problem === this.#trouble) return;
    this.#trouble = problem;
    const what =
      this.#hash === ''
        ? 'pods that want an identity wait for it; does deployment/tracecar-ca run?'
        : 'new pods get the roots that were read before';
    this.#options.log('warn', `ConfigMap ${trustBundleName}: ${problem}; ${what}`);
  }
}
