/**
 * The worker's part in metrics: it sends snapshots by OTLP and knows which spans may be exemplars.
 *
 * OpenTelemetry's exporter of metrics is loaded with the first snapshot, so that who sends none does not
 * pay for it.
 */

import type { Clock } from '../base/clock.ts';
import { ExemplarOutput } from './export/exemplar-batches.ts';
import type { SpanOutput } from './export/span-exporters.ts';
import { ExemplarStore } from './metrics/exemplars.ts';
import type { MetricsExport } from './metrics/metrics-export.ts';
import type { MetricsSnapshot } from './metrics/metrics-snapshot.ts';
import type { SpanSurroundings } from './span/span-surroundings.ts';
import type { OwnPath } from './transport/own-path.ts';
import type { ExemplarsRequest, WorkerMessage, WorkerStart } from './worker-protocol.ts';

export class WorkerMetrics {
  readonly #start: WorkerStart;
  readonly #clock: Clock;
  readonly #around: SpanSurroundings;
  readonly #post: (message: WorkerMessage) => void;
  readonly #path: OwnPath | undefined;
  readonly #store: ExemplarStore;
  #export: Promise<MetricsExport> | undefined;
  #loaded: MetricsExport | undefined;

  constructor(
    start: WorkerStart,
    clock: Clock,
    around: SpanSurroundings,
    post: (message: WorkerMessage) => void,
    path?: OwnPath,
  ) {
    this.#start = start;
    this.#clock = clock;
    this.#around = around;
    this.#post = post;
    this.#path = path;
    this.#store = new ExemplarStore(start.limits.exemplarsMax);
  }

  /** `output`, watched for exemplars unless the settings want none. */
  watch(output: SpanOutput): { readonly output: SpanOutput; readonly refused: () => void } {
    const { epochMs, limits, settings } = this.#start;
    if (settings.exemplars === 'always_off') return { output, refused: () => {} };
    const watched = new ExemplarOutput(output, this.#store, epochMs, limits);
    return { output: watched, refused: () => watched.refused() };
  }

  /** Exports that have failed. */
  get failed(): number {
    return this.#loaded?.failed ?? 0;
  }

  take(message: ExemplarsRequest | MetricsSnapshot): void {
    if (message.kind === 'exemplars') {
      this.#post({ kind: 'exemplars', id: message.id, entries: this.#store.entries() });
    } else {
      this.#export ??= this.#load();
      void this.#export.then((exporting) => exporting.take(message));
    }
  }

  /** Resolves when what was taken is sent, or cannot be. */
  async flush(): Promise<void> {
    const exporting = await this.#export;
    await exporting?.flush();
  }

  async #load(): Promise<MetricsExport> {
    const { MetricsExport: Export } = await import('./metrics/metrics-export.ts');
    const { settings, limits, version, epochMs } = this.#start;
    this.#loaded = new Export({
      settings: settings.metrics,
      limits,
      clock: this.#clock,
      resource: this.#around.resource,
      version,
      startEpochMs: epochMs,
      knownMethods: settings.knownMethods,
      path: this.#path,
      warn: (text) => this.#post({ kind: 'warning', text }),
    });
    return this.#loaded;
  }
}
