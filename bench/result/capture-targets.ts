/**
 * What issue 6 asks of captured connections: connect and first byte, greeting, lookup, throughput, memory.
 */

import {
  capturedAdds,
  InterceptionPoint,
  idleSocketBytes,
  lookupUs,
  streamDoubt,
  streamRatio,
} from '../scenarios/interception-report.ts';
import type { Target } from './target.ts';

const { FirstByte, Greeting, Cold } = InterceptionPoint;
const scenario = 'interception';

export const captureTargets: readonly Target[] = [
  {
    ...{ id: 'capture-first-byte', scenario, limit: 60, unit: 'us', digits: 0 },
    what: 'captured connection, connect and first byte: added p50',
    measure: (summary) => capturedAdds(summary, FirstByte, 0.5),
  },
  {
    ...{ id: 'capture-greeting', scenario, limit: 5000, unit: 'us', digits: 0 },
    what: 'captured connection, greeting of the server: added p99',
    measure: (summary) => capturedAdds(summary, Greeting, 0.99),
  },
  {
    ...{ id: 'capture-cold-greeting', scenario, limit: 5000, unit: 'us', digits: 0 },
    what: 'the same where the destination was never seen',
    measure: (summary) => capturedAdds(summary, Cold, 0.99),
  },
  {
    ...{ id: 'capture-lookup', scenario, limit: 5, unit: 'us', digits: 2 },
    what: 'lookup by original destination',
    measure: lookupUs,
  },
  {
    ...{ id: 'capture-throughput', scenario, limit: 0.8, unit: 'x HAProxy, TCP mode', digits: 2 },
    what: 'captured connection, throughput of bytes that are no HTTP',
    isLeast: true,
    measure: streamRatio,
    doubt: streamDoubt,
  },
  {
    ...{ id: 'capture-idle-socket', scenario, limit: 4096, unit: 'bytes', digits: 0 },
    what: 'captured connection, a socket of 8000 idle ones',
    measure: idleSocketBytes,
  },
];
