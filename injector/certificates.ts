/**
 * Where the webhook's certificates live: Secret `tracecar-injector-tls`, and what is published of it.
 *
 *    Secret (create: 409 = another replica won) -> the pair this process serves with
 *         `-- renewed at 2/3 of its life by whoever notices first (resourceVersion decides)
 *    its ca.crt -> caBundle of every webhook of MutatingWebhookConfiguration `tracecar-injector`
 *
 * A Secret without `ca.key` belongs to somebody else (cert-manager writes such): it is served and
 * never written. A configuration that cert-manager fills is left alone too. One pass at a time; the
 * Secret is read again before anything is published, so replicas never undo each other's work.
 */

import type { Clock } from '../src/base/clock.ts';
import type { WakeUps } from '../src/base/deadlines.ts';
import { type Random, randomBelow } from '../src/base/random.ts';
import {
  pairProblem,
  renewServingCertificate,
  type StoredCertificate,
} from '../src/identity/serving-certificate.ts';
import type { KubeClient } from '../src/kube/kube-client.ts';
import { isKubeStatus, KubeError } from '../src/kube/kube-error.ts';
import type { KubeObject } from '../src/kube/kube-object.ts';
import { servingCertificateLimits } from '../src/model/injector-limits.ts';
import { bundlePatch, isFilledByOthers } from './certificates-bundle.ts';
import type { TlsPair } from './webhook.ts';

export interface CertificateOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly random: Random;
  /** The injector's own namespace. */
  readonly namespace: string;
  /** DNS names and addresses that callers use. */
  readonly names: readonly string[];
  readonly log: (level: 'info' | 'warn', message: string) => void;
  /** A pair to serve with from now on. */
  readonly onPair: (pair: TlsPair) => void;
  /** After each pass that changed what `isPublished` says. */
  readonly onPublished: () => void;
}

export const secretName = 'tracecar-injector-tls';
export const configurationName = 'tracecar-injector';
export const configurationsPath =
  '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
const attemptsMax = 5;

export class ServingCertificates {
  readonly #options: CertificateOptions;
  #pair: TlsPair | undefined;
  #isPublished = false;
  #trouble = '';
  #pass: Promise<void> | undefined;
  #isAskedAgain = false;
  #isStopped = false;
  #callOff: (() => void) | undefined;
  #failures = 0;

  constructor(options: CertificateOptions) {
    this.#options = options;
  }

  get isLoaded(): boolean {
    return this.#pair !== undefined;
  }

  /** Whether the API server was last seen to trust what we serve with. */
  get isPublished(): boolean {
    return this.#isPublished;
  }

  /** What stands in the way, for a person; empty when all is well. */
  get trouble(): string {
    return this.#trouble;
  }

