/**
 * What issues 5 and 6 ask of the hot path and of captured connections, and whether results reach it.
 *
 * Each target reads one scenario's summary. Ratios are taken in the same rounds on the same machine. A
 * missed target stays in the table with its measured value; a scenario without a result is
 * 'not measured'.
 */

import {
  appliedLeast,
  editsFailed,
  parsedToEffectMs,
  tooFewApplied,
} from '../scenarios/edits-report.ts';
import { idlePrivateBytes } from '../scenarios/memory-report.ts';
import { PricePoint, workRead } from '../scenarios/prices-report.ts';
import { routesP99Ratio } from '../scenarios/routes-report.ts';
import { firstOverSteady } from '../scenarios/start-drain-report.ts';
import { pointOf } from '../scenarios/tracing-report.ts';
import { captureTargets } from './capture-targets.ts';
import { pairTargets } from './pair-targets.ts';
import { percentile } from './read.ts';
import type { Spread } from './statistics.ts';
import { type Figure, type Reader, read, type Summary } from './summary.ts';
import type { Target } from './target.ts';
import { bandAround, bandAroundZero, isTooWide, roundsMin } from './verdict.ts';

/** 'met' or 'missed' only when the whole interval of at least three rounds says so, of a real run. */
export type TargetVerdict = 'met' | 'missed' | 'open' | 'not measured' | 'no target';

export interface TargetOutcome {
  readonly target: Target;
  readonly measured: Figure;
  readonly verdict: TargetVerdict;
  /** Of a target with `times`: what it says. */
  readonly times?: number | undefined;
  /** Of a target with a band: how far up it reaches. */
  readonly bandMost?: number;
  /** Of one with `identical`: how far from 0 those two are, us; absent where they were not measured. */
  readonly bandUs?: number;
  /** Of an open one: why. */
  readonly openBecause?: string;
}

export const targets: readonly Target[] = [
  {
    ...ratioTarget('hop-cpu-envoy', 'CPU per request, one plain hop', 'Envoy', 0.45, 0.4),
    measure: hopRatio('tracecar', 'envoy'),
  },
  {
    ...ratioTarget(
      'hop-cpu-envoy-no-stats',
      'for comparison: the same, Envoy with every statistic rejected',
      'that Envoy',
      Number.POSITIVE_INFINITY,
    ),
    isInformation: true,
    measure: hopRatio('tracecar', 'envoy-no-stats'),
  },
  {
    ...ratioTarget('hop-cpu-haproxy', 'CPU per request, one plain hop', 'HAProxy', 1.6, 1.3),
    measure: hopRatio('tracecar', 'haproxy'),
  },
  {
    ...ratioTarget(
      'traced-cpu-envoy',
      'CPU per request, 100 % of spans exported',
      'Envoy with its tracer',
      0.4,
    ),
    measure: hopRatio('tracecar-100', 'envoy-otel'),
  },
  ...addedTargets('single', '1000/s on 1 connection'),
  ...addedTargets('many', '2000/s on 16 connections'),
  ...addedTargets('more', '3000/s on 16 connections'),
  ...tracingTargets(),
  {
    ...plainTarget('routes-p99', 'routes', '10 000 routes against 1, p99', 1.05, 'x 1 route', 2),
    measure: routesP99Ratio,
  },
  {
    ...plainTarget(
      'edit-effect',
      'edits',
      'from the parsed document to its effect, 1 route, p99',
      10,
      'ms',
      1,
    ),
    measure: (summary) => parsedToEffectMs(summary),
  },
  {
    ...plainTarget('edit-effect-many', 'edits', 'the same beside 10 000 routes, p99', 10, 'ms', 1),
    measure: (summary) => parsedToEffectMs(summary, 'edits-10000'),
  },
  {
    ...plainTarget(
      'edits-failed',
      'edits',
      `failed while ${appliedLeast} configurations were applied`,
      0,
      'requests or edits',
      0,
    ),
    measure: editsFailed,
    doubt: tooFewApplied,
    isTotal: true,
  },
  {
    ...plainTarget('memory-rss', 'memory', 'RSS at 1000/s on 64 connections', 90, 'MB', 1),
    measure: (summary) => summary.figure('tracecar', 'load', read.rssMb),
  },
  {
    ...plainTarget(
      'memory-private',
      'memory',
      'private memory at 1000/s on 64 connections',
      45,
      'MiB',
      1,
    ),
    measure: (summary) => summary.figure('tracecar', 'load', read.privateMib),
  },
  {
    ...plainTarget('memory-idle-connection', 'memory', 'an idle connection', 4096, 'bytes', 0),
    measure: (summary) => summary.figure('tracecar', 'idle', idlePrivateBytes),
  },
  {
    ...plainTarget(
      'system-calls',
      'prices',
      'system calls of a plain request, waits that bring nothing left out',
      6,
      'calls',
      2,
    ),
    measure: (summary) => summary.count('tracecar', PricePoint.Work, workRead.systemCalls),
  },
  {
    ...plainTarget(
      'allocated-bytes',
      'prices',
      'bytes allocated for a plain request',
      600,
      'bytes',
      0,
    ),
    stretch: 300,
    measure: (summary) => summary.count('tracecar', PricePoint.Work, workRead.allocatedBytes),
  },
  {
    ...plainTarget('start', 'start-drain', 'exec to first proxied 200', 120, 'ms', 0),
    measure: (summary) => summary.figure('tracecar', 'start', read.startMs),
  },
  {
    ...plainTarget(
      'first-requests',
      'start-drain',
      'p99 of the first 2000 after ready',
      1.5,
      'x when warm',
      2,
    ),
    measure: (summary) => summary.figure('tracecar', 'fresh', firstOverSteady),
  },
  ...captureTargets,
  ...pairTargets,
];

