/**
 * The injector put together: certificates, namespace mirror, webhook and health port.
 *
 *   start:  health -> certificate stored -> webhook listens -> published + namespaces known -> ready
 *   end:    not ready -> reviews are answered a while longer -> reviews under way end -> closed
 *
 * It reads no flag and no signal: main.ts does.
 */

import { type Clock, systemClock } from '../src/base/clock.ts';
import { systemWakeUps, type WakeUps } from '../src/base/deadlines.ts';
import { systemRandom } from '../src/base/random.ts';
import type { KubeClient } from '../src/kube/kube-client.ts';
import { ResourceWatch, type WatchPlatform } from '../src/kube/resource-watch.ts';
import type { LogFields, LogLevel } from '../src/main/log.ts';
import { webhookLimits } from '../src/model/injector-limits.ts';
import { configurationName, configurationsPath, ServingCertificates } from './certificates.ts';
import { exemptNamespaces } from './exempt-namespaces.ts';
import { reviewNamespace } from './mirror.ts';
import { NamespaceMirror } from './mirror-watch.ts';
import { reviewPaths } from './review-paths.ts';
import type { InjectorSettings } from './settings.ts';
import { TrustBundleWatch } from './trust-bundle-watch.ts';
import { type Reviewer, type TlsPair, WebhookServer } from './webhook.ts';
import { InjectorHealth } from './webhook-health.ts';
import { type PodVerdict, reviewPod, type SharedSettings } from './webhook-pods.ts';
import type { WebhookTracer } from './webhook-tracer.ts';

export interface InjectorParts {
  readonly settings: InjectorSettings;
  readonly client: KubeClient;
  readonly tracer: WebhookTracer;
  /** Tracecar's, for the status annotation of pods. */
  readonly version: string;
  readonly log: (level: LogLevel, message: string, fields?: LogFields) => void;
  /** A port that cannot be opened after the start: the program ends with this. */
  readonly onListenFailure: (error: unknown) => void;
}

/** The API server asks again after another webhook changed a pod: a sidecar is news only once. */
const levels: Readonly<Record<PodVerdict['verdict'], LogLevel>> = {
  injected: 'info',
  unchanged: 'debug',
  mended: 'debug',
  skipped: 'info',
  refused: 'warn',
};

export class InjectorService {
  readonly #parts: InjectorParts;
  readonly #clock: Clock = systemClock;
  readonly #wakeUps: WakeUps = systemWakeUps;
  readonly #health: InjectorHealth;
  readonly #certificates: ServingCertificates;
  readonly #mirror: NamespaceMirror;
  readonly #configurations: ResourceWatch;
  /** Undefined: pods get no identity. */
  readonly #trust: TrustBundleWatch | undefined;
  readonly #exempt: readonly string[];
  #webhook: WebhookServer | undefined;
  #isListening = false;
  #isLeaving = false;
  #wasReady = false;

