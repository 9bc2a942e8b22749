/**
 * What a sidecar needs before it takes captured connections: a way to read original destinations, the
 * pod's addresses, and proof that the redirection rules are in force.
 *
 * Without proof the pod is not ready and its log says why, once for each new reason; the proof is
 * tried again until it holds: `tracecar init` writes the rules while the sidecar starts, and an
 * operator may mend those of a running pod.
 */

import { isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Clock } from '../base/clock.ts';
import type { WakeUps } from '../base/deadlines.ts';
import { openOriginalDestination } from '../proxy/original-destination.ts';
import { proveRedirection } from '../proxy/original-destination-proof.ts';
import type { CaptureOptions } from '../proxy/proxy-scope.ts';
import { StartError } from './listen-problem.ts';
import type { Log } from './log.ts';
import type { ProxySettings } from './proxy-settings.ts';

/** How a proof is tried: at first often, because the rules are about to come, and silently. */
const pace = Object.freeze({
  first: { timeoutMs: 100, pauseMs: 10 },
  firstForMs: 2_000,
  later: { timeoutMs: 1_000, pauseMs: 1_000 },
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

export interface CaptureProof {
  readonly capture: CaptureOptions;
  readonly clock: Clock;
  readonly wakeUps: WakeUps;
  readonly log: Log;
  /** Told the reason while there is no proof. */
  onProblem(problem: string): void;
  /** Nobody needs the proof any more. */
  isOver(): boolean;
}

/** Resolves once the rules are proven, or when it is over. Never rejects. */
export async function awaitProof(proof: CaptureProof): Promise<void> {
  const { capture, clock, wakeUps, log } = proof;
  const started = clock.now();
  const families = (['v4', 'v6'] as const).filter((family) =>
    capture.ownAddresses.some((address) => isIPv4(address) === (family === 'v4')),
  );
  let known = '';
  while (!proof.isOver()) {
    const isFirst = clock.now() - started < pace.firstForMs;
    const { timeoutMs, pauseMs } = isFirst ? pace.first : pace.later;
    const problem = await proveRedirection({
      reader: capture.originalDestination,
      port: capture.ports.outbound,
      families,
      wakeUps,
      timeoutMs,
    });
    if (problem === '') return;
    proof.onProblem(problem);
    if (!isFirst && problem !== known) {
      known = problem;
      log.write('error', `not ready: ${problem}`);
    }
    await new Promise<void>((resolve) => wakeUps.after(pauseMs, resolve));
  }
}
