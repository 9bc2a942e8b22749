/**
 * The record ring: what comes out is what went in, in order, whatever wraps, fills or is too long.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { randomBelow, seededRandom } from '../../src/base/random.ts';
import {
  ExchangeRecord,
  isExported,
  RecordFlag,
} from '../../src/telemetry/record/exchange-record.ts';
import { createRingMemory, RECORD_BYTES } from '../../src/telemetry/record/record-layout.ts';
import { RingReader } from '../../src/telemetry/record/ring-reader.ts';
import { RingWriter } from '../../src/telemetry/record/ring-writer.ts';
import { inbound, outbound, randomRecord } from './records.ts';

const TEXT_MAX = 1_024;

function ring(records: number, textBytes = 1 << 20): { writer: RingWriter; reader: RingReader } {
  const memory = createRingMemory(records * RECORD_BYTES, textBytes);
  return { writer: new RingWriter(memory, TEXT_MAX), reader: new RingReader(memory) };
}

function readNext(reader: RingReader): ExchangeRecord {
  const record = new ExchangeRecord();
  reader.read(record);
  return record;
}

test('every field comes out as it went in', () => {
  const random = seededRandom(7);
  const { writer, reader } = ring(16);
  for (let round = 0; round < 500; round++) {
    const record = randomRecord(random);
    assert.equal(writer.write(record), true);
    assert.equal(reader.available(), 1);
    assert.equal(reader.nextIsExported(), isExported(record.flags));
    assert.deepEqual(readNext(reader), record);
    reader.release();
  }
});

test('records keep their order over many wraps of both areas', () => {
  const random = seededRandom(11);
  const { writer, reader } = ring(64, 16_384);
  const expected: ExchangeRecord[] = [];
  let written = 0;
  for (let round = 0; round < 2_000; round++) {
    for (let burst = randomBelow(random, 8); burst > 0; burst--) {
      const record = randomRecord(random);
      record.generation = written;
      if (!writer.write(record)) continue;
      written++;
      expected.push(record);
    }
    const isSlow = (round & 64) === 0;
    const count = isSlow ? 0 : randomBelow(random, reader.available() + 1);
    for (let index = 0; index < count; index++) {
      const wanted = expected.shift()!;
      if (randomBelow(random, 4) === 0) reader.skip();
      else assert.deepEqual(readNext(reader), wanted);
    }
    reader.release();
    assert.equal(reader.available(), expected.length);
  }
  assert.ok(written > 3_000 && writer.dropped > 0, `${written} written, ${writer.dropped} dropped`);
});

test('a full ring drops the new record, counts it and keeps the old ones', () => {
  const { writer, reader } = ring(4);
  for (let index = 0; index < 6; index++) {
    assert.equal(writer.write(outbound({ generation: index })), index < 4);
  }
  assert.equal(writer.dropped, 2);
  assert.equal(reader.dropped(), 2);
  assert.equal(reader.available(), 4);
  assert.equal(readNext(reader).generation, 0);
  assert.equal(writer.write(outbound()), false, 'read but not released');
  reader.release();
  assert.equal(writer.write(outbound({ generation: 9 })), true);
  const rest = [1, 2, 3, 9].map(() => readNext(reader).generation);
  assert.deepEqual(rest, [1, 2, 3, 9]);
});

test('a full text area drops the record, whatever room the record area has', () => {
  const { writer, reader } = ring(1_024, 16_384);
  const target = 'x'.repeat(1_000);
  let written = 0;
  while (writer.write(outbound({ target, generation: written }))) written++;
  assert.ok(written >= 14 && written <= 16, String(written));
  for (let index = 0; index < written; index++) {
    const record = readNext(reader);
    assert.equal(record.generation, index);
    assert.equal(record.target, target);
  }
  reader.release();
  assert.equal(writer.write(outbound({ target })), true);
});

test('each string is cut at 1 KiB and none reaches into the next', () => {
  const { writer, reader } = ring(4);
  const long = (letter: string) => letter.repeat(1024 * 1024);
  const fields = {
    target: long('t'),
    authority: long('a'),
    userAgent: long('u'),
    peerAddress: long('p'),
  };
  assert.equal(writer.write(inbound(fields)), true);
  const record = readNext(reader);
  assert.equal(record.target, 't'.repeat(TEXT_MAX));
  assert.equal(record.authority, 'a'.repeat(TEXT_MAX));
  assert.equal(record.userAgent, 'u'.repeat(TEXT_MAX));
  assert.equal(record.peerAddress, 'p'.repeat(255));
});

test('lines beside the four strings are kept to 1020 bytes, whatever their length is', () => {
  const { writer, reader } = ring(4);
  for (const length of [1, 2, 3, 4, 5, 1_019, 1_020, 1_021, 5_000]) {
    const extra = `h0:${'v'.repeat(length)}`.slice(0, length);
    writer.write(outbound({ extra, peerAddress: '10.0.0.7' }));
    writer.write(outbound({ target: '/next' }));
    const record = readNext(reader);
    assert.equal(record.extra, extra.slice(0, 1_020));
    assert.equal(record.peerAddress, '10.0.0.7');
    assert.equal(reader.text.hasExtra, true);
    assert.equal(readNext(reader).target, '/next');
    assert.equal(reader.text.hasExtra, false);
    reader.release();
  }
});

test('a record becomes a span by its head or by a later verdict, unless it is muted', () => {
  assert.equal(isExported(0), false);
  assert.equal(isExported(RecordFlag.Sampled), true);
  assert.equal(isExported(RecordFlag.Kept), true);
  assert.equal(isExported(RecordFlag.Sampled | RecordFlag.Kept | RecordFlag.Muted), false);
  assert.equal(isExported(0xffff & ~(RecordFlag.Sampled | RecordFlag.Kept)), false);
});

test('memory takes as many records, and as much text, as are a power of two', () => {
  const memory = createRingMemory(100 * RECORD_BYTES, 20_000);
  assert.equal(memory.recordsMax, 64);
  assert.equal(memory.textBytes, 16_384);
  assert.equal(memory.buffer.byteLength, memory.textStart + memory.textBytes);
});

test('bytes of the wire that are UTF-8 are read as such, others as U+FFFD', () => {
  const { writer, reader } = ring(4);
  const wire = Buffer.from('Grüße').toString('latin1');
  writer.write(inbound({ userAgent: wire, authority: 'a\u00ff', target: '/\t' }));
  const record = readNext(reader);
  assert.equal(record.userAgent, 'Grüße');
  assert.equal(record.authority, 'a\ufffd');
  assert.equal(record.target, '/\t');
});

test('an exchange of days keeps its duration to one part in ten million', () => {
  const { writer, reader } = ring(4);
  const days = 3 * 86_400 * 1_000_000;
  writer.write(inbound({ totalUs: days, responseUs: days - 1_000 }));
  const record = readNext(reader);
  assert.ok(Math.abs(record.totalUs - days) / days < 1e-7);
  assert.ok(record.responseUs > 0);
});

test('a second reader goes on where the first released', () => {
  const memory = createRingMemory(8 * RECORD_BYTES, 16_384);
  const writer = new RingWriter(memory, TEXT_MAX);
  const first = new RingReader(memory);
  for (let index = 0; index < 5; index++) writer.write(outbound({ generation: index }));
  readNext(first);
  readNext(first);
  first.release();
  readNext(first);
  const second = new RingReader(memory);
  assert.equal(second.available(), 3);
  assert.equal(readNext(second).generation, 2);
});

test('head and tail may pass 2^31 and 2^32', () => {
  const memory = createRingMemory(4 * RECORD_BYTES, 16_384);
  const words = new Int32Array(memory.buffer);
  for (const start of [2 ** 31 - 2, 2 ** 32 - 2]) {
    words[0] = start | 0;
    words[16] = start | 0;
    words[32] = (start - 62) | 0;
    const reader = new RingReader(memory);
    const writer = new RingWriter(memory, TEXT_MAX);
    for (let index = 0; index < 9; index++) {
      assert.equal(writer.write(outbound({ generation: index })), true);
      assert.equal(reader.available(), 1);
      assert.equal(readNext(reader).generation, index);
      reader.release();
    }
  }
});

test('a reader in another thread sees 40,000 records whole and in order', async () => {
  const memory = createRingMemory(256 * RECORD_BYTES, 65_536);
  const writer = new RingWriter(memory, TEXT_MAX);
  const total = 40_000;
  const worker = new Worker(new URL('./ring-consumer.ts', import.meta.url), {
    workerData: { memory, total },
  });
  const result = new Promise<{ wrong: number; seen: number }>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  await new Promise((resolve) => worker.once('online', resolve));
  const record = outbound();
  let refused = 0;
  for (let index = 0; index < total; ) {
    record.generation = index;
    record.traceId0 = ~index;
    record.startMs = index + 0.5;
    record.target = `/${index}${'x'.repeat(index & 127)}`;
    if (writer.write(record)) index++;
    else refused++;
  }
  assert.deepEqual(await result, { wrong: 0, seen: total });
  assert.equal(writer.dropped, refused);
  await worker.terminate();
});
