/**
 * A flow of requests with and without something beside it: the points, and what is said of them.
 *
 * Without it is measured twice in a round, `calm` and `calm again`: by how much the two differ is the
 * noise, and only what is outside of it may be called a difference (result/verdict.ts). Pure.
 */

import { showFigure } from '../draw/section.ts';
import { type Figure, type Reader, read, type Summary } from '../result/summary.ts';
import { judgeRatio } from '../result/verdict.ts';

export const CalmPoint = { Calm: 'calm', Again: 'calm again' } as const;

/** The arms of a flow, direct first: what the neighbour costs the load and the backend shows there. */
export const disturbedArms = ['direct', 'tracecar', 'haproxy', 'envoy'] as const;

/** The arm's p99 at `point` as a multiple of its calm one, in the same round. */
export function timesCalm(summary: Summary, arm: string, point: string): Figure {
  return summary.pointRatio(arm, point, CalmPoint.Calm, read.p99Us);
}

/** Whether the p99 at `point` is another one than the calm one; '-' where the noise was not measured. */
export function calmVerdict(
  summary: Summary,
  arm: string,
  point: string,
  reader: Reader = read.p99Us,
): string {
  const noise = summary.pointRatio(arm, CalmPoint.Again, CalmPoint.Calm, reader);
  const ratio = summary.pointRatio(arm, point, CalmPoint.Calm, reader);
  return noise.state === 'absent' || ratio.state === 'absent' ? '-' : judgeRatio(ratio, noise);
}

export function showP99(summary: Summary, arm: string, point: string): string {
  return showFigure(summary.figure(arm, point, read.p99Us), 0);
}

/** The arms of a result that have a calm flow. */
export function calmArms(summary: Summary): readonly string[] {
  return summary.result.arms
    .map(({ name }) => name)
    .filter((name) => summary.points(name).includes(CalmPoint.Calm));
}

export const verdictNotes = [
  'Verdict: of the multiple, against how much two calm flows of the round differ; "higher" only when the ' +
    'whole interval is outside of that. Direct shows what the neighbour does to the load and the backend, ' +
    'whose core all of them share.',
];
