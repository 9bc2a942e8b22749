/**
 * Entry of the telemetry worker thread: joins its parts and answers `close`.
 *
 * The only way into the files that load OpenTelemetry; the hot thread never imports it. `workerData`
 * is a WorkerStart. Bundled on its own as dist/telemetry-worker.cjs.
 */

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { systemRandom } from '../base/random.ts';
import { LineOutput } from './export/line-output.ts';
import { createOutput, watchPartialSuccess } from './export/span-exporters.ts';
import { SpanQueue } from './export/span-queue.ts';
import { KeepSender } from './keep/keep-sender.ts';
import { RecordPipeline } from './record-pipeline.ts';
import { createSurroundings, type SpanSurroundings } from './span/span-surroundings.ts';
import { OwnPath } from './transport/own-path.ts';
import { WorkerMetrics } from './worker-metrics.ts';
import type {
  NamesPortMessage,
  ToWorkerMessage,
  WorkerMessage,
  WorkerStart,
} from './worker-protocol.ts';

const STDOUT = 1;

interface Parts {
  readonly pipeline: RecordPipeline;
  readonly metrics: WorkerMetrics;
  /** Undefined: exporters dial. */
  readonly path: OwnPath | undefined;
  readonly sender: KeepSender;
}

function startWorker(start: WorkerStart): Parts {
  const { settings, limits, version } = start;
  const names: string[] = [''];
  const surroundings = createSurroundings(settings, version, start.epochMs, names);
  const hasLines = start.accessLog === 'json';
  // One for both: only what one writes is not cut by what the other does.
  const stdout =
    hasLines || settings.exporter === 'otlp/stdout'
      ? new LineOutput(STDOUT, limits.accessLogHeldBytesMax)
      : undefined;
  const path = start.asksForPath
    ? new OwnPath((id, to) => post({ kind: 'dial', id, to }))
    : undefined;
  const output = createOutput(settings, version, surroundings, { stdout, path });
  const metrics = new WorkerMetrics(start, systemClock, surroundings, post, path);
  const watched = output && metrics.watch(output);
  const spans = watched && new SpanQueue(watched.output, settings.batch, systemWakeUps);
  watchPartialSuccess((count) => {
    watched?.refused();
    spans?.reject(count);
  });
  const sender = new KeepSender(systemWakeUps, ({ principalId }) => names[principalId] ?? '');
  const pipeline = new RecordPipeline({
    memory: start.memory,
    limits,
    clock: systemClock,
    wakeUps: systemWakeUps,
    surroundings,
    readNames: () => readNames(start, names, surroundings),
    spans,
    lines: hasLines ? stdout : undefined,
    destination: settings.exporter === 'otlp' ? withoutSecrets(settings.otlp.url) : 'the console',
    warn: (text) => post({ kind: 'warning', text }),
    metricsFailed: () => metrics.failed,
    keep: {
      historyBytes: settings.keep.historyBytes,
      random: systemRandom,
      sender,
    },
  });
  return { pipeline, metrics, path, sender };
}

function readNames(
  start: WorkerStart,
  names: string[],
  { clusters, rules }: SpanSurroundings,
): void {
  for (;;) {
    const received = receiveMessageOnPort(start.names);
    if (received === undefined) return;
    const message = received.message as NamesPortMessage;
    if ('clusters' in message) {
      clusters.add(message.clusters);
      rules.add(message.rules);
      continue;
    }
    for (const [index, name] of message.names.entries()) names[message.firstId + index] = name;
  }
}

/** The URL without userinfo and query, which may hold tokens. */
function withoutSecrets(url: string): string {
  const parsed = new URL(url);
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`;
}

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

const { pipeline, metrics, path, sender } = startWorker(workerData as WorkerStart);
parentPort?.on('message', (message: ToWorkerMessage) => {
  if (message.kind === 'dialled') path?.answered(message.id, message.answer);
  else if (message.kind === 'redial') path?.redial();
  else if (message.kind === 'keys') sender.setKeys(message.keys);
  else if (message.kind === 'close') close(message.untilEpochMs);
  else metrics.take(message);
});
pipeline.start();

function close(untilEpochMs: number): void {
  const leftMs = untilEpochMs - systemClock.epochMs - systemClock.now();
  // What takes longer is ended with this thread.
  const closed = Promise.all([pipeline.close(leftMs), metrics.flush()]);
  void closed.then(() => post({ kind: 'closed' }));
}
