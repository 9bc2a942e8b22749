/**
 * The sidecar put together: configuration feed, proxy, telemetry, and the three ports beside traffic.
 *
 *   start:    config -> proxy listeners -> health, metrics, admin -> telemetry worker, warm-up -> ready
 *   captured: capture ports, where callers wait -> health, metrics, admin | redirection proven | config
 *             -> the same
 *   end:      not ready -> drain -> flush spans -> close
 *
 * It reads no flag and no signal: `proxy.ts` does. Every failure to start is a StartError.
 */

import type { Passage } from '../admin/health-port.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { systemRandom } from '../base/random.ts';
import { CompilerThread } from '../config/compiler-thread.ts';
import { diagnosticCodes } from '../config/syntax/diagnostic-codes.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { assertLimits, type TrafficLimits, trafficLimits } from '../model/limits.ts';
import type { RoutingTable } from '../model/routing-table.ts';
import { telemetryLimits } from '../model/telemetry-limits.ts';
import { type ListenError, ProxyServer, type UnloadedCertificate } from '../proxy/proxy-server.ts';
import { warmUp } from '../proxy/warm-up.ts';
import type { TelemetrySettings } from '../telemetry/settings/settings.ts';
import { Telemetry } from '../telemetry/telemetry.ts';
import { ConfigFeed } from './config-feed.ts';
import { listenProblem, StartError } from './listen-problem.ts';
import type { Log } from './log.ts';
import { missingIdentity } from './missing-identity.ts';
import { fewFiles } from './open-files.ts';
import type { ProxySettings } from './proxy-settings.ts';
import { podAddresses, prepareCapture, RedirectionWatch } from './sidecar-capture.ts';
import { SidecarIdentity } from './sidecar-identity.ts';
import { type OpenPorts, SidecarPorts } from './sidecar-ports.ts';
import { trimMemory } from './trim-memory.ts';
import { bundledWorker, tracecarVersion } from './version.ts';
import { warmUpTable } from './warm-up-table.ts';

export interface DrainCounts {
  readonly finished: number;
  readonly cut: number;
}

/** What waits for the listeners has its answer before the other ports are opened and their code loaded. */
const trafficFirstMs = 10;
const warmingUp = 'warming up';
/** Holds the records of a whole warm-up. */
const warmUpRingBytes = 1024 * 1024;

export class Sidecar {
  readonly settings: ProxySettings;
  readonly log: Log;
  readonly clock: Clock = systemClock;
  readonly feed: ConfigFeed;
  readonly proxy: ProxyServer;
  readonly telemetry: Telemetry;
  readonly telemetrySettings: TelemetrySettings;
  readonly #limits: TrafficLimits;
  /** Of the start or the end; empty between them. */
  #phase = 'starting';
  #isEnding = false;
  #isStarted = false;
  /** What the log has said last of being ready. */
  #isSaidReady = false;
  #openPorts: OpenPorts | undefined;
  /** Present with `--identity`. */
  readonly identity: SidecarIdentity | undefined;
  readonly #ports = new SidecarPorts(this);
  /** Present when connections are captured. */
  readonly #redirection: RedirectionWatch | undefined;

  constructor(settings: ProxySettings, telemetrySettings: TelemetrySettings, log: Log) {
    assertLimits(trafficLimits);
    this.settings = settings;
    this.log = log;
    const capture = prepareCapture(settings);
    this.telemetrySettings = telemetrySettings;
    this.#limits = { ...trafficLimits, drainMs: settings.drainMs };
    this.telemetry = this.#makeTelemetry(settings.recordRingBytes);
    this.identity = this.#makeIdentity();
    this.identity?.mesh.follow((material) => this.telemetry.setKeys(material));
    this.proxy = new ProxyServer({
      clock: this.clock,
      random: systemRandom,
      wakeUps: systemWakeUps,
      limits: this.#limits,
      telemetry: this.telemetry,
      tracing: telemetrySettings,
      log: log.write,
      ...(capture === undefined ? {} : { capture }),
      ...(this.identity === undefined ? {} : { mesh: this.identity.mesh }),
      clientCertMode: settings.clientCertMode,
      outside: settings.outside,
    });
    if (capture !== undefined) this.#redirection = this.#makeRedirectionWatch();
    this.feed = new ConfigFeed({
      paths: settings.config,
      namespace: settings.namespace,
      labels: settings.labels,
      rootNamespace: settings.rootNamespace,
      trustDomain: settings.trustDomain,
      secretsFolder: settings.secretsFolder,
      capture: settings.capture,
      clock: this.clock,
      wakeUps: systemWakeUps,
      log: log.write,
      compiler: new CompilerThread(bundledWorker('compile-worker'), (text) =>
        log.write('warn', text),
      ),
      apply: (table, credentials) => this.#apply(table, credentials),
    });
  }

