/**
 * What a sidecar needs to take captured connections: a way to read original destinations, the pod's
 * addresses, and proof that the redirection rules are in force, now and every half minute.
 *
 * Without proof the pod is not ready and its log says why, once for each new reason; the proof is
 * tried again until it holds: `tracecar init` writes the rules while the sidecar starts, and an
 * operator may flush or mend those of a running pod. What comes meanwhile is served all the same.
 */

import { networkInterfaces } from 'node:os';
import { pastRules } from '../admin/health-port.ts';
import type { Clock, Milliseconds } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import type { CaptureOptions } from '../proxy/scope/proxy-scope.ts';
import { openOriginalDestination } from '../proxy/socket/original-destination.ts';
import { StartError } from './listen-problem.ts';
import type { Log } from './log.ts';
import type { ProxySettings } from './proxy-settings.ts';

/**
 * How the rules are proven: at first often, because they are about to come, and silently. A flush shows
 * after 33 s at the latest: by the second proof that fails, each of which takes a second at most.
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
  /** The reason that the log was last told; empty: none, or that all is well. */
  #told = '';
  #isProven = false;
  /** The last proof did. */
  #hasFailed = false;
  /** It was told that probes come past the rules. */
  #isPast = false;
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

  /**
   * A probe from elsewhere came past the inbound rules, or passed them again. It is answered accordingly;
   * the log is told once. Before the first proof the rules are just about to come.
   */
  takeProbe(hasPassed: boolean): void {
    const isPast = !hasPassed && this.#isProven;
    if (this.#isOver || isPast === this.#isPast) return;
    this.#isPast = isPast;
    const { log } = this.#options;
    if (isPast) log.write('error', `not ready: ${pastRules}`);
    else log.write('info', 'probes pass the inbound redirection rules of this pod again');
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
    // What cannot be told now is as it was; and one dial may be late on a machine that is short of time.
    const isLone = problem !== '' && this.problem === '' && this.#isProven && !this.#hasFailed;
    this.#hasFailed = problem !== undefined && problem !== '';
    if (problem !== undefined && !isLone) this.#take(problem, isFirst);
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
    // Behind it stands how a dial ended, which may be another way each time.
    const [reason = ''] = problem.split(': ', 1);
    if (reason === this.#told || (problem !== '' && isQuiet)) return;
    this.#told = reason;
    const { log } = this.#options;
    if (problem === '') log.write('info', 'the redirection rules of this pod are in force');
    else log.write('error', `not ready: ${problem}`);
  }
}
