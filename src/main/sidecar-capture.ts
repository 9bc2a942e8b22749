/**
 * What a sidecar needs to take captured connections: a way to read original destinations, the pod's
 * addresses, and proof that the redirection rules are in force, now and every half minute.
 *
 * Without proof the pod is not ready and its log says why, once for each new reason; the proof is
 * tried again until it holds: `tracecar init` writes the rules while the sidecar starts, and an
 * operator may flush or mend those of a running pod. What comes meanwhile is served all the same.
 */

import { networkInterfaces } from 'node:os';
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import { openOriginalDestination } from '../proxy/original-destination.ts';
import type { CaptureOptions } from '../proxy/proxy-scope.ts';
import { StartError } from './listen-problem.ts';
import type { Log } from './log.ts';
import type { ProxySettings } from './proxy-settings.ts';

/**
 * How the rules are proven: at first often, because they are about to come, and silently. A flush shows
 * after 30 s and the time of a proof at the latest.
 */
const pace = Object.freeze({
  first: { timeoutMs: 100, pauseMs: 10 },
  firstForMs: 2_000,
  later: { timeoutMs: 1_000, pauseMs: 1_000 },
  provenPauseMs: 30_000,
});

/** Undefined when nothing is captured. Throws StartError when destinations cannot be read here. */
export function prepareCapture(settings: ProxySettings): CaptureOptions | undefined {
  if (settings.capture === 'none') return undefined;
  const opened = openOriginalDestination();
  if ('problem' in opened) throw new StartError(`--capture redirect: ${opened.problem}`);
  return {
    originalDestination: opened.reader,
    ownAddresses: podAddresses(settings),
    ports: settings.capturePorts,
  };
}

/** The addresses of this pod: the kubelet's list, or those of the interfaces beside loopback. */
export function podAddresses({ podAddresses: told }: ProxySettings): readonly string[] {
  if (told.length > 0) return told;
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0)
    .map(({ address }) => address);
}

export interface RedirectionWatchOptions {
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly log: Log;
  /** As ProxyServer.proveRedirection. */
  prove(timeoutMs: Milliseconds): Promise<string | undefined>;
  /** `problem` has changed. */
  onChange(): void;
}

export class RedirectionWatch {
  /** Empty while the last proof held, and before the first. */
  problem = '';
  /** What the log was last told; empty: nothing, or that all is well. */
  #told = '';
  #isProven = false;
  #isOver = false;
  readonly #options: RedirectionWatchOptions;
  readonly #startedMs: Milliseconds;
  #onProven: () => void = () => undefined;
  #callOff: () => void = () => undefined;

  constructor(options: RedirectionWatchOptions) {
    this.#options = options;
    this.#startedMs = options.clock.now();
  }

  /** Begins; resolves with the first proof, or when it is closed. Never rejects. */
  start(): Promise<void> {
    return new Promise((resolve) => {
      this.#onProven = resolve;
      void this.#prove();
    });
  }

  /** Nobody needs the proof any more. */
  close(): void {
    this.#isOver = true;
    this.#callOff();
    this.#onProven();
  }

  async #prove(): Promise<void> {
    const { clock, wakeUps, prove } = this.#options;
    const isFirst = !this.#isProven && clock.now() < this.#startedMs + pace.firstForMs;
    const { timeoutMs, pauseMs } = isFirst ? pace.first : pace.later;
    const problem = await prove(timeoutMs);
    if (this.#isOver) return;
    // What cannot be told now is as it was.
    if (problem !== undefined) this.#take(problem, isFirst);
    const isWell = problem === '';
    this.#callOff = wakeUps.after(isWell ? pace.provenPauseMs : pauseMs, () => void this.#prove());
  }

  #take(problem: string, isQuiet: boolean): void {
    const isNew = problem !== this.problem;
    this.problem = problem;
    this.#tell(problem, isQuiet);
    if (isNew) this.#options.onChange();
    if (problem !== '' || this.#isProven) return;
    this.#isProven = true;
    this.#onProven();
  }

  #tell(problem: string, isQuiet: boolean): void {
    if (problem === this.#told || (problem !== '' && isQuiet)) return;
    this.#told = problem;
    const { log } = this.#options;
    if (problem === '') log.write('info', 'the redirection rules of this pod are in force');
    else log.write('error', `not ready: ${problem}`);
  }
}
