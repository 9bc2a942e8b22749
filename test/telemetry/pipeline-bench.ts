/**
 * The worker's pipeline in this thread, over the SDK's real exporter and real sockets, with short times;
 * and checks of the accounts that must hold whatever a collector does.
 */

import assert from 'node:assert/strict';
import { ManualClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { type TelemetryLimits, telemetryLimits } from '../../src/model/telemetry-limits.ts';
import { createOutput, watchPartialSuccess } from '../../src/telemetry/export/span-exporters.ts';
import { SpanQueue } from '../../src/telemetry/export/span-queue.ts';
import { WorkerCounters } from '../../src/telemetry/metrics/worker-counters.ts';
import { type ExchangeRecord, RecordFlag } from '../../src/telemetry/record/exchange-record.ts';
import { createRingMemory, type RingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RingReader } from '../../src/telemetry/record/ring-reader.ts';
import { RingWriter } from '../../src/telemetry/record/ring-writer.ts';
import { RecordPipeline } from '../../src/telemetry/record-pipeline.ts';
import { readTelemetrySettings } from '../../src/telemetry/settings/settings.ts';
import { OtlpSink, type SinkAnswer } from './otlp-sink.ts';
import { outbound } from './records.ts';
import { surroundings } from './surroundings.ts';

/** Short times, so that a test of a timeout is short too. */
export const quick = {
  OTEL_TRACES_SAMPLER: 'always_on',
  OTEL_BSP_SCHEDULE_DELAY: '10',
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
  OTEL_BSP_MAX_QUEUE_SIZE: '100',
  OTEL_EXPORTER_OTLP_TIMEOUT: '300',
};

const quickLimits = {
  flushMs: 500,
  keptDelayMs: 10,
  exportBackoffMs: 4,
  exportBackoffMsMax: 20,
  exportRetryAfterMsMax: 60_000,
};

export class PipelineBench {
  readonly warnings: string[] = [];
  readonly clock = new ManualClock();
  readonly queue: SpanQueue;
  readonly pipeline: RecordPipeline;
  readonly #writer: RingWriter;
  readonly #counters: WorkerCounters;
  readonly #memory: RingMemory;
  written = 0;

  constructor(url: string, env: Record<string, string> = {}, over: Partial<TelemetryLimits> = {}) {
    const { settings } = readTelemetrySettings({
      ...quick,
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      ...env,
    });
    const limits = { ...telemetryLimits, ...quickLimits, ...over };
    const memory = createRingMemory(limits.recordRingBytes, limits.textRingBytes);
    this.#writer = new RingWriter(memory, limits.recordTextBytesMax);
    this.#counters = new WorkerCounters(memory);
    this.#memory = memory;
    const around = surroundings();
    const output = createOutput(settings, '1.2.3', around)!;
    this.queue = new SpanQueue(output, settings.batch, systemWakeUps, { limits });
    watchPartialSuccess((spans) => this.queue.reject(spans));
    this.pipeline = new RecordPipeline({
      memory,
      limits,
      clock: this.clock,
      wakeUps: systemWakeUps,
      surroundings: around,
      readNames: () => undefined,
      spans: this.queue,
      lines: undefined,
      destination: 'the test collector',
      warn: (text) => this.warnings.push(text),
    });
  }

  /** Writes `count` sampled records and polls until all are taken that can be. */
  write(count: number, fields: Partial<ExchangeRecord> = {}): void {
    for (let index = 0; index < count; index++) {
      assert.ok(this.#writer.write(outbound({ flags: RecordFlag.Sampled, ...fields })));
    }
    this.written += count;
    this.check();
  }

  /** Records that wait in the ring. */
  get held(): number {
    return new RingReader(this.#memory).available();
  }

  /** The accounts hold, whatever has happened. */
  check(): { sent: number; dropped: number; queued: number } {
    for (let isMore = true; isMore; ) isMore = this.pipeline.poll();
    const { taken, sent, dropped, queued } = this.#counters.read();
    assert.equal(taken + this.held, this.written);
    assert.equal(sent + dropped + queued, taken, 'taken = sent + dropped + queued');
    return { sent, dropped, queued };
  }

  /** Waits for `isDone` between turns of the event loop. */
  async until(isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      this.check();
      await new Promise((resolve) => systemWakeUps.after(5, () => resolve(undefined)));
    }
  }
}

/** A sink with one way to answer, a bench that writes to it, and both ended. */
export async function withSink(
  answer: SinkAnswer,
  run: (bench: PipelineBench, sink: OtlpSink) => Promise<void>,
  env: Record<string, string> = {},
  over: Partial<TelemetryLimits> = {},
): Promise<void> {
  const sink = await OtlpSink.start();
  sink.answer = answer;
  const bench = new PipelineBench(sink.url, env, over);
  try {
    await run(bench, sink);
    await bench.pipeline.close();
    bench.check();
  } finally {
    await bench.pipeline.close();
    await sink.close();
  }
}
