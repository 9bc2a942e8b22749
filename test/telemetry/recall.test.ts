/** What is recorded before a trace gets its verdict: kept for a while, found, and told on. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/random.ts';
import { keepLimits } from '../../src/model/telemetry-limits.ts';
import { Recall } from '../../src/telemetry/keep/recall.ts';
import { RecordHistory } from '../../src/telemetry/keep/record-history.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
  SampledBy,
} from '../../src/telemetry/record/exchange-record.ts';
import { createRingMemory } from '../../src/telemetry/record/record-layout.ts';
import { RingReader } from '../../src/telemetry/record/ring-reader.ts';
import { RingWriter } from '../../src/telemetry/record/ring-writer.ts';
import { inbound, outbound, randomRecord } from './records.ts';

const MEBIBYTE = 1024 * 1024;
const { Kept, Muted, PeerKeeps, PeerMeshed } = RecordFlag;

/** A ring with a history behind it. */
class Rig {
  readonly history: RecordHistory;
  readonly reader: RingReader;
  readonly #writer: RingWriter;

  constructor(historyBytes = 8 * MEBIBYTE) {
    const memory = createRingMemory(256 * 1024, 256 * 1024);
    this.#writer = new RingWriter(memory, 1_024);
    this.reader = new RingReader(memory);
    this.history = new RecordHistory(historyBytes);
  }

