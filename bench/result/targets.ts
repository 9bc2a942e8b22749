/**
 * What issue 5 asks of the hot path, and whether results reach it.
 *
 * Each target reads one scenario's summary. Ratios are taken in the same rounds on the same machine. A
 * missed target stays in the table with its measured value; a scenario without a result is
 * 'not measured'.
 */

import { editsFailed, parsedToEffectMs } from '../scenarios/edits-report.ts';
import { idlePrivateBytes } from '../scenarios/memory-report.ts';
import { PricePoint, workRead } from '../scenarios/prices-report.ts';
import { routesP99Ratio } from '../scenarios/routes-report.ts';
import { firstOverSteady } from '../scenarios/start-drain-report.ts';
import { pointOf } from '../scenarios/tracing-report.ts';
import { type Figure, type Reader, read, type Summary } from './summary.ts';
import { bandAround, isTooWide } from './verdict.ts';

export interface Target {
  /** A word that stays when the limit or the words change; reasons.ts speaks of it by this. */
  readonly id: string;
  readonly what: string;
  readonly limit: number;
  readonly unit: string;
  /** Digits of the measured value. */
  readonly digits: number;
  /** The name of the scenario whose result it reads. */
  readonly scenario: string;
  /** What we would like beyond the limit. */
  readonly stretch?: number;
  measure(summary: Summary): Figure;
  /**
   * `measure` is a difference in us, ours less the limit times the rival's, judged against 0; this is the
   * multiple that is printed beside it, undefined where the rival's part is within the noise.
   */
  times?(summary: Summary): number | undefined;
  /** In place of the limit: the ratio must not be above what two identical arms show. */
  band?(summary: Summary): Figure;
  /** One sum over the whole run, not a figure of rounds. */
  readonly isTotal?: true;
  /** Nothing was asked: it stands beside the targets for comparison, without limit and verdict. */
  readonly isInformation?: true;
}

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
  /** Of an open one: why. */
  readonly openBecause?: string;
}

/** Fewer rounds, kept ones, give no verdict: one or two have no spread worth the name. */
const roundsMin = 3;

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
    ...plainTarget('edits-failed', 'edits', 'failed in 1000 edits', 0, 'requests', 0),
    measure: editsFailed,
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
    ...plainTarget('system-calls', 'prices', 'system calls of a plain request', 6, 'calls', 2),
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
      // A full core: at a fixed rate waking up costs more than tracing does.
      ...plainTarget(
        'tracing-hot',
        'prices',
        'tracing at 100 % against off, hot thread',
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
        'tracing at 100 % against off, both threads',
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
    const measured = target.measure(summary);
    if (target.isInformation === true) return { target, measured, verdict: 'no target' };
    if (measured.state === 'absent') return { target, measured, verdict: 'not measured' };
    const times = target.times === undefined ? {} : { times: target.times(summary) };
    return { target, measured, ...times, ...judge(target, measured, summary) };
  });
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
  const most = target.times === undefined ? target.limit : 0;
  if (high <= most) return { verdict: 'met' };
  return low > most ? { verdict: 'missed' } : inside;
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
  };
}
