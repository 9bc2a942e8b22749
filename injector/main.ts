/**
 * `tracecar injector`: the admission webhook as a program. Flags and environment in, exit status out.
 *
 * It runs in the cluster, as the Deployment that `tracecar install` prints. SIGTERM and SIGINT drain,
 * a second one ends at once. Status 0 after a drain, 2 when it could not start, 1 after a bug.
 */

import { systemClock } from '../src/base/clock.ts';
import { KubeClient } from '../src/kube/kube-client.ts';
import { hideMemory } from '../src/main/hide-memory.ts';
import { codeOf, listenProblem, StartError } from '../src/main/listen-problem.ts';
import { Log } from '../src/main/log.ts';
import { judgeNodeVersion } from '../src/main/node-version.ts';
import { tracecarVersion } from '../src/main/version.ts';
import { type InjectorSettings, readInjectorSettings } from './settings.ts';
import { TurnOutput } from './webhook-log.ts';
import { InjectorService } from './webhook-service.ts';
import { noTracer, type WebhookTracer } from './webhook-tracer.ts';

/**
 * Runs until a signal ends it and gives the exit status. Throws UsageError and StartError: their
 * messages are the one line for the person who started it.
 */
export async function runInjector(args: readonly string[]): Promise<number> {
  const settings = readInjectorSettings(args, process.env);
  hideMemory();
  const output = new TurnOutput(process.stderr);
  process.on('exit', () => output.flush());
  const log = new Log(settings.logLevel, output, systemClock);
  const verdict = judgeNodeVersion(process.versions.node);
  if (verdict.isTooOld) throw new StartError(verdict.sentence);
  const version = tracecarVersion();
  const client = openClient(settings, version);
  process.on('uncaughtException', (error) => endAfterBug(log, error));
  const { promise: failed, reject } = Promise.withResolvers<number>();
  // Nobody waits for it before the start is over.
  failed.catch(() => {});
  const service = new InjectorService({
    settings,
    client,
    tracer: await openTracer(version),
    version,
    log: log.write,
    onListenFailure: (error) => reject(unopened('listen', settings.listen, error)),
  });
  const ended = endBySignal(service, log);
  try {
    await service.start();
  } catch (error) {
    throw unopened('health', settings.health, error);
  }
  if (verdict.sentence !== '') log.write('warn', verdict.sentence);
  return Promise.race([ended, failed]);
}

function openClient(settings: InjectorSettings, version: string): KubeClient {
  try {
    const userAgent = `tracecar-injector/${version}`;
    return KubeClient.inCluster(process.env, userAgent, settings.serviceAccount);
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error));
  }
}

/** Spans only when there is somewhere to send them: the SDK costs 45 MB. */
async function openTracer(version: string): Promise<WebhookTracer> {
  const { env } = process;
  const isWanted =
    env.OTEL_SDK_DISABLED?.toLowerCase() !== 'true' &&
    [
      'OTEL_EXPORTER_OTLP_ENDPOINT',
      'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
      'OTEL_TRACES_EXPORTER',
    ].some((name) => (env[name] ?? '') !== '' && env[name] !== 'none') &&
    env.OTEL_TRACES_EXPORTER !== 'none';
  if (!isWanted) return noTracer;
  const { startSpans } = await import('./spans.ts');
  return startSpans(env, version);
}

function unopened(
  flag: string,
  { address, port }: { readonly address: string; readonly port: number },
  error: unknown,
): StartError {
  const what = flag === 'health' ? 'the health port' : "the webhook's port";
  return new StartError(listenProblem(`${what} (--${flag})`, address, port, codeOf(error)));
}

/** Resolves with the exit status once a signal has ended the service. */
function endBySignal(service: InjectorService, log: Log): Promise<number> {
  return new Promise((resolve) => {
    let isEnding = false;
    const onSignal = (signal: NodeJS.Signals, status: number) => {
      if (isEnding) {
        log.write('warn', `${signal} again: ending at once`);
        process.exit(status);
      }
      isEnding = true;
      log.write('info', `${signal}: draining`);
      service.leave().then(
        () => {
          log.write('info', 'drained');
          resolve(0);
        },
        (error: unknown) => endAfterBug(log, error),
      );
    };
    process.on('SIGTERM', () => onSignal('SIGTERM', 143));
    process.on('SIGINT', () => onSignal('SIGINT', 130));
  });
}

/** Nothing is sure after an exception that nobody caught: one line, and the kubelet restarts us. */
function endAfterBug(log: Log, error: unknown): void {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const place = error instanceof Error ? (error.stack ?? '').split('\n')[1]?.trim() : undefined;
  log.write('error', `unexpected failure, a bug: ${text}`, place === undefined ? {} : { place });
  process.exit(1);
}
