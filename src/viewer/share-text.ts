/**
 * Shares and rates as people read them: enough digits to tell them apart, no more.
 */

/** A part of one as percent: `0.42 %`, `12.3 %`, `100 %`; a dash for what cannot be known. */
export function printShare(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return '–';
  const percent = share * 100;
  if (percent === 0) return '0 %';
  if (percent < 0.01) return '<0.01 %';
  if (percent < 0.995) return `${percent.toFixed(2)} %`;
  return `${percent < 99.95 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

/** `0.04/s`, `12.5/s`, `1,204/s`. */
export function printRate(perSecond: number): string {
  if (perSecond === 0) return '0/s';
  if (perSecond < 0.095) return `${perSecond.toFixed(2)}/s`;
  if (perSecond < 99.95) return `${perSecond.toFixed(1)}/s`;
  return `${Math.round(perSecond).toLocaleString('en')}/s`;
}
