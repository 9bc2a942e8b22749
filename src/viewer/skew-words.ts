/**
 * Clocks that differ, in one sentence for the whole trace: said, never mended.
 */

import type { ClockSkew } from './network-gap.ts';
import type { PlacedSpan } from './span-tree.ts';
import { printDuration } from './time-bar.ts';

/** Empty where there is none. Not yet made harmless for terminals or pages. */
export function skewWords(
  placed: readonly Pick<PlacedSpan, 'span'>[],
  skew: ClockSkew | undefined,
  ascii: boolean,
): string {
  if (skew === undefined) return '';
  const { span } = placed[skew.index]!;
  const parent = placed.find((each) => each.span.spanId === span.parentSpanId)?.span;
  const nameOf = (service: string | undefined): string => service || '(no service)';
  const time = printDuration(skew.ns, ascii);
  const [callee, caller] = [nameOf(span.service), nameOf(parent?.service)];
  const rest = 'Durations hold; bars of different services do not line up.';
  return skew.isBefore
    ? `Clocks differ: ${callee} began ${time} before ${caller} called it. ${rest}`
    : `Clocks differ, or it was taken up late: ${callee} began ${time} after the call of ${caller} was over. ${rest}`;
}
