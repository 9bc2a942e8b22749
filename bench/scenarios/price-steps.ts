/**
 * The steps of the price list: each is the one before it and one thing more.
 *
 *   relay > parse > route > balance > metrics > spans > sampled > exported
 *
 * The first four are the product's classes without the rest (arms/ablation.ts), because no switch leaves
 * routing or metrics out; the others are the product with its tracing switched off, at 0, 1 and 100 %.
 */

import { ablationArm, relayArm } from '../arms/ablation.ts';
import type { Arm } from '../arms/arm.ts';
import { armOf } from '../arms/arms.ts';

export interface PriceStep {
  readonly arm: Arm;
  /** What this step has and the one before has not. */
  readonly adds: string;
}

export const priceSteps: readonly PriceStep[] = [
  { arm: relayArm, adds: 'bytes passed on unread' },
  {
    arm: ablationArm(
      'parse',
      'price-parse',
      'HTTP, no rule',
      'heads read, checked and printed again, pooled upstream connections; no rule, no metrics',
    ),
    adds: 'heads read, checked, printed; connections pooled',
  },
  {
    arm: ablationArm(
      'route',
      'price-route',
      'a rule',
      'the same with one rule by authority and path prefix, its timeout, one destination',
    ),
    adds: 'a rule by authority and path, a timeout',
  },
  {
    arm: ablationArm(
      'balance',
      'price-balance',
      'a weighted choice',
      'the same with a choice of 60 to 40 between two subsets',
    ),
    adds: 'a choice by weight and an endpoint',
  },
  { arm: armOf('tracecar-off'), adds: 'metrics, and the rest of the program' },
  { arm: armOf('tracecar-0'), adds: 'ids, a traceparent, a record to the worker' },
  { arm: armOf('tracecar'), adds: '1 % of spans exported: the default' },
  { arm: armOf('tracecar-100'), adds: 'every span exported' },
];

/** Before the first step: a simple proxy on Node.js's own streams; and the default once more, for the noise. */
export const besideSteps: readonly Arm[] = [armOf('floor'), armOf('tracecar-aa')];
