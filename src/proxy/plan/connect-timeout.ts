/**
 * How long an endpoint has to accept a connection.
 *
 * Where a DestinationRule says so, as long as that. Where nobody does, as long as a caller without a
 * proxy would see through: a SYN that was lost, or that met a full accept queue, is sent again after
 * 1, 3 and 7 s. Only an endpoint that another one can stand in for is left sooner.
 */

import type { Milliseconds } from '../../base/clock.ts';
import type { TrafficLimits } from '../../model/limits.ts';
import type { ClusterPlan } from './plan.ts';

/** `hasOther`: another endpoint will be tried when this one does not answer. */
export function connectTimeoutOf(
  { cluster }: ClusterPlan,
  limits: TrafficLimits,
  hasOther: boolean,
): Milliseconds {
  if (cluster.connectTimeoutMs !== undefined) return cluster.connectTimeoutMs;
  return hasOther ? limits.connectElsewhereMs : limits.connectTimeoutMs;
}
