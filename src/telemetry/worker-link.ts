/**
 * The hot thread's hold on the telemetry worker: starts it, starts it again when it dies, ends it.
 *
 * A worker that dies loses what was in its queue (counted as dropped by the next one) and nothing
 * else: records wait in the ring meanwhile. Nothing of it can stop the process or keep it alive.
 */

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { OwnKeys } from './keep/peer-keys.ts';
import type { ExemplarEntry } from './metrics/exemplars.ts';
import type { MetricsSnapshot } from './metrics/metrics-snapshot.ts';
import type { TableMessage } from './table-message.ts';
import type { OwnAnswer, OwnDial } from './transport/own-dial.ts';
import type {
  NamesMessage,
  ToWorkerMessage,
  WorkerMessage,
  WorkerStart,
} from './worker-protocol.ts';

export interface WorkerLinkOptions {
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly workerUrl: URL | string;
  /** `workerData` but for the port, which each worker gets anew. */
  readonly start: Omit<WorkerStart, 'names' | 'asksForPath'>;
  /** How exporters reach their collectors; undefined: they dial. Never rejects. */
  readonly dialOwn?: ((to: OwnDial) => Promise<OwnAnswer>) | undefined;
  /** Names given out so far, in the order of ids from 1. */
  readonly names: () => readonly string[];
  readonly warn: (text: string) => void;
}

export class WorkerLink {
  readonly #options: WorkerLinkOptions;
  /** For a worker that is started again; of older tables it knows nothing. */
  #table: TableMessage | undefined;
  #keys: OwnKeys | undefined;
  #worker: Worker | undefined;
  #isStarted = false;
  #namesPort: MessagePort | undefined;
  #isClosing = false;
  #onEnd: (() => void) | undefined;
  #warnAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #callOffRestart: (() => void) | undefined;
  #lastRequest = 0;
  /** Who waits for exemplars, by id of the request. */
  readonly #waiting = new Map<number, (entries: readonly ExemplarEntry[]) => void>();

  constructor(options: WorkerLinkOptions) {
    this.#options = options;
  }

  /** Starts the first worker; called again it does nothing. */
  start(): void {
    if (this.#isStarted || this.#isClosing) return;
    this.#isStarted = true;
    this.#start();
  }

  /** Tells the worker a new name; before any record that uses the id. */
  announce(id: number, name: string): void {
    this.#namesPort?.postMessage({ firstId: id, names: [name] } satisfies NamesMessage);
  }

  /** Tells the worker of a new table; before any record of its generation. */
  announceTable(message: TableMessage): void {
    this.#table = message;
    this.#namesPort?.postMessage(message);
  }

  /** Sends a snapshot of the counters; without a worker it is lost, and the next one says more. */
  sendMetrics(snapshot: MetricsSnapshot): void {
    const { buffer: counts } = snapshot.counts;
    this.#worker?.postMessage(snapshot satisfies ToWorkerMessage, [counts as ArrayBuffer]);
  }

  /** What sidecars with an identity are called with from now on. */
  setKeys(keys: OwnKeys): void {
    this.#keys = keys;
    this.#sendKeys();
  }

  #sendKeys(): void {
    if (this.#keys === undefined) return;
    const { generation, certificates, privateKey, roots } = this.#keys;
    const keys = { generation, certificates, privateKey: privateKey.reveal(), roots };
    this.#worker?.postMessage({ kind: 'keys', keys } satisfies ToWorkerMessage);
  }

  /** The routes may be others: idle connections of exporters are not used again. */
  redial(): void {
    if (this.#options.dialOwn === undefined) return;
    this.#worker?.postMessage({ kind: 'redial' } satisfies ToWorkerMessage);
  }

  async #dial(worker: Worker, id: number, to: OwnDial): Promise<void> {
    const answer = (await this.#options.dialOwn?.(to)) ?? { way: 'direct' };
    worker.postMessage({ kind: 'dialled', id, answer } satisfies ToWorkerMessage);
  }

  /** The exemplars that the worker knows; none when it does not answer in `limits.exemplarsWaitMs`. */
  exemplars(): Promise<readonly ExemplarEntry[]> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.resolve([]);
    const id = ++this.#lastRequest;
    const { start, wakeUps } = this.#options;
    return new Promise((resolve) => {
      const callOff = wakeUps.after(start.limits.exemplarsWaitMs, () => this.#answered(id, []));
      this.#waiting.set(id, (entries) => {
        callOff();
        resolve(entries);
      });
      worker.postMessage({ kind: 'exemplars', id } satisfies ToWorkerMessage);
    });
  }

  #answered(id: number, entries: readonly ExemplarEntry[]): void {
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    answer?.(entries);
  }

  /** Lets the worker send what it has; resolves when it has ended, after limits.flushMs at most. */
  async close(): Promise<void> {
    // Records may wait for a worker that was to start later.
    this.start();
    this.#isClosing = true;
    this.#callOffRestart?.();
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.ref();
    const { clock, start } = this.#options;
    const untilEpochMs = clock.epochMs + clock.now() + start.limits.flushMs;
    await new Promise<void>((resolve) => {
      const callOff = this.#options.wakeUps.after(this.#options.start.limits.flushMs, resolve);
      this.#onEnd = () => {
        callOff();
        resolve();
      };
      worker.postMessage({ kind: 'close', untilEpochMs } satisfies ToWorkerMessage);
    });
    this.#forget();
    await worker.terminate();
  }

  #start(): void {
    const { port1, port2 } = new MessageChannel();
    const { start, workerUrl, names } = this.#options;
    const { limits, settings } = start;
    const worker = new Worker(workerUrl, {
      name: 'telemetry',
      workerData: {
        ...start,
        names: port2,
        asksForPath: this.#options.dialOwn !== undefined,
      } satisfies WorkerStart,
      transferList: [port2],
      // Nothing of the process's environment, but for the files that the exporter reads itself.
      env: { ...settings.otlp.certificates, ...settings.metrics.otlp.certificates },
      resourceLimits: {
        maxOldGenerationSizeMb: limits.workerHeapMiBMax,
        maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB,
      },
    });
    this.#worker = worker;
    this.#namesPort = port1;
    port1.unref();
    if (names().length > 0) port1.postMessage({ firstId: 1, names: [...names()] });
    if (this.#table !== undefined) port1.postMessage(this.#table);
    this.#sendKeys();
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'warning') this.#options.warn(message.text);
      else if (message.kind === 'exemplars') this.#answered(message.id, message.entries);
      else if (message.kind === 'dial') void this.#dial(worker, message.id, message.to);
      else this.#onEnd?.();
    });
    worker.on('error', (error) => this.#warnOfDeath(error));
    worker.on('exit', () => this.#onExit(worker));
    worker.unref();
  }

  #onExit(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#forget();
    if (this.#isClosing) this.#onEnd?.();
    else {
      const { wakeUps, start } = this.#options;
      this.#callOffRestart = wakeUps.after(start.limits.workerRestartMs, () => this.#start());
    }
  }

  #forget(): void {
    this.#worker = undefined;
    this.#namesPort?.close();
    this.#namesPort = undefined;
  }

  #warnOfDeath(error: unknown): void {
    const { clock, start, warn } = this.#options;
    const now = clock.now();
    if (now < this.#warnAt) return;
    this.#warnAt = now + start.limits.exportWarningMs;
    const reason = error instanceof Error ? error.message : String(error);
    warn(`telemetry: the worker ended (${reason}) and is started again; requests are not affected`);
  }
}

const YOUNG_GENERATION_MIB = 4;
