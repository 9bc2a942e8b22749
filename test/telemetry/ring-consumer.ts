/**
 * The other thread of record-ring.test.ts: reads every record and checks that it is whole.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { ExchangeRecord } from '../../src/telemetry/record/exchange-record.ts';
import type { RingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RingReader } from '../../src/telemetry/record/ring-reader.ts';

const { memory, total } = workerData as { memory: RingMemory; total: number };
const reader = new RingReader(memory);
const record = new ExchangeRecord();
let seen = 0;
let wrong = 0;
while (seen < total) {
  for (let left = reader.available(); left > 0; left--) {
    reader.read(record);
    const isWhole =
      record.generation === seen &&
      record.traceId0 === ~seen &&
      record.startMs === seen + 0.5 &&
      record.target === `/${seen}${'x'.repeat(seen & 127)}`;
    if (!isWhole) wrong++;
    seen++;
  }
  reader.release();
}
parentPort?.postMessage({ wrong, seen });