  write(record: ExchangeRecord): void {
    assert.ok(this.#writer.write(record));
  }

  remember(record: ExchangeRecord, now = 0): void {
    this.write(record);
    this.history.add(this.reader, now);
    this.reader.release();
  }

  take(record: ExchangeRecord): ExchangeRecord[] {
    const { traceId0, traceId1, traceId2, traceId3 } = record;
    const found: ExchangeRecord[] = [];
    const count = this.history.take(traceId0, traceId1, traceId2, traceId3, (each, text) => {
      const copy = Object.assign(new ExchangeRecord(), each);
      text.decode(copy);
      found.push(copy);
    });
    assert.equal(count, found.length);
    return found;
  }
}

/** Whatever the ring has cut or padded is no matter of the history. */
function asInRing(record: ExchangeRecord): ExchangeRecord {
  const memory = createRingMemory(64 * 1024, 64 * 1024);
  new RingWriter(memory, 1_024).write(record);
  const copy = new ExchangeRecord();
  new RingReader(memory).read(copy);
  return copy;
}

test('what is remembered is found again as the ring had it, newest first, and once', () => {
  const rig = new Rig();
  const random = seededRandom(5);
  const records = Array.from({ length: 500 }, () => randomRecord(random));
  // Three of one trace, far apart.
  const trace = outbound();
  const { traceId0, traceId1, traceId2, traceId3 } = trace;
  const of = (target: string) =>
    Object.assign(randomRecord(random), { traceId0, traceId1, traceId2, traceId3, target });
  const mine = [of('/1'), of('/2'), of('/3')];
  records.splice(400, 0, mine[2]!);
  records.splice(200, 0, mine[1]!);
  records.splice(3, 0, mine[0]!);
  for (const record of records) rig.remember(record);
  const found = rig.take(trace);
  assert.deepEqual(found, mine.map(asInRing).toReversed());
  assert.deepEqual(rig.take(trace), []);
  for (const record of records) {
    if (!mine.includes(record)) assert.deepEqual(rig.take(record), [asInRing(record)]);
  }
});

test('traces whose ids end alike are told apart', () => {
  const rig = new Rig();
  rig.remember(outbound({ traceId0: 1 }));
  rig.remember(outbound({ traceId0: 2 }));
  rig.remember(outbound({ traceId1: 3 }));
  rig.remember(outbound({ traceId2: 4 }));
  assert.equal(rig.take(outbound({ traceId0: 2 })).length, 1);
  assert.equal(rig.take(outbound({ traceId0: 5 })).length, 0);
  assert.equal(rig.take(outbound({ traceId2: 4 })).length, 1);
});

test('after 30 s a record is gone, and an idle process holds one segment', () => {
  const rig = new Rig();
  for (let index = 0; index < 3_000; index++) rig.remember(outbound({ traceId3: index }), 0);
  const busy = rig.history.bytes;
  assert.ok(busy > 2 * 256 * 1024);
  rig.remember(outbound({ traceId3: 77_777 }), 10_000);
  rig.history.forget(keepLimits.historyMs);
  assert.equal(rig.take(outbound({ traceId3: 77_777 })).length, 1);
  rig.history.forget(keepLimits.historyMs + 10_001);
  assert.equal(rig.history.records, 0);
  assert.ok(rig.history.bytes < busy);
  assert.deepEqual(rig.take(outbound({ traceId3: 77_777 })), []);
  rig.remember(outbound({ traceId3: 9 }), 50_000);
  assert.equal(rig.take(outbound({ traceId3: 9 })).length, 1);
  assert.equal(rig.take(outbound({ traceId3: 10 })).length, 0);
});

test('a history that is full forgets its oldest, and stays within its bytes', () => {
  const rig = new Rig(MEBIBYTE);
  const total = 20_000;
  for (let index = 0; index < total; index++) rig.remember(outbound({ traceId3: index }), index);
  assert.ok(rig.history.bytes <= MEBIBYTE + 128 * 1024);
  const { records } = rig.history;
  assert.ok(records > 3_000 && records < total);
  assert.equal(rig.take(outbound({ traceId3: 0 })).length, 0);
  for (let index = total - records; index < total; index++) {
    assert.equal(rig.take(outbound({ traceId3: index })).length, 1, `${index}`);
  }
});

interface Recalled {
  readonly rig: Rig;
  readonly recall: Recall;
  /** Targets of pushed records, with the reason. */
  readonly pushed: string[];
  readonly told: string[];
  /** As the pipeline does with a record that the hot thread has kept. */
  keep(record: ExchangeRecord): void;
  /** And with one that it has not. */
  pass(record: ExchangeRecord): void;
  /** And with a Mark of a peer at that address. */
  mark(address: string): void;
}

function recalled(historyBytes = MEBIBYTE): Recalled {
  const rig = new Rig(historyBytes);
  const pushed: string[] = [];
  const told: string[] = [];
  const record = new ExchangeRecord();
  const recall = new Recall(
    7,
    rig.history,
    (each, text) => {
      const copy = Object.assign(new ExchangeRecord(), each);
      text.decode(copy);
      pushed.push(`${copy.target} ${copy.sampledBy}`);
    },
    { tell: (address, port) => told.push(`${address}:${port}`) },
  );
  return {
    rig,
    recall,
    pushed,
    told,
    keep: (kept) => {
      rig.write(Object.assign(kept, { flags: kept.flags | Kept }));
      rig.reader.readNumbers(record);
      recall.onKept(record, rig.reader.text, 0);
      rig.reader.release();
    },
    mark: (peerAddress) => {
      rig.write(outbound({ kind: RecordKind.Mark, peerAddress }));
      rig.reader.readNumbers(record);
      recall.onMark(record, rig.reader.text, 0);
      rig.reader.release();
    },
    pass: (passed) => {
      rig.write(passed);
      recall.takeNext(rig.reader, record, 0);
      rig.reader.release();
    },
  };
}

test('a kept record calls what was recorded of its trace, and what is recorded later goes along', () => {
  const { recall, pushed, keep, pass } = recalled();
  pass(outbound({ target: '/before' }));
  pass(outbound({ target: '/other', traceId0: 5 }));
  assert.deepEqual(pushed, []);
  keep(inbound({ target: '/kept' }));
  assert.deepEqual(pushed, [`/before ${SampledBy.Retro}`]);
  pass(outbound({ target: '/later' }));
  assert.deepEqual(pushed, [`/before ${SampledBy.Retro}`, `/later ${SampledBy.Retro}`]);
  assert.equal(recall.recalled, 2);
});

test('a mark of a peer calls the same, once', () => {
  const { recall, pushed, pass, mark } = recalled();
  pass(outbound({ target: '/before' }));
  mark('10.0.0.9');
  mark('10.0.0.9');
  assert.deepEqual(pushed, [`/before ${SampledBy.Retro}`]);
  assert.equal(recall.recalled, 1);
});

test('who asks for a trace is not told of it, and all others are', () => {
  const { told, pass, mark } = recalled();
  pass(outbound({ peerAddress: '10.0.0.2', flags: PeerMeshed }));
  pass(inbound({ peerAddress: '10.0.0.9', callbackPort: 15_004 }));
  mark('10.0.0.9');
  assert.deepEqual(told, ['10.0.0.2:9080']);
});

test('on one machine an address says nothing of who asks', () => {
  const { told, pass, mark } = recalled();
  pass(outbound({ peerAddress: '127.0.0.1', flags: PeerMeshed }));
  mark('127.0.0.1');
  assert.deepEqual(told, ['127.0.0.1:9080']);
});

test('who does not keep the trace and has proved to be a sidecar is told, and nobody else', () => {
  const { told, keep, pass } = recalled();
  pass(outbound({ peerAddress: '10.0.0.1' }));
  pass(outbound({ peerAddress: '10.0.0.2', flags: PeerMeshed }));
  pass(outbound({ peerAddress: '10.0.0.3', flags: PeerMeshed | PeerKeeps }));
  pass(outbound({ peerAddress: '', flags: PeerMeshed }));
  pass(inbound({ peerAddress: '10.0.0.4', callbackPort: 0 }));
  pass(inbound({ peerAddress: '10.0.0.5', callbackPort: 1 }));
  pass(inbound({ peerAddress: '10.0.0.6', callbackPort: 15_004 }));
  pass(inbound({ peerAddress: '10.0.0.7', callbackPort: 15_004, flags: PeerKeeps }));
  assert.deepEqual(told, []);
  keep(inbound({ peerAddress: '10.0.0.8', callbackPort: 9_080 }));
  assert.deepEqual(told, ['10.0.0.8:9080', '10.0.0.6:15004', '10.0.0.2:9080']);
});

test('a record that makes no span is called for its peer only', () => {
  const { recall, pushed, told, keep, pass } = recalled();
  pass(outbound({ target: '/muted', flags: PeerMeshed | Muted }));
  keep(inbound({ target: '/kept' }));
  assert.deepEqual(pushed, []);
  assert.equal(recall.recalled, 0);
  assert.deepEqual(told, ['10.0.0.7:9080']);
});

test('without a history nothing is called back, and what follows a mark is kept all the same', () => {
  const { rig, pushed, keep, pass } = recalled(0);
  pass(outbound({ target: '/before' }));
  keep(inbound());
  pass(outbound({ target: '/later' }));
  assert.deepEqual(pushed, [`/later ${SampledBy.Retro}`]);
  assert.equal(rig.history.bytes, 0);
});
