/**
 * The sidecar put together: configuration feed, proxy, telemetry, and the three ports beside traffic.
 *
 *   start: config -> telemetry -> proxy listeners -> health, metrics, admin -> ready
 *   end:   not ready -> drain -> flush spans -> close
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
import { ProxyServer } from '../proxy/proxy-server.ts';
import type { TelemetrySettings } from '../telemetry/settings.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { ConfigFeed } from './config-feed.ts';
import { codeOf, listenProblem, StartError } from './listen-problem.ts';
import type { Log } from './log.ts';
import type { ProxySettings } from './proxy-settings.ts';
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
  /** Empty once traffic is taken. */
  whyNotReady = 'starting';
  #isStarted = false;
  readonly #servers: PageServer[] = [];

  constructor(settings: ProxySettings, telemetrySettings: TelemetrySettings, log: Log) {
    assertLimits(trafficLimits);
    this.settings = settings;
    this.log = log;
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
    });
    this.feed = new ConfigFeed({
      paths: settings.config,
      namespace: settings.namespace,
      labels: settings.labels,
      wakeUps: systemWakeUps,
      log: log.write,
      apply: (table) => this.#apply(table),
    });
  }

  /** Opens everything. Throws StartError; what was opened until then is closed by `close`. */
  async start(): Promise<void> {
    await this.feed.start();
    const { health, metrics, admin } = this.settings;
    const state = adminState(this);
    const notReady = () => this.whyNotReady;
    const ports = await Promise.all([
      this.#open(createHealthServer(notReady), health, 'health'),
      this.#open(
        createMetricsServer(() => metricsPage(this)),
        metrics,
        'metrics',
      ),
      this.#open(createAdminServer(state), admin, 'admin'),
    ]);
    this.feed.watch();
    this.#isStarted = true;
    // A signal may have come while the ports were opened.
    if (this.whyNotReady === 'starting') this.whyNotReady = '';
    this.log.write('info', 'ready', {
      version: tracecarVersion(),
      generation: this.feed.table?.generation,
      listeners: this.proxy.addresses().map((each) => `${each.name} ${each.address}:${each.port}`),
      health: ports[0],
      metrics: ports[1],
      admin: ports[2],
    });
  }

  /** Takes no new work and finishes what is under way, at most for the drain time. */
  async drain(): Promise<DrainCounts> {
    this.whyNotReady = 'draining';
    this.feed.close();
    const counts = await this.proxy.drain(this.settings.drainMs);
    await this.telemetry.flushAndClose();
    await this.#closePorts();
    return counts;
  }

  async #apply(table: RoutingTable): Promise<boolean> {
    const errors = await this.proxy.apply(table);
    for (const { listener, address, port, code } of errors) {
      const problem = listenProblem(
        `listener ${listener} of the configuration`,
        address,
        port,
        code,
      );
      if (!this.#isStarted) throw new StartError(problem);
      this.log.write('error', problem);
    }
    return errors.length === 0;
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
