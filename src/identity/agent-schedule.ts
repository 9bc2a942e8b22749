/**
 * When an agent asks its authority: pure arithmetic, time and chance are given.
 *
 *   |--------------- life of the leaf ---------------|
 *   taken        40..50 % renewed        80 % alarm  end: nothing more with it
 */

import type { Milliseconds } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { AgentLimits } from '../model/agent-limits.ts';

export interface Life {
  /** Milliseconds since the epoch. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** The moment to renew at, milliseconds since the epoch: sidecars that started together spread. */
export function renewalMs({ fromMs, toMs }: Life, random: Random, limits: AgentLimits): number {
  const { renewShare, renewSpread } = limits;
  return fromMs + (toMs - fromMs) * (renewShare + renewSpread * signedShare(random));
}

export interface Failures {
  /** In a row, at least 1. */
  readonly count: number;
  /** What the leaf in use has left; undefined without one, negative when it is over. */
  readonly leftMs: Milliseconds | undefined;
  /** That the authority asked for; 0: nothing. */
  readonly retryAfterMs: Milliseconds;
}

/** How long to wait after a failure, milliseconds. */
export function pauseMs(
  { count, leftMs, retryAfterMs }: Failures,
  random: Random,
  limits: AgentLimits,
): Milliseconds {
  const { backoffMinMs, backoffMaxMs, backoffLifeShare } = limits;
  const doubled = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(count - 1, 16));
  // Past its end as long as it is over, which doubles anew: else the whole mesh would ask each second.
  const share = leftMs !== undefined && leftMs > 0 ? leftMs * backoffLifeShare : -(leftMs ?? 0);
  const ofLife = leftMs === undefined ? doubled : Math.max(backoffMinMs, share);
  const wanted = Math.max(Math.min(doubled, ofLife), Math.min(retryAfterMs, backoffMaxMs));
  return wanted * (1 + 0.2 * signedShare(random));
}

/** Within how long a new bundle is told to the authority, milliseconds; at random, as all have it now. */
export function reportInMs(
  { fromMs, toMs }: Life,
  random: Random,
  limits: AgentLimits,
): Milliseconds {
  const withinMs = Math.min(limits.reportMs, (toMs - fromMs) * 0.1);
  return (withinMs * random.u32()) / 0x1_0000_0000;
}

/** From -1 to 1. */
function signedShare(random: Random): number {
  return (random.u32() / 0x1_0000_0000) * 2 - 1;
}
