/**
 * The hot thread's hold on the health worker: starts it, tells it what is so, starts it again.
 *
 * For pods with probes: what the kubelet asks is answered however busy traffic keeps its thread. A
 * worker costs memory, so a sidecar without probes serves the port itself. Nothing of it can stop the
 * process or keep it alive.
 */

import { Worker } from 'node:worker_threads';
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { Passage } from './health-port.ts';
import {
  type HealthNews,
  type HealthOrder,
  type HealthState,
  type HealthWorkerData,
  healthPace,
} from './health-protocol.ts';
import type { Probe } from './probe-definition.ts';

export interface HealthLinkOptions {
  /** Of the entry where it is not health-worker.ts beside this file. */
  readonly workerUrl?: URL | undefined;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  /** Empty when ready. */
  whyNotReady(): string;
  /** Empty when connections are taken. */
  whyNotOpen(): string;
  /** Begins the end of the pod; called again it does nothing more. */
  leave(): void;
  readonly drainSecret: string;
  readonly probes: readonly Probe[];
  readonly applicationAddress: string;
  /** Absent: nothing is captured. */
  readonly passage: Passage | undefined;
  readonly warn: (text: string) => void;
}

interface Place {
  readonly address: string;
  readonly port: number;
}

/** Heap of the worker: an HTTP server and a client for each probe. */
const heap = Object.freeze({ maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 1 });

export class HealthLink {
  readonly #options: HealthLinkOptions;
  readonly #beats = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #state: HealthState = { whyNotReady: '', whyNotOpen: '' };
  #worker: Worker | undefined;
  /** Where it listens; as it was asked for until it does. */
  #place: Place = { address: '', port: 0 };
  #isListening = false;
  #isClosed = false;
  #warnAt: Milliseconds = Number.NEGATIVE_INFINITY;
  #callOffBeat: () => void = () => undefined;
  #callOffRestart: () => void = () => undefined;
  #settle: ((failed: string | undefined) => void) | undefined;

  constructor(options: HealthLinkOptions) {
    this.#options = options;
  }

  /** Opens the port and answers which one it is; rejects with the system's error (EADDRINUSE). */
  async listen(address: string, port: number): Promise<Place> {
    this.#place = { address, port };
    this.#beat();
    const failed = await new Promise<string | undefined>((resolve) => {
      this.#settle = resolve;
      this.#start();
    });
    if (failed === undefined) return this.#place;
    await this.close();
    throw Object.assign(new Error(failed), { code: failed });
  }

  /** To be called when what is so may have changed: it is told at once, not with the next beat. */
  tell(): void {
    const state = this.#read();
    const { whyNotReady, whyNotOpen } = this.#state;
    if (state.whyNotReady === whyNotReady && state.whyNotOpen === whyNotOpen) return;
    this.#state = state;
    this.#order({ kind: 'state', state });
  }

  /** Closes the port and every connection. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#callOffBeat();
    this.#callOffRestart();
    await this.#worker?.terminate();
  }

  #read(): HealthState {
    const { whyNotReady, whyNotOpen } = this.#options;
    return { whyNotReady: whyNotReady(), whyNotOpen: whyNotOpen() };
  }

  #order(order: HealthOrder): void {
    this.#worker?.postMessage(order);
  }

  #beat(): void {
    Atomics.add(this.#beats, 0, 1);
    this.tell();
    this.#callOffBeat = this.#options.wakeUps.after(healthPace.beatMs, () => this.#beat());
  }

  #start(): void {
    const { applicationAddress, drainSecret, passage, probes } = this.#options;
    this.#state = this.#read();
    const data: HealthWorkerData = {
      ...this.#place,
      ...{ applicationAddress, drainSecret, probes },
      ownAddresses: passage?.ownAddresses,
      beats: this.#beats,
      state: this.#state,
    };
    const url = this.#options.workerUrl ?? new URL('./health-worker.ts', import.meta.url);
    const worker = new Worker(url, {
      name: 'health',
      workerData: data,
      env: {},
      resourceLimits: heap,
    });
    this.#worker = worker;
    let reason = '';
    worker.on('message', (news: HealthNews) => {
      if (news.kind === 'failed') reason = news.code;
      this.#take(news);
    });
    worker.on('error', (error) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    worker.on('exit', () => this.#onExit(worker, reason));
  }

  #take(news: HealthNews): void {
    switch (news.kind) {
      case 'listening':
        this.#place = { address: news.address, port: news.port };
        this.#isListening = true;
        this.#worker?.unref();
        this.#settle?.(undefined);
        break;
      case 'failed':
        void this.#worker?.terminate();
        break;
      case 'leave':
        this.#options.leave();
        // In this order: who has the answer to a drain finds the pod not ready.
        this.tell();
        this.#order({ kind: 'left' });
        break;
      case 'passage':
        this.#options.passage?.onProbe(news.hasPassed);
        break;
      default:
        news satisfies never;
    }
  }

  #onExit(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = undefined;
    if (!this.#isListening) this.#settle?.(reason || 'its thread ended');
    else if (!this.#isClosed) {
      this.#warn(reason);
      const { wakeUps } = this.#options;
      this.#callOffRestart = wakeUps.after(healthPace.restartMs, () => this.#start());
    }
  }

  #warn(reason: string): void {
    const now = this.#options.clock.now();
    if (now < this.#warnAt) return;
    this.#warnAt = now + healthPace.warningMs;
    this.#options.warn(
      `the health port's thread ended (${reason}) and is started again; requests are not affected`,
    );
  }
}
