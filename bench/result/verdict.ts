/**
 * What may be said of a ratio or a difference: only what the noise of the same run allows.
 *
 * The noise is what two identical arms show. Where the ratio of those two may be zero or less it is no
 * measure of anything, and where it leaves more than a quarter open, being inside it proves nothing: then
 * the verdict is open. So it is with fewer than three rounds, and in a run that tolerated noise. Pure:
 * figures in, a word out.
 */

import type { Figure } from './summary.ts';

/** 'open': the interval is neither wholly inside the band nor wholly outside it. */
export type Verdict =
  | 'lower'
  | 'higher'
  | 'no difference'
  | 'open'
  | typeof tooNoisy
  | typeof tooFewRounds
  | typeof noiseTolerated
  | 'unproven'
  | 'absent';

/** The verdict where the band is so wide that being inside it, or partly, proves nothing. */
export const tooNoisy = 'open: the noise of this run is wider than 25 %';

/** Fewer rounds, kept ones, give no verdict: one or two have no spread worth the name. */
export const roundsMin = 3;

export const tooFewRounds = `open: fewer than ${roundsMin} rounds`;
export const noiseTolerated = 'open: noise was tolerated';

/** A band that reaches further, on either side of 1, proves nothing. */
const bandMost = 1.25;

/** From what to what a ratio may lie around 1, or a difference around 0, and still be no difference. */
export interface Band {
  readonly least: number;
  readonly most: number;
}

/**
 * What the ratio of two identical arms shows, whichever of them is above; undefined where it was not
 * measured, and where its interval is not wholly above 0.
 */
export function bandAround(identical: Figure): Band | undefined {
  if (identical.state !== 'measured') return undefined;
  const { low, high } = identical.spread;
  if (!(low > 0)) return undefined;
  return { least: Math.min(1, low, 1 / high), most: Math.max(1, high, 1 / low) };
}

/** The same of a difference, around 0. */
export function bandAroundZero(identical: Figure): Band | undefined {
  if (identical.state !== 'measured') return undefined;
  const most = Math.max(0, -identical.spread.low, identical.spread.high);
  return { least: -most, most };
}

/** Whether a band of ratios is too wide for a verdict from inside it. */
export function isTooWide({ least, most }: Band): boolean {
  return most > bandMost || least < 1 / bandMost;
}

/**
 * 'lower' or 'higher' only when the whole interval of the ratio is outside the band of the two identical
 * arms around 1; 'no difference' only when it is wholly inside a band that is no wider than 25 %. Where
 * no band was measured it is 1 itself, and 'no difference' is not to be had.
 */
export function judgeRatio(ratio: Figure, identical: Figure): Verdict {
  if (ratio.state !== 'measured') return ratio.state;
  const refusal = refuseOf(ratio) ?? refuseOf(identical);
  if (refusal !== undefined) return refusal;
  const band = bandAround(identical);
  if (band === undefined && identical.state === 'measured') return 'open';
  return judge(ratio, band ?? { least: 1, most: 1 }, band !== undefined && isTooWide(band));
}

/**
 * The same of a difference, around 0. `ratio` is what the two identical arms show as a ratio of the
 * whole values: whether their difference is a small one.
 */
export function judgeDifference(difference: Figure, identical: Figure, ratio: Figure): Verdict {
  if (difference.state !== 'measured') return difference.state;
  const refusal = refuseOf(difference) ?? refuseOf(identical);
  if (refusal !== undefined) return refusal;
  const band = bandAroundZero(identical);
  if (band === undefined) return 'open';
  const share = bandAround(ratio);
  return judge(difference, band, share === undefined || isTooWide(share));
}

/** Why nothing may be said of a figure, or by it. */
function refuseOf(figure: Figure): typeof tooFewRounds | typeof noiseTolerated | undefined {
  if (figure.state !== 'measured') return undefined;
  if (figure.isSmokeTest === true) return noiseTolerated;
  return figure.spread.rounds < roundsMin ? tooFewRounds : undefined;
}

function judge(figure: Figure & { state: 'measured' }, band: Band, isNoisy: boolean): Verdict {
  const { low, high } = figure.spread;
  if (high < band.least) return 'lower';
  if (low > band.most) return 'higher';
  if (isNoisy) return tooNoisy;
  return low >= band.least && high <= band.most ? 'no difference' : 'open';
}