  constructor(parts: InjectorParts) {
    this.#parts = parts;
    const { client, settings, log } = parts;
    const platform = { wakeUps: this.#wakeUps, random: systemRandom };
    this.#exempt = exemptNamespaces(settings.namespace);
    this.#health = new InjectorHealth(() => this.#whyNotReady());
    this.#mirror = new NamespaceMirror({
      ...platform,
      clock: this.#clock,
      client,
      exempt: this.#exempt,
      log,
      onSynced: () => this.#noteReady(),
    });
    this.#trust = this.#openTrust(platform);
    this.#certificates = new ServingCertificates({
      ...platform,
      client,
      clock: this.#clock,
      namespace: settings.namespace,
      names: settings.names,
      log,
      onPair: (pair) => this.#usePair(pair),
      onPublished: () => this.#noteReady(),
    });
    // A person's `kubectl apply` or a repair by hand is noticed at once, not within a minute.
    this.#configurations = new ResourceWatch(
      client,
      { path: configurationsPath, fieldSelector: `metadata.name=${configurationName}` },
      {
        onObject: () => void this.#certificates.check(),
        onGone: () => void this.#certificates.check(),
        onSynced: () => {},
        onTrouble: (error) => {
          if (error.status !== 410) log('debug', error.message);
        },
      },
      platform,
    );
  }

  /** Where the webhook listens; 0 before. */
  get port(): number {
    return this.#webhook?.port ?? 0;
  }

  get healthPort(): number {
    return this.#health.port;
  }

  /** Rejects with the system's error when the health port cannot be opened; the rest goes on. */
  async start(): Promise<void> {
    const { health } = this.#parts.settings;
    await this.#health.listen(health.address, health.port);
    this.#mirror.start();
    this.#trust?.start();
    this.#configurations.start();
    void this.#certificates.check();
  }

  /** Ends it: new reviews are answered for `leaveMs` more, then those under way are finished. */
  async leave(): Promise<void> {
    this.#isLeaving = true;
    this.#webhook?.beginDrain();
    if (this.#webhook !== undefined) await this.#after(this.#parts.settings.leaveMs);
    await this.#webhook?.close();
    await Promise.all([
      this.#certificates.stop(),
      this.#mirror.stop(),
      this.#trust?.stop(),
      this.#configurations.stop(),
      // A collector that does not answer costs its spans, not the kubelet's patience.
      Promise.race([this.#parts.tracer.close(), this.#after(webhookLimits.flushMs)]),
    ]);
    await this.#parts.client.close();
    await this.#health.close();
  }

  #openTrust(platform: WatchPlatform): TrustBundleWatch | undefined {
    const { client, settings, log } = this.#parts;
    if (settings.identity === '') return undefined;
    return new TrustBundleWatch({
      ...platform,
      client,
      namespace: settings.namespace,
      log,
      onKnown: () => this.#noteReady(),
    });
  }

  #after(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeUps.after(delayMs, resolve);
    });
  }

  #usePair(pair: TlsPair): void {
    if (this.#webhook !== undefined) {
      this.#webhook.useCertificate(pair);
      this.#parts.log('info', 'new connections get the new certificate');
      return;
    }
    const { log, settings, onListenFailure, tracer } = this.#parts;
    const webhook = new WebhookServer(
      {
        reviewers: this.#reviewers(),
        wakeUps: this.#wakeUps,
        tracer,
        onTrouble: (message) => log('warn', message),
      },
      pair,
    );
    this.#webhook = webhook;
    webhook.listen(settings.listen.address, settings.listen.port).then(() => {
      this.#isListening = true;
      this.#noteReady();
    }, onListenFailure);
  }

  #reviewers(): ReadonlyMap<string, Reviewer> {
    const options = (isSelected: boolean) => ({
      settings: () => this.#injectionSettings(),
      namespaceOf: (name: string) => this.#mirror.factsOf(name, isSelected),
      onVerdict: (verdict: PodVerdict) => this.#note(verdict),
    });
    const [selected, asking] = [options(true), options(false)];
    return new Map<string, Reviewer>([
      [reviewPaths.pods, (request, span) => reviewPod(request, span, selected)],
      [reviewPaths.askingPods, (request, span) => reviewPod(request, span, asking)],
      [reviewPaths.namespaces, (request) => reviewNamespace(request, this.#exempt)],
    ]);
  }

  /** Throws while pods are to have an identity and nobody knows whom they could believe. */
  #injectionSettings(): SharedSettings {
    const { settings, version } = this.#parts;
    const { image, imagePullPolicy, propagation, otlpEndpoint } = settings;
    const plain = { image, imagePullPolicy, version, propagation, otlpEndpoint };
    const shared = { ...plain, exempt: this.#exempt };
    if (this.#trust === undefined) return shared;
    const { roots, trouble } = this.#trust;
    if (roots === '') throw new Error(`there is no trust bundle yet: ${trouble}`);
    const { identity: authority, trustDomain } = settings;
    return { ...shared, identity: { authority, trustDomain, trustBundle: roots } };
  }

  #note({ verdict, namespace, pod, reason, isDryRun }: PodVerdict): void {
    this.#parts.log(levels[verdict], `${verdict}${isDryRun ? ' (dry run)' : ''}`, {
      namespace,
      pod,
      reason,
    });
  }

  #whyNotReady(): string[] {
    const reasons: string[] = [];
    if (this.#isLeaving) reasons.push('this replica is leaving');
    if (!this.#certificates.isLoaded) reasons.push('no certificate is loaded');
    else if (!this.#isListening) reasons.push('the webhook does not listen yet');
    if (!this.#certificates.isPublished) reasons.push('the authority is not published');
    if (reasons.length > 0 && this.#certificates.trouble !== '') {
      reasons.push(`because: ${this.#certificates.trouble}`);
    }
    if (this.#trust !== undefined && this.#trust.roots === '') {
      const { trouble } = this.#trust;
      reasons.push(`no trust bundle is known${trouble === '' ? '' : `: ${trouble}`}`);
    }
    if (!this.#mirror.isSynced) reasons.push('the namespaces are not known yet');
    return reasons;
  }

  #noteReady(): void {
    if (this.#wasReady || this.#whyNotReady().length > 0) return;
    this.#wasReady = true;
    this.#parts.log('info', 'ready: the API server can ask', { port: this.port });
  }
}
