/**
 * A program for a pod: a proxy that does nothing but prove the redirection rules, as a sidecar does, and
 * says each change in a line. What a sidecar waits half a minute for comes after a moment here.
 */

import { systemClock } from '../../../src/base/clock.ts';
import { systemWakeUps } from '../../../src/base/deadlines.ts';
import { seededRandom } from '../../../src/base/random.ts';
import { Log } from '../../../src/main/log.ts';
import { RedirectionWatch } from '../../../src/main/sidecar-capture.ts';
import { trafficLimits } from '../../../src/model/limits.ts';
import { ProxyServer } from '../../../src/proxy/proxy-server.ts';
import { openOriginalDestination } from '../../../src/proxy/socket/original-destination.ts';
import { MemoryTelemetry } from '../../support/memory-telemetry.ts';

const pauseMs = 100;
/** What is not answered by the rules hangs so long: half of what a sidecar gives it. */
const proofMs = 500;

const opened = openOriginalDestination();
if ('problem' in opened) throw new Error(opened.problem);
const log = new Log('info', process.stdout, systemClock);
const proxy = new ProxyServer({
  clock: systemClock,
  random: seededRandom(7),
  wakeUps: systemWakeUps,
  limits: trafficLimits,
  telemetry: new MemoryTelemetry(),
  log: log.write,
  capture: {
    originalDestination: opened.reader,
    ownAddresses: process.argv.slice(2),
    ports: { outbound: 15_001, inbound: 15_006 },
  },
});
const errors = await proxy.openCaptures();
if (errors.length > 0) throw new Error(JSON.stringify(errors));
const watch = new RedirectionWatch({
  clock: systemClock,
  wakeUps: {
    after: (delayMs, call) => systemWakeUps.after(Math.min(delayMs, pauseMs), call),
  },
  log,
  prove: (timeoutMs) => proxy.proveRedirection(Math.min(timeoutMs, proofMs)),
  onChange: () => undefined,
});
await watch.start();
process.stdout.write('the rules are proven\n');