  /** Compares and repairs now; while a pass is under way, once more after it. */
  check(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    if (this.#pass !== undefined) {
      this.#isAskedAgain = true;
      return this.#pass;
    }
    this.#callOff?.();
    this.#pass = this.#run().finally(() => {
      this.#pass = undefined;
    });
    return this.#pass;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#callOff?.();
    await this.#pass;
  }

  async #run(): Promise<void> {
    do {
      this.#isAskedAgain = false;
      try {
        const stored = await this.#load();
        this.#use(stored);
        await this.#publish(stored.caPem);
        this.#settle('');
      } catch (error) {
        this.#settle(error instanceof Error ? error.message : String(error));
      }
    } while (this.#isAskedAgain && !this.#isStopped);
    if (!this.#isStopped) {
      this.#callOff = this.#options.wakeUps.after(this.#waitMs(), () => void this.check());
    }
  }

  #settle(trouble: string): void {
    this.#failures = trouble === '' ? 0 : this.#failures + 1;
    if (trouble !== '' && trouble !== this.#trouble) this.#options.log('warn', trouble);
    if (trouble === '' && this.#trouble !== '') {
      this.#options.log('info', 'the certificate is stored and published');
    }
    this.#trouble = trouble;
  }

  /** A minute, spread over replicas; sooner while something is wrong. */
  #waitMs(): number {
    const { checkMs } = servingCertificateLimits;
    const fullMs = this.#failures === 0 ? checkMs : Math.min(checkMs, 250 * 2 ** this.#failures);
    return fullMs / 2 + randomBelow(this.#options.random, Math.ceil(fullMs / 2) + 1);
  }

  /** What the Secret holds, after it was made or renewed if that was ours to do. */
  async #load(): Promise<StoredCertificate> {
    const { client, namespace, log } = this.#options;
    const collection = `/api/v1/namespaces/${encodeURIComponent(namespace)}/secrets`;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const secret = await this.#read(`${collection}/${secretName}`);
      const stored = storedIn(secret);
      const isForeign = stored.caKeyPem === '' && stored.certPem !== '';
      if (isForeign) return stored;
      const now = this.#now();
      const renewed = renewServingCertificate(stored, { dnsNames: this.#options.names, now });
      if (renewed === undefined) return stored;
      const body = secretOf(renewed.certificate, namespace, secret);
      try {
        if (secret === undefined) await client.create(collection, body);
        else await client.replace(`${collection}/${secretName}`, body);
      } catch (error) {
        // Another replica was faster: what it wrote is as good.
        if (isKubeStatus(error, 409)) continue;
        throw error;
      }
      const until = new Date(renewed.certificate.notAfter).toISOString();
      const why = secret === undefined ? 'there was none' : renewed.reason;
      log('info', `a certificate until ${until} was stored in Secret ${secretName}: ${why}`);
      return renewed.certificate;
    }
    throw new KubeError(
      409,
      'Conflict',
      `Secret ${namespace}/${secretName} changed ${attemptsMax} times while it was written; do two injectors with different names share it?`,
    );
  }

  async #read(path: string): Promise<KubeObject | undefined> {
    try {
      return await this.#options.client.get(path);
    } catch (error) {
      if (isKubeStatus(error, 404)) return undefined;
      throw error;
    }
  }

  #use({ certPem, keyPem }: StoredCertificate): void {
    if (this.#pair?.cert === certPem && this.#pair.key === keyPem) return;
    const problem = pairProblem(certPem, keyPem, this.#now());
    if (problem !== undefined) {
      throw new Error(
        `Secret ${this.#options.namespace}/${secretName} cannot be served with: ${problem}; delete it (without ca.key it is not ours to replace) and a new one is made`,
      );
    }
    const pair: TlsPair = { cert: certPem, key: keyPem };
    this.#options.onPair(pair);
    this.#pair = pair;
  }

  async #publish(caPem: string): Promise<void> {
    const { client, log } = this.#options;
    const path = `${configurationsPath}/${configurationName}`;
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      let configuration: KubeObject;
      try {
        configuration = await client.get(path);
      } catch (error) {
        this.#setPublished(false);
        if (!isKubeStatus(error, 404)) throw error;
        throw new Error(
          `there is no MutatingWebhookConfiguration ${configurationName}, so the API server asks nobody; \`tracecar install | kubectl apply -f -\` makes it`,
        );
      }
      if (isFilledByOthers(configuration)) return this.#setPublished(true);
      if (caPem === '') {
        throw new Error(`Secret ${secretName} has no ca.crt, so nothing can be published`);
      }
      const patch = bundlePatch(configuration, caPem);
      if (patch.length === 0) return this.#setPublished(true);
      this.#setPublished(false);
      try {
        await client.patch(path, 'json', patch);
        log(
          'info',
          `the authority was published in MutatingWebhookConfiguration ${configurationName}`,
        );
        return this.#setPublished(true);
      } catch (error) {
        // The test of its version failed: somebody else wrote it.
        if (!isKubeStatus(error, 409) && !isKubeStatus(error, 422)) throw error;
      }
    }
    throw new Error(`MutatingWebhookConfiguration ${configurationName} changes all the time`);
  }

  #setPublished(isPublished: boolean): void {
    if (isPublished === this.#isPublished) return;
    this.#isPublished = isPublished;
    this.#options.onPublished();
  }

  #now(): number {
    const { clock } = this.#options;
    return clock.epochMs + clock.now();
  }
}

function storedIn(secret: KubeObject | undefined): StoredCertificate {
  const data = (secret?.data ?? {}) as Readonly<Record<string, unknown>>;
  const text = (key: string): string => {
    const value = data[key];
    return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : '';
  };
  return {
    caPem: text('ca.crt'),
    caKeyPem: text('ca.key'),
    certPem: text('tls.crt'),
    keyPem: text('tls.key'),
  };
}

/** `old` keeps its labels and its version, so that a write after somebody else's is refused. */
function secretOf(stored: StoredCertificate, namespace: string, old: KubeObject | undefined) {
  const base64 = (text: string) => Buffer.from(text, 'utf8').toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: (old?.type as string | undefined) ?? 'kubernetes.io/tls',
    metadata: old?.metadata ?? {
      name: secretName,
      namespace,
      labels: {
        'app.kubernetes.io/name': 'tracecar-injector',
        'app.kubernetes.io/part-of': 'tracecar',
      },
    },
    data: {
      'ca.crt': base64(stored.caPem),
      'ca.key': base64(stored.caKeyPem),
      'tls.crt': base64(stored.certPem),
      'tls.key': base64(stored.keyPem),
    },
  };
}
