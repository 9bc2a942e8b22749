/**
 * What the plain hop must reach, and whether a result does.
 *
 * Ratios are taken in the same rounds on the same machine. A missed target stays in the table with its
 * measured value; what was tried stands in bench/README.md beside it.
 */

import type { Figure, FigureName, Summary } from './summary.ts';

export interface Target {
  readonly what: string;
  readonly limit: number;
  readonly atLeast?: boolean;
  /** How the limit and the measured value are written: 'x' for a ratio, else a unit. */
  readonly unit: 'x Envoy' | 'x HAProxy' | 'x http-proxy' | 'MB' | 'ms';
  readonly figure: FigureName;
  /** The rival of a ratio. */
  readonly rival?: string;
}

export const targets: readonly Target[] = [
  { what: 'CPU per request', limit: 0.55, unit: 'x Envoy', figure: 'cpuUs', rival: 'envoy' },
  { what: 'CPU per request', limit: 2.0, unit: 'x HAProxy', figure: 'cpuUs', rival: 'haproxy' },
  {
    what: 'CPU per request',
    limit: 0.3,
    unit: 'x http-proxy',
    figure: 'cpuUs',
    rival: 'http-proxy',
  },
  {
    what: 'requests/s at saturation, one core',
    limit: 4,
    atLeast: true,
    unit: 'x http-proxy',
    figure: 'requestsPerSecond',
    rival: 'http-proxy',
  },
  {
    what: 'requests/s at saturation, one core',
    limit: 1.8,
    atLeast: true,
    unit: 'x Envoy',
    figure: 'requestsPerSecond',
    rival: 'envoy',
  },
  {
    what: 'p99 at 2000/s, 16 connections',
    limit: 1,
    unit: 'x Envoy',
    figure: 'p99Us',
    rival: 'envoy',
  },
  { what: 'RSS of an idle sidecar', limit: 80, unit: 'MB', figure: 'rssMb' },
  { what: 'exec to first proxied 200', limit: 200, unit: 'ms', figure: 'startMs' },
];

export type Verdict = 'met' | 'missed' | 'open';

export interface TargetOutcome {
  readonly target: Target;
  readonly measured: Figure;
  /** 'met' or 'missed' only when the whole interval says so in a real measurement, else 'open'. */
  readonly verdict: Verdict;
}

/** Holds a result against every target. */
export function judgeTargets(summary: Summary): readonly TargetOutcome[] {
  return targets.map((target) => {
    const measured =
      target.rival === undefined
        ? summary.figure('tracecar', target.figure)
        : summary.ratio('tracecar', target.rival, target.figure);
    const isSmokeTest = summary.result.options.tolerateNoise;
    return { target, measured, verdict: isSmokeTest ? 'open' : judge(target, measured) };
  });
}

function judge({ limit, atLeast }: Target, measured: Figure): Verdict {
  if (measured.state !== 'measured') return 'open';
  const { from, to } = measured.spread;
  const met = atLeast ? from >= limit : to <= limit;
  const missed = atLeast ? to < limit : from > limit;
  return met ? 'met' : missed ? 'missed' : 'open';
}
