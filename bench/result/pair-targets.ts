/**
 * What issue 8 asks of two sidecars with mutual TLS between them.
 */

import { connectionReuse, PairPoint } from '../scenarios/pair-report.ts';
import { read } from './summary.ts';
import type { Target } from './target.ts';

const scenario = 'pair';

export const pairTargets: readonly Target[] = [
  ratioOfPairs('tracecar-pair', 'envoy-pair', 'Envoy pair', 0.5, '1 % of traces exported'),
  ratioOfPairs('tracecar-pair', 'haproxy-pair', 'HAProxy pair', 2.2, '1 % of traces exported'),
  ratioOfPairs(
    'tracecar-pair-100',
    'envoy-pair-otel',
    'Envoy pair with its tracer',
    0.45,
    '100 % exported',
  ),
  {
    ...{ id: 'pair-reuse', scenario, limit: 99.9, unit: '% of requests', digits: 2 },
    what: 'requests between sidecars on a connection that was there, 1000/s',
    isLeast: true,
    measure: connectionReuse,
  },
];

function ratioOfPairs(
  arm: string,
  rival: string,
  unit: string,
  limit: number,
  setting: string,
): Target {
  return {
    ...{ id: `pair-${rival}`, scenario, limit, unit: `x ${unit}`, digits: 2 },
    what: `CPU per request, pair with mutual TLS, ${setting}`,
    measure: (summary) => summary.ratio(arm, rival, PairPoint.Saturation, read.cpuUsPerRequest),
  };
}
