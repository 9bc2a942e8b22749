/**
 * What a Tracecar says of its spans on its metrics page (docs: prometheus.ts names the families).
 *
 * Reading the page costs the proxy a millisecond, so it is read before and after a load, never in it.
 */

import { get } from 'node:http';
import type { RunningArm } from './stage.ts';

/** Since the process began; `queued` is now. */
export interface SpanCounts {
  /** Sampled spans that began and ended. */
  readonly made: number;
  readonly sent: number;
  /** Lost, for whatever reason. */
  readonly dropped: number;
  readonly queued: number;
}

const made = 'otel_sdk_span_started_total{otel_span_sampling_result="RECORD_AND_SAMPLE"}';
const exported = 'otel_sdk_exporter_span_exported_total';
const sent = `${exported}{error_type=""}`;
const queued = 'otel_sdk_processor_span_queue_size';
const patienceMs = 2000;

/** Throws an Error when the page has no such counters. */
export function parseSpanCounts(page: string): SpanCounts {
  const samples = page.split('\n').flatMap((line) => {
    const at = line.lastIndexOf(' ');
    return line.startsWith('#') || at < 0 ? [] : [[line.slice(0, at), Number(line.slice(at + 1))]];
  }) as readonly (readonly [string, number])[];
  const one = (name: string): number => {
    const found = samples.find(([sample]) => sample === name)?.[1];
    if (found === undefined) throw new Error(`the metrics page has no ${name}`);
    return found;
  };
  const dropped = samples
    .filter(([sample]) => sample.startsWith(exported) && sample !== sent)
    .reduce((sum, [, count]) => sum + count, 0);
  return { made: one(made), sent: one(sent), dropped, queued: one(queued) };
}

/** Asks a running Tracecar. Rejects when it does not answer within two seconds. */
export function readSpanCounts({ name, place }: RunningArm): Promise<SpanCounts> {
  return new Promise((resolve, reject) => {
    const url = `http://127.0.0.1:${place?.metricsPort}/metrics`;
    const request = get(url, { agent: false, timeout: patienceMs }, (response) => {
      let page = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        page += text;
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve(parseSpanCounts(page));
        } catch (error) {
          reject(error);
        }
      });
    });
    request.on('timeout', () => request.destroy(new Error(`${name}: no metrics within 2 s`)));
    request.on('error', reject);
  });
}