function plainTarget(
  id: string,
  scenario: string,
  what: string,
  limit: number,
  unit: string,
  digits: number,
) {
  return { id, what, limit, unit, digits, scenario };
}

/** Everything exported, against tracing switched off, in the same rounds; then without a collector. */
function tracingTargets(): readonly Target[] {
  const up = pointOf('up');
  const more = (reader: Reader) => (summary: Summary) =>
    summary.difference('tracecar-100', 'tracecar-off', 'saturation', reader);
  return [
    {
      // A full core: at a fixed rate waking up costs more than tracing does. Of the two scenarios that have
      // both arms at saturation the price list has fewer others between them in a round.
      ...plainTarget(
        'tracing-hot',
        'prices',
        'tracing at 100 % against off, hot thread (price list)',
        2,
        'us',
        1,
      ),
      measure: more(read.hotCpuUsPerRequest),
    },
    {
      ...plainTarget(
        'tracing-both',
        'prices',
        'tracing at 100 % against off, both threads (price list)',
        8,
        'us',
        1,
      ),
      measure: more(read.cpuUsPerRequest),
    },
    {
      ...plainTarget(
        'tracing-p99',
        'tracing',
        'tracing at 100 % against off, p99',
        1.03,
        'x off',
        2,
      ),
      measure: (summary) => summary.ratio('tracecar-100', 'tracecar-off', up, read.p99Us),
    },
    {
      ...plainTarget(
        'dead-collector-p99',
        'tracing',
        'dead collector, p99 inside the A/A band',
        1,
        'x collector up',
        2,
      ),
      measure: (summary) => summary.pointRatio('tracecar-100', pointOf('dead'), up, read.p99Us),
      band: (summary) => summary.band(up, read.p99Us),
    },
  ];
}

/** Holds results, by the names of their scenarios, against every target. */
export function judgeTargets(
  summaries: ReadonlyMap<string, Summary>,
  list: readonly Target[] = targets,
): readonly TargetOutcome[] {
  return list.map((target) => {
    const summary = summaries.get(target.scenario);
    if (summary === undefined) {
      const verdict = target.isInformation === true ? 'no target' : 'not measured';
      return { target, measured: { state: 'absent' }, verdict };
    }
    const { figure: measured, arms } = summary.reading((each) => target.measure(each));
    if (target.isInformation === true) return { target, measured, verdict: 'no target' };
    if (measured.state === 'absent') return { target, measured, verdict: 'not measured' };
    const times = target.times === undefined ? {} : { times: target.times(summary) };
    const band = target.identical && bandAroundZero(target.identical(summary));
    const beside = band === undefined ? {} : { bandUs: band.most };
    const judgement = unlessWrong(judge(target, measured, summary), summary, arms);
    return { target, measured, ...times, ...beside, ...judgement };
  });
}

