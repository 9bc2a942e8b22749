/**
 * `tracecar proxy`: the sidecar as a program. Flags and environment in, signals, exit status.
 *
 * SIGTERM and SIGINT drain, a second one ends at once, SIGHUP reads the files again. Status 0 after a
 * drain, 2 when it could not start, 1 after a bug that nothing contained.
 */

import { systemClock } from '../base/clock.ts';
import { type Random, systemRandom } from '../base/random.ts';
import { readTelemetrySettings, type TelemetrySettings } from '../telemetry/settings/settings.ts';
import { StartError } from './listen-problem.ts';
import { Log } from './log.ts';
import { judgeNodeVersion } from './node-version.ts';
import { type ProxySettings, readProxySettings } from './proxy-settings.ts';
import { Sidecar } from './sidecar.ts';

/**
 * Runs until a signal ends it and gives the exit status. Throws UsageError and StartError: their
 * messages are the one line for the person who started it.
 */
export async function runProxy(args: readonly string[]): Promise<number> {
  const settings = readProxySettings(args, process.env);
  const log = new Log(settings.logLevel, process.stderr, systemClock);
  const verdict = judgeNodeVersion(process.versions.node);
  if (verdict.isTooOld) throw new StartError(verdict.sentence);
  const telemetry = readTelemetrySettings(process.env, settings.tracing);
  for (const warning of telemetry.warnings) log.write('warn', warning);

  const sidecar = new Sidecar(settings, withIdentity(telemetry.settings, settings), log);
  process.on('uncaughtException', (error) => endAfterBug(log, error));
  const ended = endBySignal(sidecar);
  await sidecar.start();
  if (verdict.sentence !== '') log.write('warn', verdict.sentence);
  return ended;
}

/**
 * Spans are named after the application. What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say
 * counts; the workload's namespace and labels fill in what they leave out.
 */
function withIdentity(settings: TelemetrySettings, own: ProxySettings): TelemetrySettings {
  const { labels, namespace } = own;
  const resource: Record<string, string> = {
    'service.namespace': namespace,
    'service.instance.id': newInstanceId(systemRandom),
  };
  const version = labels.version ?? labels['app.kubernetes.io/version'];
  if (version !== undefined) resource['service.version'] = version;
  Object.assign(resource, settings.resource);
  const app = labels.app ?? labels['app.kubernetes.io/name'];
  if (app !== undefined && resource['service.name']?.startsWith('unknown_service') === true) {
    resource['service.name'] = app;
  }
  return { ...settings, resource };
}

/** A random UUID (version 4): counts of two processes with the same names must not be mixed up. */
function newInstanceId(random: Random): string {
  const digits = Array.from({ length: 4 }, () => random.u32().toString(16).padStart(8, '0')).join(
    '',
  );
  const variant = '89ab'[random.u32() & 3];
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `4${digits.slice(13, 16)}`,
    `${variant}${digits.slice(17, 20)}`,
    digits.slice(20),
  ].join('-');
}

/** Resolves with the exit status once a signal has ended the sidecar. */
function endBySignal(sidecar: Sidecar): Promise<number> {
  const { log, settings } = sidecar;
  return new Promise((resolve) => {
    let isEnding = false;
    const onSignal = (signal: NodeJS.Signals, status: number) => {
      if (isEnding) {
        log.write('warn', `${signal} again: ending at once`);
        process.exit(status);
      }
      isEnding = true;
      log.write('info', `${signal}: draining`, { seconds: settings.drainMs / 1000 });
      sidecar.drain().then(
        ({ finished, cut }) => {
          log.write(cut > 0 ? 'warn' : 'info', 'drained', { finished, cut });
          resolve(0);
        },
        (error: unknown) => endAfterBug(log, error),
      );
    };
    process.on('SIGTERM', () => onSignal('SIGTERM', 143));
    process.on('SIGINT', () => onSignal('SIGINT', 130));
    process.on('SIGHUP', () => {
      log.write('info', 'SIGHUP: reading the configuration again');
      void sidecar.feed.reload();
    });
  });
}

/** Nothing is sure after an exception that nobody caught: one line, and the supervisor restarts us. */
function endAfterBug(log: Log, error: unknown): void {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const place = error instanceof Error ? (error.stack ?? '').split('\n')[1]?.trim() : undefined;
  log.write('error', `unexpected failure, a bug: ${text}`, place === undefined ? {} : { place });
  process.exit(1);
}
