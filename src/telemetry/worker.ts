/**
 * Entry of the telemetry worker thread: joins its parts and answers `close`.
 *
 * The only way into the files that load OpenTelemetry; the hot thread never imports it. `workerData`
 * is a WorkerStart. Bundled on its own as dist/telemetry-worker.cjs.
 */

import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { systemClock } from '../base/clock.ts';
import { systemWakeUps } from '../base/deadlines.ts';
import { ClusterBook } from './cluster-facts.ts';
import { LineOutput } from './line-output.ts';
import { RecordPipeline } from './record-pipeline.ts';
import { resourceAttributes } from './resource-attributes.ts';
import { createOutput, watchPartialSuccess } from './span-exporters.ts';
import { SpanQueue } from './span-queue.ts';
import type {
  CloseMessage,
  NamesPortMessage,
  WorkerMessage,
  WorkerStart,
} from './worker-protocol.ts';

const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.44.0';
const STDOUT = 1;

function startWorker(start: WorkerStart): RecordPipeline {
  const { settings, limits, version } = start;
  const names: string[] = [''];
  const clusters = new ClusterBook();
  const surroundings = {
    resource: resourceFromAttributes(resourceAttributes(settings.resource, version), {
      schemaUrl: SCHEMA_URL,
    }),
    scope: { name: 'tracecar', version, schemaUrl: SCHEMA_URL },
    names,
    clusters,
    epochMs: start.epochMs,
    knownMethods: settings.knownMethods,
    attributesMax: settings.attributesMax,
    attributeLengthMax: settings.attributeLengthMax,
  };
  const output = createOutput(settings, version, surroundings);
  const spans =
    output === undefined ? undefined : new SpanQueue(output, settings.batch, systemWakeUps);
  if (spans !== undefined) watchPartialSuccess((count) => spans.reject(count));
  return new RecordPipeline({
    memory: start.memory,
    limits,
    clock: systemClock,
    wakeUps: systemWakeUps,
    surroundings,
    readNames: () => readNames(start, names, clusters),
    spans,
    lines:
      start.accessLog === 'json' ? new LineOutput(STDOUT, limits.accessLogHeldBytesMax) : undefined,
    destination: settings.exporter === 'otlp' ? withoutSecrets(settings.otlp.url) : 'the console',
    warn: (text) => post({ kind: 'warning', text }),
  });
}

function readNames(start: WorkerStart, names: string[], clusters: ClusterBook): void {
  for (;;) {
    const received = receiveMessageOnPort(start.names);
    if (received === undefined) return;
    const message = received.message as NamesPortMessage;
    if ('clusters' in message) {
      clusters.add(message);
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

const pipeline = startWorker(workerData as WorkerStart);
parentPort?.on('message', (message: CloseMessage) => {
  if (message.kind !== 'close') return;
  const leftMs = message.untilEpochMs - systemClock.epochMs - systemClock.now();
  void pipeline.close(leftMs).then(() => post({ kind: 'closed' }));
});
pipeline.start();
