/**
 * `tracecar ca serve`: signs certificates until a signal ends it.
 *
 *   state or outside files ──each second──► material ──► authority, own leaf, DIR/bundle.pem
 *   sidecars ──HTTPS──► CaServer ──► Authority ──► audit line, report ──► state
 *
 * Whatever goes wrong while it runs (state unreadable, a wrong issuer) leaves it signing with what it had,
 * and is said once; what has ended is refused with its cause.
 */

import { createMetricsServer } from '../admin/metrics-server.ts';
import type { PageServer } from '../admin/page-server.ts';
import { systemClock, systemWallTime } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { systemRandom } from '../base/random.ts';
import { Authority } from '../identity/authority.ts';
import type { AuthorityMaterial, StateProblem } from '../identity/authority-state.ts';
import { RateLimit } from '../identity/rate-limit.ts';
import type { StateStore } from '../identity/state-store.ts';
import type { VerifyToken } from '../identity/token.ts';
import { authorityLimits } from '../model/authority-limits.ts';
import { usualTrustDomain } from '../model/security.ts';
import { CaAlarms } from './ca-alarms.ts';
import {
  materialHash,
  outsideMaterial,
  ownMaterial,
  servingPair,
  type TlsPair,
} from './ca-material.ts';
import { CaMetrics } from './ca-metrics.ts';
import { ReportsKeeper } from './ca-reports.ts';
import { CaServer } from './ca-server.ts';
import type { CaSettings } from './ca-settings.ts';
import { codeOf, listenProblem, StartError } from './listen-problem.ts';
import type { Log, LogFields } from './log.ts';
import type { SocketAddress } from './socket-address.ts';

export interface CaParts {
  readonly settings: CaSettings;
  readonly store: StateStore;
  readonly verify: VerifyToken;
  /** Makes the roots (PEM) known where sidecars find them; asked again and again, rejects when it cannot. */
  readonly publish: (roots: string) => Promise<void>;
  /** Whether roots of an earlier start are there, and what to remove to begin anew without them. */
  readonly published: () => Promise<string | undefined>;
  readonly log: Log;
}

