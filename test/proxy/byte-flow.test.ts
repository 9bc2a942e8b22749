/**
 * Which memory a direction of a tunnel reads into: none that the kernel may still have to send.
 *
 * Slabs are compared with `===`: assert.equal would print and compare all bytes of two that differ.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { trafficLimits } from '../../src/model/limits.ts';
import { ProxyScope } from '../../src/proxy/scope/proxy-scope.ts';
import { DirectSocket } from '../../src/proxy/socket/direct-socket.ts';
import { ReadMemory, SlabPool } from '../../src/proxy/socket/slab.ts';
import { ByteFlow } from '../../src/proxy/tunnel/byte-flow.ts';
import { MemoryTelemetry } from '../support/memory-telemetry.ts';

const HALF = trafficLimits.heldBytesMax >> 1;

/** Takes everything but what the test says. */
class FakeSocket extends DirectSocket {
  /** What is not taken of what was sent so far. */
  override writableLength = 0;
  isRead = true;
  readonly sent: Buffer[] = [];

  override send(bytes: Buffer): boolean {
    this.sent.push(bytes);
    return this.writableLength === 0;
  }

  override pause(): this {
    this.isRead = false;
    return this;
  }

  override resume(): this {
    this.isRead = true;
    return this;
  }
}

function startFlow() {
  const scope = new ProxyScope({
    clock: systemClock,
    random: seededRandom(7),
    wakeUps: systemWakeUps,
    limits: trafficLimits,
    telemetry: new MemoryTelemetry(),
    log: () => undefined,
  });
  const shared = scope.sockets.slab;
  const reads = new ReadMemory(shared);
  const from = new FakeSocket({ writableHighWaterMark: HALF }, reads);
  const to = new FakeSocket({ writableHighWaterMark: HALF });
  const flow = new ByteFlow(scope, from, to);
  /** A read of `length` bytes, of which the other side leaves `unsent`. */
  const read = (length: number, unsent = 0) => {
    to.writableLength = unsent;
    flow.pass(reads.current.view(length));
    reads.current = reads.next;
  };
  return { scope, shared, reads, from, to, flow, read };
}

test('reads that fill the shared slab are followed by reads into one of its own, unread by others', () => {
  const { scope, shared, reads, read, to } = startFlow();
  read(1_000);
  assert.ok(reads.next === shared);
  read(HALF);
  const own = reads.next;
  assert.ok(own !== shared);
  assert.equal(own.bytes.length, trafficLimits.heldBytesMax);
  read(own.bytes.length);
  assert.ok(reads.next === own);
  assert.ok(to.sent.at(-1)!.buffer === own.bytes.buffer, 'sent without a copy');
  assert.equal(scope.tunnelSlabs.left, trafficLimits.tunnelSlabsMax - 1);
  read(HALF / 2 - 1);
  assert.ok(reads.next === shared);
  assert.equal(scope.tunnelSlabs.left, trafficLimits.tunnelSlabsMax);
});

test('memory of which the kernel has not taken all is not read into, nor given to others', () => {
  const { scope, shared, reads, read } = startFlow();
  read(HALF);
  const own = reads.next;
  read(20_000, 20_000);
  assert.ok(reads.next === shared, 'one that goes on reading');
  read(100, 20_100);
  assert.ok(reads.next === shared);
  assert.equal(scope.tunnelSlabs.left, trafficLimits.tunnelSlabsMax - 1);
  read(HALF, 0);
  assert.ok(reads.next === own, 'all is sent');
});

test('a flow that has stopped goes on where it was once all is sent', () => {
  const { reads, read, from, to, flow } = startFlow();
  read(HALF);
  const own = reads.next;
  read(own.bytes.length, own.bytes.length);
  assert.ok(!from.isRead);
  assert.ok(reads.next === own);
  to.writableLength = 0;
  flow.resume();
  assert.ok(from.isRead);
});

test('a flow that ends with unsent bytes leaves its memory to the kernel', () => {
  const { scope, reads, read, flow } = startFlow();
  read(HALF);
  const own = reads.next;
  read(own.bytes.length, own.bytes.length);
  flow.close();
  assert.equal(scope.tunnelSlabs.left, trafficLimits.tunnelSlabsMax);
  assert.ok(scope.tunnelSlabs.take() !== own);
});

test('a pool gives at most its number of slabs, and free ones again', () => {
  const pool = new SlabPool(64, 4);
  const taken = Array.from({ length: 4 }, () => pool.take()!);
  assert.equal(new Set(taken).size, 4);
  assert.equal(pool.take(), undefined);
  pool.giveBack(taken[0]!, true);
  assert.ok(pool.take() === taken[0]);
});
