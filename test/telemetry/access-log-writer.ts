/**
 * A child process of access-log.test.ts: writes N records through telemetry with the access log on,
 * then says on stderr what was counted.
 */

import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { systemRandom } from '../../src/base/random.ts';
import { readTraceparent, TraceContext } from '../../src/telemetry/context/trace-context.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { Telemetry } from '../../src/telemetry/telemetry.ts';
import { outbound } from './records.ts';

const { settings } = readTelemetrySettings({ OTEL_TRACES_EXPORTER: 'none' });
const telemetry = Telemetry.start({
  settings,
  clock: systemClock,
  wakeUps: systemWakeUps,
  random: systemRandom,
  log: (level, text) => process.stderr.write(`${level} ${text}\n`),
  version: '1.2.3',
  accessLog: 'json',
});
const parent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const context = new TraceContext();
readTraceparent(parent, 0, parent.length, context);
const record = outbound({
  routeId: telemetry.names.idOf('reviews-route'),
  subsetId: telemetry.names.idOf('v1'),
  endpointId: telemetry.names.idOf('10.0.0.7:9080'),
  startMs: systemClock.now(),
});
telemetry.beginSpan(record, context);
const total = Number(process.argv[2]);
for (let index = 0; index < total; index++) {
  record.connectionRequests = index + 1;
  telemetry.finish(record);
}
const begin = systemClock.now();
await telemetry.flushAndClose();
const closeMs = systemClock.now() - begin;
process.stderr.write(`${JSON.stringify({ closeMs, ...telemetry.counts() })}\n`);