  /** Empty while traffic is taken, on every listener of the configuration. */
  get whyNotReady(): string {
    if (this.#redirectionProblem !== '') return this.#redirectionProblem;
    if (this.#phase !== '') return this.#phase;
    if (this.#identityProblem !== '') return this.#identityProblem;
    const unopened = this.proxy.unopened().map(unopenedProblem);
    const unloaded = this.proxy.unloaded().filter(({ isPartial }) => !isPartial);
    return [...unopened, ...unloaded.map(unloadedProblem)].join('; ');
  }

  /** Of the files, then of what they lead to on this machine. */
  get diagnostics(): readonly Diagnostic[] {
    const { namespace } = this.settings;
    return [
      ...this.feed.diagnostics,
      ...this.proxy.unloaded().map((each) => unloadedDiagnostic(each, namespace)),
      ...this.#missingIdentity(),
    ];
  }

  /**
   * Empty while traffic is taken, be it slower than it will be once we are ready, and be it not on all
   * listeners: an application waits for this, and a certificate that is mended later needs it to run.
   */
  get whyNotOpen(): string {
    if (this.#redirectionProblem !== '') return this.#redirectionProblem;
    if (this.#phase !== warmingUp && this.#phase !== '') return this.#phase;
    return this.#identityProblem;
  }

  /** Without a certificate no peer is reached: what an application began now would fail. */
  get #identityProblem(): string {
    return this.identity?.whyNone ?? '';
  }

  /** What probes of others show of the inbound rules; undefined when nothing is captured. */
  get passage(): Passage | undefined {
    const redirection = this.#redirection;
    if (redirection === undefined) return undefined;
    const onProbe = (hasPassed: boolean) => redirection.takeProbe(hasPassed);
    return { ownAddresses: podAddresses(this.settings), onProbe };
  }

  get #redirectionProblem(): string {
    return this.#isEnding ? '' : (this.#redirection?.problem ?? '');
  }

  /** Opens everything. Throws StartError; what was opened until then is closed by `close`. */
  async start(): Promise<void> {
    const files = fewFiles(this.#limits.connectionsMax);
    if (files !== '') this.log.write('warn', files);
    await this.identity?.check();
    const opening =
      this.#redirection === undefined
        ? this.#openListening()
        : this.#openCaptured(this.#redirection);
    const identified = this.identity?.start();
    const ports = await opening;
    if (this.#isEnding) return;
    this.#openPorts = ports;
    this.feed.watch();
    this.#isStarted = true;
    this.telemetry.startWorker();
    this.#enter(warmingUp);
    await this.#warmUp();
    this.#enter('');
    await identified;
    if (!this.#isSaidReady && !this.#isEnding) this.#sayReady();
  }

  #sayReady(): void {
    const reason = this.whyNotReady;
    this.#isSaidReady = reason === '';
    this.log.write(reason === '' ? 'info' : 'warn', reason === '' ? 'ready' : 'not ready', {
      ...(reason === '' ? {} : { reason }),
      version: tracecarVersion(),
      generation: this.feed.table?.generation,
      listeners: this.proxy.addresses().map((each) => `${each.name} ${each.address}:${each.port}`),
      ...this.#openPorts,
    });
  }

  /** The first certificate may come long after the start. */
  #onIdentity(): void {
    this.#ports.tell();
    const isOver = this.#phase === '' && this.#isStarted;
    if (isOver && !this.#isSaidReady && this.whyNotReady === '') this.#sayReady();
  }

  /** Without capture: what waits for the listeners of the configuration goes first. */
  async #openListening(): Promise<OpenPorts | undefined> {
    await this.feed.start();
    if (this.#isEnding) return undefined;
    await new Promise<void>((resolve) => systemWakeUps.after(trafficFirstMs, resolve));
    return this.#ports.open();
  }

  /** With capture: callers wait from now on, until the configuration says where they go. */
  async #openCaptured(redirection: RedirectionWatch): Promise<OpenPorts | undefined> {
    const unopened = await this.proxy.openCaptures();
    if (unopened.length > 0) throw new StartError(unopened.map(unopenedProblem).join('; '));
    if (this.#isEnding) return undefined;
    const opening = [this.#ports.open(), redirection.start(), this.feed.start()] as const;
    const [ports] = await Promise.all(opening);
    return ports;
  }

  /** The next part of the start; a signal may have ended it. */
  #enter(phase: string): void {
    if (!this.#isEnding) this.#phase = phase;
    this.#ports.tell();
  }

  /** The pod is ending: not ready, callers move away, the application still reaches others. */
  leave(): void {
    if (this.#isEnding) return;
    this.#end();
    this.log.write('info', 'the pod is ending: inbound connections move away');
    this.proxy.leave();
  }

  /** Takes no new work and finishes what is under way, at most for the drain time. */
  async drain(): Promise<DrainCounts> {
    this.#end();
    this.feed.close();
    this.identity?.close();
    const counts = await this.proxy.drain(this.settings.drainMs);
    await this.telemetry.flushAndClose();
    await this.#ports.close();
    return counts;
  }

  #end(): void {
    this.#isEnding = true;
    this.#phase = 'draining';
    this.#redirection?.close();
    this.#ports.tell();
  }

  #makeIdentity(): SidecarIdentity | undefined {
    const { identity, trustDomain } = this.settings;
    if (identity === undefined) return undefined;
    return new SidecarIdentity({
      ...{ settings: identity, trustDomain, log: this.log },
      ...{ wakeUps: systemWakeUps, random: systemRandom, onChange: () => this.#onIdentity() },
      instance: this.telemetrySettings.resource['service.instance.id'] ?? '',
    });
  }

  /** The worker starts when the listeners are open: it would take a single core from their start. */
  #makeTelemetry(recordRingBytes: number): Telemetry {
    const worker = bundledWorker('telemetry-worker');
    return Telemetry.start({
      settings: this.telemetrySettings,
      clock: this.clock,
      wakeUps: systemWakeUps,
      random: systemRandom,
      log: this.log.write,
      version: tracecarVersion(),
      accessLog: this.settings.accessLog,
      limits: { ...telemetryLimits, recordRingBytes, textRingBytes: recordRingBytes },
      startsWorkerLater: true,
      ...(this.settings.capture === 'none' ? {} : { dialOwn: (to) => this.proxy.dialOwn(to) }),
      ...(worker === undefined ? {} : { workerUrl: worker }),
    });
  }

  /** Its telemetry has a ring and no worker: what it records goes nowhere. */
  async #warmUp(): Promise<void> {
    const { clock, proxy, settings } = this;
    const started = clock.now();
    const exchanges = await warmUp({
      clock,
      random: systemRandom,
      wakeUps: systemWakeUps,
      limits: this.#limits,
      telemetry: () => this.#makeTelemetry(warmUpRingBytes),
      table: warmUpTable,
      mesh: this.identity?.mesh,
      atMostMs: settings.warmUpMs,
      isHeldUp: () => proxy.exchangesActive > 0,
      isOver: () => this.#isEnding,
    });
    const ms = Math.round(clock.now() - started);
    this.log.write('debug', 'warmed up', { exchanges, milliseconds: ms });
    // What the compilers needed for it; of a process that was not warmed little could be had.
    if (exchanges > 0) trimMemory();
  }

  #makeRedirectionWatch(): RedirectionWatch {
    return new RedirectionWatch({
      clock: this.clock,
      wakeUps: systemWakeUps,
      log: this.log,
      prove: (timeoutMs) => this.proxy.proveRedirection(timeoutMs),
      onChange: () => this.#ports.tell(),
    });
  }

  #missingIdentity(table = this.feed.table): readonly Diagnostic[] {
    if (this.identity !== undefined || table === undefined) return [];
    const found = missingIdentity(table.security);
    return found === undefined ? [] : [found];
  }

  async #apply(table: RoutingTable, credentials: ReadonlyMap<string, string>): Promise<void> {
    this.proxy.setCredentials(credentials);
    this.telemetry.describe(table, process.env);
    const errors = await this.proxy.apply(table);
    this.telemetry.redial();
    for (const { file, message, fix } of this.#missingIdentity(table)) {
      this.log.write('error', `${file}: ${message}. ${fix}`);
    }
    for (const error of errors) {
      const problem = unopenedProblem(error);
      if (!this.#isStarted) throw new StartError(problem);
      this.log.write('error', `${problem}; not ready until it is open`);
    }
  }
}

/** One line for the log and for `/healthz/ready`. */
function unopenedProblem({ listener, address, port, code, waitsFor }: ListenError): string {
  if (waitsFor !== undefined) {
    return `listener ${listener} serves what it did before, because listener ${waitsFor}, to which that moves, is not open`;
  }
  const direction = /^capture\|(\w+)$/.exec(listener)?.[1];
  const what =
    direction === undefined
      ? `listener ${listener} of the configuration`
      : `for captured connections (--${direction} chooses another, as must the rules)`;
  return listenProblem(what, address, port, code);
}

/** One line for `/healthz/ready`; the proxy has logged it. */
function unloadedProblem({ listener, server, problem }: UnloadedCertificate): string {
  const what = server === '' ? `listener ${listener}` : `${server} of listener ${listener}`;
  return `${what} has no certificate: ${problem}`;
}

function unloadedDiagnostic(unloaded: UnloadedCertificate, namespace: string): Diagnostic {
  const { code, severity } = diagnosticCodes.get('certificate-unread')!;
  const [, of = namespace, name = '', path = 'ingress[].tls'] =
    /^([^/]+)\/([^/]+)\/(.+)$/.exec(unloaded.server) ?? [];
  const kind = unloaded.server === '' ? 'Sidecar' : 'Gateway';
  return {
    ...{ code, severity, path, line: 0, column: 0 },
    resource: { kind, namespace: of, name },
    file: unloaded.file,
    message: `${unloadedProblem(unloaded)}.`,
    fix: 'Mend the files, or the Secret that they come from; they are read again all the time.',
  };
}