/** One running authority. */
export class CaProgram {
  readonly #parts: CaParts;
  readonly #metrics = new CaMetrics();
  readonly #alarms: CaAlarms;
  readonly #reports: ReportsKeeper;
  readonly #authority: Authority;
  readonly #lines = new RateLimit(
    {
      burst: authorityLimits.linesBurst,
      perSecond: authorityLimits.linesPerMinute / 60,
    },
    authorityLimits.callersMax,
  );
  #server: CaServer | undefined;
  #page: PageServer | undefined;
  #hash = '';
  /** What was wrong with what it signs with at the last look; empty: nothing. */
  #doubt = '';
  /** What has been said and still holds, by what it is about. */
  readonly #troubles = new Map<'state' | 'publish' | 'reports', string>();
  /** When the server's own leaf is renewed, milliseconds since the epoch. */
  #renewMs = 0;
  #callOff: (() => void) | undefined;
  #isClosed = false;

  constructor(parts: CaParts) {
    const { log, settings, store } = parts;
    this.#parts = parts;
    this.#alarms = new CaAlarms(log.write);
    this.#reports = new ReportsKeeper({
      store,
      clock: systemClock,
      wallTime: systemWallTime,
      wakeUps: systemWakeUps,
      onTrouble: (message) => this.#tell('reports', message),
    });
    this.#authority = new Authority({
      clock: systemClock,
      wallTime: systemWallTime,
      random: systemRandom,
      leafLifeMs: settings.leafLifeMs,
      onLeaf: ({ notAfterMs, ...leaf }) => {
        this.#metrics.leaves += 1;
        const notAfter = new Date(notAfterMs).toISOString();
        log.write('info', 'certificate signed', { ...leaf, notAfter });
      },
      onReport: (report) => this.#reports.add(report),
    });
  }

  /** Opens both ports. Throws StartError. */
  async start(): Promise<{ sign: SocketAddress; metrics: SocketAddress }> {
    const { log, settings, verify } = this.#parts;
    const material = await this.#first();
    const server = new CaServer(
      {
        authority: this.#authority,
        verify,
        clock: systemClock,
        isCostly: settings.isKubernetes,
        onRefused: ({ message, ...refused }) => {
          this.#metrics.countRefusal(refused.cause);
          this.#warn(refused.address, `refused: ${message}`, refused);
        },
        onTurnedAway: (address, why) => {
          this.#metrics.countRefusal('connections');
          this.#warn(address, why, { address });
        },
        onHandshakeFailed: (address, why) => {
          this.#metrics.countRefusal('handshake');
          this.#warn(address, `a TLS handshake failed: ${why}`, { address });
        },
        onBug: (text) => log.write('error', `unexpected failure, a bug: ${text}`),
      },
      this.#use(material, systemWallTime()),
    );
    this.#server = server;
    await open(settings.listen, 'the port for certificates (--listen)', (address, port) =>
      server.listen(address, port),
    );
    await this.#publish();
    const page = createMetricsServer((format) => this.#render(format));
    this.#page = page;
    const metrics = await open(settings.metrics, 'the metrics port (--metrics)', (address, port) =>
      page.listen(address, port),
    );
    this.#saySigning(material);
    this.#lookLater();
    const sign = { address: settings.listen.address, port: server.port };
    return { sign, metrics: { address: metrics.address, port: metrics.port } };
  }

  /** Answers what is under way, and writes down what sidecars said. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#callOff?.();
    // Answers wait for their reports, and are not to be cut off because of it.
    await Promise.all([this.#reports.flush(), this.#server?.close(1_000, systemWakeUps.after)]);
    await this.#page?.close();
    await this.#reports.flush();
  }

  get #place(): string {
    return this.#parts.settings.outside?.certificate ?? this.#parts.store.place;
  }

  /** Looks at once whether there is something new. */
  reread(): Promise<void> {
    return this.#look();
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    const { clusterPollMs, statePollMs } = authorityLimits;
    const pollMs = this.#parts.settings.isKubernetes ? clusterPollMs : statePollMs;
    this.#callOff = systemWakeUps.after(pollMs, () => {
      void this.#look().then(() => this.#lookLater());
    });
  }

  async #look(): Promise<void> {
    const nowMs = systemWallTime();
    const problem = await this.#follow(nowMs);
    // Somebody may be writing the rest of it: it is said when it stays so.
    if (problem !== '' && problem === this.#doubt) {
      this.#tell('state', `${this.#place}: ${problem}; what was read before stays in use`);
    }
    this.#doubt = problem;
    if (problem === '') this.#troubles.delete('state');
    await this.#publish();
    this.#lookAtEnds(nowMs);
  }

  /** Signs with what is there now, or gives why it cannot: then nothing has changed. */
  async #follow(nowMs: number): Promise<string> {
    try {
      const material = await this.#read(false);
      if ('problem' in material) return material.problem;
      const isNew = materialHash(material) !== this.#hash;
      if (!isNew && nowMs < this.#renewMs) return '';
      const endMs = material.signer.notAfterMs;
      const isWorse = endMs <= nowMs && (this.#authority.material?.signer.notAfterMs ?? 0) > nowMs;
      if (isWorse) return `the issuer ended at ${new Date(endMs).toISOString()}`;
      this.#use(material, nowMs);
      if (isNew) this.#saySigning(material);
      return '';
    } catch (error) {
      return messageOf(error);
    }
  }

  /** At the start a state may be made, unless that would replace one that was lost. */
  async #first(): Promise<AuthorityMaterial> {
    let material: AuthorityMaterial | StateProblem;
    let published: string | undefined;
    try {
      published = await this.#parts.published();
      material = await this.#read(published === undefined);
    } catch (error) {
      throw new StartError(`${this.#place}: ${messageOf(error)}`);
    }
    if (!('problem' in material)) return material;
    const isLost = published !== undefined && (await this.#isStateAbsent());
    const anew = isLost ? `, or remove ${published} to begin anew` : '';
    throw new StartError(`${this.#place}: ${material.problem}${anew}`);
  }

  async #isStateAbsent(): Promise<boolean> {
    const { settings, store } = this.#parts;
    return settings.outside === undefined && (await store.read('authority')) === undefined;
  }

  #read(mayCreate: boolean): Promise<AuthorityMaterial | StateProblem> {
    const { settings, store } = this.#parts;
    const { leafLifeMs, outside, trustDomain } = settings;
    if (outside !== undefined) {
      return outsideMaterial(outside, trustDomain ?? usualTrustDomain, systemWallTime());
    }
    const times = { wallTime: systemWallTime, random: systemRandom };
    return ownMaterial(store, { trustDomain, leafLifeMs, mayCreate, ...times });
  }

  /** Throws when nothing can be signed or shown with it; then all is as before. */
  #use(material: AuthorityMaterial, nowMs: number): TlsPair {
    const { settings } = this.#parts;
    const pair = servingPair(material, settings.authorityNamespace, nowMs, systemRandom);
    this.#server?.useCertificate(pair);
    this.#hash = materialHash(material);
    this.#authority.use(material);
    const left = Math.min(authorityLimits.leafLifeMs, material.signer.notAfterMs - nowMs);
    this.#renewMs = nowMs + Math.max(authorityLimits.statePollMs, left / 2);
    return pair;
  }

  #saySigning({ bundle, signer }: AuthorityMaterial): void {
    this.#parts.log.write('info', 'signing', {
      issuer: signer.certificate.subject,
      issuerNotAfter: new Date(signer.notAfterMs).toISOString(),
      roots: bundle.rootHashes,
      bundleHash: bundle.hash,
    });
  }

  async #publish(): Promise<void> {
    const roots = this.#authority.material?.bundle.pem;
    if (roots === undefined) return;
    try {
      await this.#parts.publish(roots);
      this.#troubles.delete('publish');
    } catch (error) {
      const why = messageOf(error);
      this.#tell(
        'publish',
        `the roots are not published, new sidecars do not hear of them: ${why}`,
      );
    }
  }

  #lookAtEnds(nowMs: number): void {
    const { material } = this.#authority;
    if (material === undefined) return;
    const isOutside = this.#parts.settings.outside !== undefined;
    const { rootHash, rootNotAfterMs, signer } = material;
    this.#alarms.look(
      {
        what: 'the root',
        which: rootHash,
        notAfterMs: rootNotAfterMs,
        advice: isOutside
          ? 'whoever made it has to give another (--roots takes both while they change)'
          : '`tracecar ca rotate` begins with the next one',
      },
      nowMs,
    );
    this.#alarms.look(
      {
        what: 'the issuer',
        which: signer.keyId.toString('hex'),
        notAfterMs: signer.notAfterMs,
        isRenewed: !isOutside,
        advice: isOutside
          ? 'whoever made it has to replace the files of --issuer-cert and --issuer-key'
          : 'its root has too little time left for another; `tracecar ca rotate`',
      },
      nowMs,
    );
  }

  #render(format: 'prometheus' | 'openmetrics'): string {
    const { material } = this.#authority;
    return this.#metrics.render(format, material, this.#reports.size, systemWallTime());
  }

  /** Nobody fills the log: an address has a few lines a minute, and the metrics count the rest. */
  #warn(address: string, message: string, fields: LogFields): void {
    if (this.#lines.take(address, systemClock.now()) > 0) return;
    this.#parts.log.write('warn', message, fields);
  }

  /** Once, until it is something else. */
  #tell(about: 'state' | 'publish' | 'reports', message: string): void {
    if (message === this.#troubles.get(about)) return;
    this.#troubles.set(about, message);
    this.#metrics.troubles += 1;
    this.#parts.log.write('error', message);
  }
}

async function open<T>(
  { address, port }: SocketAddress,
  what: string,
  listen: (address: string, port: number) => Promise<T>,
): Promise<T> {
  try {
    return await listen(address, port);
  } catch (error) {
    throw new StartError(listenProblem(what, address, port, codeOf(error)));
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