/** What gave wrong answers, or broke, meets nothing, and nothing is met beside it. */
function unlessWrong(judgement: Judgement, summary: Summary, arms: ReadonlySet<string>): Judgement {
  const wrong = [...summary.wrongArms().keys()].filter((arm) => arms.has(arm));
  if (judgement.verdict !== 'met' || wrong.length === 0) return judgement;
  const names = wrong.map((arm) => summary.label(arm)).join(', ');
  return { ...judgement, verdict: 'open', openBecause: `wrong answers or failures of ${names}` };
}

type Judgement = Omit<TargetOutcome, 'target' | 'measured'>;

function judge(target: Target, measured: Figure, summary: Summary): Judgement {
  const open = (openBecause: string): Judgement => ({ verdict: 'open', openBecause });
  if (measured.state !== 'measured') {
    return open(measured.state === 'unproven' ? tooManyDropped(measured) : 'not measured');
  }
  if (summary.result.tolerateNoise) return open('noise was tolerated');
  const { low, high, rounds } = measured.spread;
  if (target.isTotal === undefined && rounds < roundsMin) {
    return open(`${rounds} of the ${roundsMin} rounds that a verdict needs`);
  }
  const inside = open('the limit is inside the interval');
  if (target.band !== undefined) {
    const band = bandAround(target.band(summary));
    if (band === undefined) return open('what two identical arms show was not proven');
    const about = { bandMost: band.most };
    if (low > band.most) return { verdict: 'missed', ...about };
    if (isTooWide(band)) return { ...open('the noise of this run is wider than 25 %'), ...about };
    return high <= band.most ? { verdict: 'met', ...about } : { ...inside, ...about };
  }
  if (target.isLeast === true) {
    if (high < target.limit) return { verdict: 'missed' };
    return low >= target.limit ? unlessInDoubt(target, summary) : inside;
  }
  if (target.identical !== undefined) {
    return judgeBeside(measured.spread, target.identical(summary));
  }
  const most = target.times === undefined ? target.limit : 0;
  if (high <= most) return unlessInDoubt(target, summary);
  return low > most ? { verdict: 'missed' } : inside;
}

/** A difference that must be below 0, by more than two identical arms differ by in the same rounds. */
function judgeBeside({ low, high }: Spread, identical: Figure): Judgement {
  const open = (openBecause: string): Judgement => ({ verdict: 'open', openBecause });
  const band = bandAroundZero(identical);
  if (band === undefined || identical.state !== 'measured') {
    const isAbsent = identical.state === 'absent';
    return open(`two identical Tracecars were not ${isAbsent ? 'measured' : 'proven'} beside it`);
  }
  if (identical.spread.rounds < roundsMin) return open('too few rounds of two identical Tracecars');
  if (high < band.least) return { verdict: 'met' };
  if (low > band.most) return { verdict: 'missed' };
  const isClear = high < 0 || low > 0;
  const why = isClear
    ? 'two identical Tracecars differ by as much'
    : 'the limit is inside the interval';
  return open(why);
}

function unlessInDoubt(target: Target, summary: Summary): Judgement {
  const doubt = target.doubt?.(summary);
  return doubt === undefined ? { verdict: 'met' } : { verdict: 'open', openBecause: doubt };
}

function tooManyDropped({ dropped, rounds }: { dropped: number; rounds: number }): string {
  return `${dropped} of ${rounds} rounds had to be dropped`;
}

function ratioTarget(id: string, what: string, rival: string, limit: number, stretch?: number) {
  const target = { id, what, limit, unit: `x ${rival}`, digits: 2, scenario: 'hop' };
  return stretch === undefined ? target : { ...target, stretch };
}

function hopRatio(arm: string, rival: string): Target['measure'] {
  const reader: Reader = read.cpuUsPerRequest;
  return (summary) => summary.ratio(arm, rival, 'saturation', reader);
}

function addedTargets(point: string, load: string): readonly Target[] {
  return [addedTarget('p50', point, load, 0.5, 0.75), addedTarget('p99', point, load, 0.99, 0.9)];
}

function addedTarget(
  name: string,
  point: string,
  load: string,
  share: number,
  limit: number,
): Target {
  return {
    ...ratioTarget(`added-${name}-${point}`, `added ${name}, ${load}`, 'Envoy', limit),
    measure: (summary) => summary.addedOver('tracecar', 'envoy', point, share, limit),
    times: (summary) => summary.addedTimes('tracecar', 'envoy', point, share),
    identical: (summary) => summary.difference('tracecar-aa', 'tracecar', point, percentile(share)),
  };
}
