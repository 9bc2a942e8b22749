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

type Samples = readonly (readonly [string, number])[];

function samplesOf(page: string): Samples {
  return page.split('\n').flatMap((line) => {
    const at = line.lastIndexOf(' ');
    return line.startsWith('#') || at < 0 ? [] : [[line.slice(0, at), Number(line.slice(at + 1))]];
  }) as Samples;
}

function oneOf(samples: Samples, name: string): number {
  const found = samples.find(([sample]) => sample === name)?.[1];
  if (found === undefined) throw new Error(`the metrics page has no ${name}`);
  return found;
}

/** Throws an Error when the page has no such counters. */
export function parseSpanCounts(page: string): SpanCounts {
  const samples = samplesOf(page);
  const one = (name: string): number => oneOf(samples, name);
  const dropped = samples
    .filter(([sample]) => sample.startsWith(exported) && sample !== sent)
    .reduce((sum, [, count]) => sum + count, 0);
  return { made: one(made), sent: one(sent), dropped, queued: one(queued) };
}

/** Asks a running Tracecar. Rejects when it does not answer within two seconds. */
export async function readSpanCounts(running: RunningArm): Promise<SpanCounts> {
  return parseSpanCounts(await readPage(running));
}

/** One sample, as `name{label="value"}`; rejects when the page has none or does not come. */
export async function readSample(running: RunningArm, sample: string): Promise<number> {
  return oneOf(samplesOf(await readPage(running)), sample);
}

function readPage({ name, place }: RunningArm): Promise<string> {
  return new Promise((resolve, reject) => {
    const url = `http://127.0.0.1:${place?.metricsPort}/metrics`;
    const request = get(url, { agent: false, timeout: patienceMs }, (response) => {
      let page = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        page += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve(page));
    });
    request.on('timeout', () => request.destroy(new Error(`${name}: no metrics within 2 s`)));
    request.on('error', reject);
  });
}
