/**
 * The ports of a sidecar beside traffic: health, metrics, admin, and metrics merged with the application's.
 *
 * With probes to serve, the health port has a thread of its own, so that the kubelet is answered while
 * traffic keeps ours busy; then what it shows is told to it.
 */

import { createAdminServer } from '../admin/admin-server.ts';
import { AppMetrics, type AppMetricsPage } from '../admin/app-metrics.ts';
import { HealthLink } from '../admin/health-link.ts';
import { HealthPort } from '../admin/health-port.ts';
import { createMergedServer } from '../admin/merged-server.ts';
import { createMetricsServer } from '../admin/metrics-server.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { systemRandom } from '../base/random.ts';
import type { TextFormat } from '../telemetry/metrics/metric-text.ts';
import { drainSecretOf } from './drain-secret.ts';
import { codeOf, listenProblem, StartError } from './listen-problem.ts';
import type { Sidecar } from './sidecar.ts';
import { podAddresses } from './sidecar-capture.ts';
import { adminState, metricsPage } from './sidecar-state.ts';
import type { SocketAddress } from './socket-address.ts';
import { bundledWorker } from './version.ts';

/** A PageServer, or a HealthLink to one. */
interface Port {
  listen(address: string, port: number): Promise<SocketAddress>;
  close(): Promise<void>;
}

/** Where they listen, for people. */
export interface OpenPorts {
  readonly health: string;
  readonly metrics: string;
  readonly admin: string;
  /** Absent where nothing is merged. */
  readonly merged?: string;
}

export class SidecarPorts {
  readonly #sidecar: Sidecar;
  readonly #ports: Port[] = [];
  #health: HealthLink | undefined;
  #isClosed = false;

  constructor(sidecar: Sidecar) {
    this.#sidecar = sidecar;
  }

  /** Throws StartError. */
  async open(): Promise<OpenPorts> {
    const sidecar = this.#sidecar;
    const { settings } = sidecar;
    const { merged } = settings;
    const [health, metrics, admin, joined] = await Promise.all([
      this.#open(this.#healthPort(), settings.health, 'health'),
      this.#open(
        createMetricsServer((format) => this.#ownPage(format, false)),
        settings.metrics,
        'metrics',
      ),
      this.#open(createAdminServer(adminState(sidecar)), settings.admin, 'admin'),
      merged && this.#open(this.#mergedPort(merged.page), merged.at, 'merged-metrics'),
    ]);
    return { health, metrics, admin, ...(joined === undefined ? {} : { merged: joined }) };
  }

  /** Whether the sidecar is ready, or open, may have changed. */
  tell(): void {
    this.#health?.tell();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(this.#ports.map((port) => port.close()));
  }

  async #ownPage(format: TextFormat, isMerged: boolean): Promise<Iterable<string>> {
    const sidecar = this.#sidecar;
    // Only OpenMetrics has a place for them.
    const exemplars = format === 'openmetrics' ? await sidecar.telemetry.exemplars() : [];
    return metricsPage(sidecar, format, exemplars, isMerged);
  }

  #mergedPort(page: AppMetricsPage): Port {
    const { log, settings } = this.#sidecar;
    // Outside of a pod the application is on this machine, mostly on loopback alone.
    const address = settings.podAddresses[0] ?? '127.0.0.1';
    const where = `http://${address.includes(':') ? `[${address}]` : address}:${page.port}${page.path}`;
    const application = new AppMetrics({
      ...{ page, address, wakeUps: systemWakeUps },
      onProblem: (problem) =>
        problem === ''
          ? log.write('info', `metrics of the application are merged again (${where})`)
          : log.write('warn', `no metrics of the application from ${where}: ${problem}`),
    });
    return createMergedServer((format) => this.#ownPage(format, true), application);
  }

  #healthPort(): Port {
    const sidecar = this.#sidecar;
    const { probes } = sidecar.settings;
    const options = {
      whyNotReady: () => sidecar.whyNotReady,
      whyNotOpen: () => sidecar.whyNotOpen,
      leave: () => sidecar.leave(),
      drainSecret: drainSecretOf(sidecar.settings, systemRandom),
      probes,
      applicationAddress: podAddresses(sidecar.settings)[0] ?? '127.0.0.1',
      wakeUps: systemWakeUps,
    };
    const passage = sidecar.passage;
    if (probes.length === 0) return new HealthPort(options, passage);
    this.#health = new HealthLink({
      ...{ ...options, passage },
      clock: sidecar.clock,
      workerUrl: bundledWorker('health-worker'),
      warn: (text) => sidecar.log.write('warn', text),
    });
    return this.#health;
  }

  async #open(server: Port, at: SocketAddress, flag: string): Promise<string> {
    this.#ports.push(server);
    try {
      const { address, port } = await server.listen(at.address, at.port);
      return `${address.includes(':') ? `[${address}]` : address}:${port}`;
    } catch (error) {
      // The end came before it was open.
      if (this.#isClosed) return '';
      const what = `the ${flag} port (--${flag} chooses another)`;
      throw new StartError(listenProblem(what, at.address, at.port, codeOf(error)));
    }
  }
}
