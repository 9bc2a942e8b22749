/**
 * The sidecar put together: configuration feed, proxy, telemetry, and the three ports beside traffic.
 *
 *   start:    config -> telemetry -> proxy listeners -> health, metrics, admin -> ready
 *   captured: health, metrics, admin -> redirection proven -> config -> proxy listeners -> ready
 *   end:      not ready -> drain -> flush spans -> close
 *
 * It reads no flag and no signal: `proxy.ts` does. Every failure to start is a StartError.
 */

import { createAdminServer } from '../admin/admin-server.ts';
import { createHealthServer } from '../admin/health-server.ts';
import { createMetricsServer } from '../admin/metrics-server.ts';
import type { PageServer } from '../admin/page-server.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { systemRandom } from '../base/random.ts';
import { assertLimits, telemetryLimits, trafficLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import type { CaptureOptions } from '../proxy/proxy-scope.ts';
import { type ListenError, ProxyServer } from '../proxy/proxy-server.ts';
import type { TelemetrySettings } from '../telemetry/settings.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { ConfigFeed } from './config-feed.ts';
import { codeOf, listenProblem, StartError } from './listen-problem.ts';
import type { Log } from './log.ts';
import type { ProxySettings } from './proxy-settings.ts';
import { awaitProof, podAddresses, prepareCapture } from './sidecar-capture.ts';
import { adminState, metricsPage } from './sidecar-state.ts';
import type { SocketAddress } from './socket-address.ts';
import { bundledWorker, tracecarVersion } from './version.ts';

export interface DrainCounts {
  readonly finished: number;
  readonly cut: number;
}

export class Sidecar {
  readonly settings: ProxySettings;
  readonly log: Log;
  readonly clock: Clock = systemClock;
  readonly feed: ConfigFeed;
  readonly proxy: ProxyServer;
  readonly telemetry: Telemetry;
  /** Of the start, the proof or the end; empty between them. */
  #phase = 'starting';
  readonly #capture: CaptureOptions | undefined;
  #isEnding = false;
  #isStarted = false;
  readonly #servers: PageServer[] = [];

  constructor(settings: ProxySettings, telemetrySettings: TelemetrySettings, log: Log) {
    assertLimits(trafficLimits);
    this.settings = settings;
    this.log = log;
    this.#capture = prepareCapture(settings);
    const worker = bundledWorker();
    this.telemetry = Telemetry.start({
      settings: telemetrySettings,
      clock: this.clock,
      wakeUps: systemWakeUps,
      random: systemRandom,
      log: log.write,
      version: tracecarVersion(),
      accessLog: settings.accessLog,
      limits: {
        ...telemetryLimits,
        recordRingBytes: settings.recordRingBytes,
        textRingBytes: settings.recordRingBytes,
      },
      ...(worker === undefined ? {} : { workerUrl: worker }),
    });
    this.proxy = new ProxyServer({
      clock: this.clock,
      random: systemRandom,
      wakeUps: systemWakeUps,
      limits: { ...trafficLimits, drainMs: settings.drainMs },
      telemetry: this.telemetry,
      log: log.write,
      ...(this.#capture === undefined ? {} : { capture: this.#capture }),
    });
    this.feed = new ConfigFeed({
      paths: settings.config,
      namespace: settings.namespace,
      labels: settings.labels,
      capture: settings.capture,
      wakeUps: systemWakeUps,
      log: log.write,
      apply: (table) => this.#apply(table),
    });
  }

  /** Empty while traffic is taken, on every listener of the configuration. */
  get whyNotReady(): string {
    if (this.#phase !== '') return this.#phase;
    return this.proxy.unopened().map(unopenedProblem).join('; ');
  }

  /** Opens everything. Throws StartError; what was opened until then is closed by `close`. */
  async start(): Promise<void> {
    if (this.#capture === undefined) await this.feed.start();
    const ports = await this.#openPorts();
    if (this.#capture !== undefined) {
      await this.#prove(this.#capture);
      if (this.#isEnding) return;
      await this.feed.start();
    }
    this.feed.watch();
    this.#isStarted = true;
    // A signal may have come meanwhile.
    if (!this.#isEnding) this.#phase = '';
    this.log.write('info', 'ready', {
      version: tracecarVersion(),
      generation: this.feed.table?.generation,
      listeners: this.proxy.addresses().map((each) => `${each.name} ${each.address}:${each.port}`),
      health: ports[0],
      metrics: ports[1],
      admin: ports[2],
    });
  }

  /** The pod is ending: not ready, callers move away, the application still reaches others. */
  leave(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#phase = 'draining';
    this.log.write('info', 'the pod is ending: inbound connections move away');
    this.proxy.leave();
  }

  /** Takes no new work and finishes what is under way, at most for the drain time. */
  async drain(): Promise<DrainCounts> {
    this.#isEnding = true;
    this.#phase = 'draining';
    this.feed.close();
    const counts = await this.proxy.drain(this.settings.drainMs);
    await this.telemetry.flushAndClose();
    await this.#closePorts();
    return counts;
  }

  #prove(capture: CaptureOptions): Promise<void> {
    return awaitProof({
      capture,
      wakeUps: systemWakeUps,
      log: this.log,
      onProblem: (problem) => {
        if (!this.#isEnding) this.#phase = problem;
      },
      isOver: () => this.#isEnding,
    });
  }

  #openPorts(): Promise<string[]> {
    const { health, metrics, admin, drainSecret, probes } = this.settings;
    const healthServer = createHealthServer({
      whyNotReady: () => this.whyNotReady,
      leave: () => this.leave(),
      drainSecret,
      probes,
      applicationAddress: podAddresses(this.settings)[0] ?? '127.0.0.1',
      wakeUps: systemWakeUps,
    });
    const metricsServer = createMetricsServer(() => metricsPage(this));
    return Promise.all([
      this.#open(healthServer, health, 'health'),
      this.#open(metricsServer, metrics, 'metrics'),
      this.#open(createAdminServer(adminState(this)), admin, 'admin'),
    ]);
  }

  async #apply(table: RoutingTable): Promise<void> {
    this.telemetry.describe(table);
    const errors = await this.proxy.apply(table);
    for (const error of errors) {
      const problem = unopenedProblem(error);
      if (!this.#isStarted) throw new StartError(problem);
      this.log.write('error', `${problem}; not ready until it is open`);
    }
  }

  async #open(server: PageServer, at: SocketAddress, flag: string): Promise<string> {
    try {
      const { address, port } = await server.listen(at.address, at.port);
      this.#servers.push(server);
      return `${address.includes(':') ? `[${address}]` : address}:${port}`;
    } catch (error) {
      const what = `the ${flag} port (--${flag} chooses another)`;
      throw new StartError(listenProblem(what, at.address, at.port, codeOf(error)));
    }
  }

  async #closePorts(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.close()));
  }
}

/** One line for the log and for `/healthz/ready`. */
function unopenedProblem({ listener, address, port, code }: ListenError): string {
  const direction = /^capture\|(\w+)$/.exec(listener)?.[1];
  const what =
    direction === undefined
      ? `listener ${listener} of the configuration`
      : `for captured connections (--${direction} chooses another, as must the rules)`;
  return listenProblem(what, address, port, code);
}
