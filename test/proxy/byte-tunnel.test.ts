/**
 * Tunnels between real sockets: every byte once and in order, whatever the readers do; ends as ends.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { seededRandom } from '../../src/base/random.ts';
import { failure } from '../../src/model/failure.ts';
import { type TrafficLimits, trafficLimits } from '../../src/model/limits.ts';
import { ProxyScope } from '../../src/proxy/scope/proxy-scope.ts';
import { adoptSocket, type ByteTaker } from '../../src/proxy/socket/socket-reads.ts';
import { ByteTunnel } from '../../src/proxy/tunnel/byte-tunnel.ts';
import { ConnectionReport } from '../../src/proxy/tunnel/connection-report.ts';
import { EndpointPool } from '../../src/proxy/upstream/endpoint-pool.ts';
import {
  UpstreamConnection,
  type UpstreamUser,
} from '../../src/proxy/upstream/upstream-connection.ts';
import { Detected } from '../../src/telemetry/record/detection.ts';
import {
  ExchangeRecord,
  RecordFlag,
  RecordKind,
} from '../../src/telemetry/record/exchange-record.ts';
import { ManualTime } from '../support/manual-time.ts';
import { MemoryTelemetry } from '../support/memory-telemetry.ts';
import { connectRaw, type RawConnection } from '../support/raw-connection.ts';
import { RawOrigin } from '../support/raw-origin.ts';
import { untilSo, untilStill } from '../support/turns.ts';

const MEGABYTE = 1024 * 1024;

/** Every 8 bytes say where they are: a swapped, lost or overwritten piece shows. */
function numbered(bytes: number, first = 0): Buffer {
  const body = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += 8) {
    body.write(String(first + at).padStart(8, '0'), at, 'latin1');
  }
  return body;
}

const nobody: UpstreamUser = {
  onUpstreamConnected() {},
  onUpstreamBytes() {},
  onUpstreamDrained() {},
  onUpstreamEnded() {},
  onUpstreamLost() {},
  onConnectTimeout() {},
  destroy() {},
};

/** Of /proc/net/tcp: the socket asks its peer when it has been quiet for a while. */
const KEEP_ALIVE_TIMER = 2;

/** The kernel's timer that is running for an IPv4 socket; undefined: there is no such socket. */
function timerOf({ local, remote }: { local: number; remote: number }): number | undefined {
  const portOf = (address: string | undefined) => Number.parseInt(address?.split(':')[1] ?? '', 16);
  for (const line of readFileSync('/proc/self/net/tcp', 'latin1').split('\n')) {
    const [, here, there, , , timer] = line.trim().split(/\s+/);
    if (portOf(here) === local && portOf(there) === remote) return Number.parseInt(timer!, 16);
  }
  return undefined;
}

/** A listener whose connections are tunnels to one origin, without anything in front of them. */
class Tunnels {
  readonly telemetry = new MemoryTelemetry();
  readonly scope: ProxyScope;
  readonly origin: RawOrigin;
  readonly open = new Set<ByteTunnel>();
  readonly #server = createServer({ pauseOnConnect: true, allowHalfOpen: true });
  readonly #idleMs: number;
  readonly #parent: ExchangeRecord | undefined;

  private constructor(
    origin: RawOrigin,
    limits: Partial<TrafficLimits>,
    idleMs: number,
    parent?: ExchangeRecord,
    time?: ManualTime,
  ) {
    this.origin = origin;
    this.#idleMs = idleMs;
    this.#parent = parent;
    this.scope = new ProxyScope({
      clock: time?.clock ?? systemClock,
      random: seededRandom(7),
      wakeUps: time ?? systemWakeUps,
      limits: { ...trafficLimits, ...limits },
      telemetry: this.telemetry,
      log: (level, text) => assert.fail(`${level} ${text}`),
    });
    const pool = new EndpointPool(this.scope, '127.0.0.1', origin.port);
    this.#server.on('connection', (accepted) => this.#join(accepted, pool));
  }

  static async start(
    t: TestContext,
    limits: Partial<TrafficLimits> = {},
    idleMs: number = trafficLimits.opaqueIdleMs,
    parent?: ExchangeRecord,
    time?: ManualTime,
  ): Promise<Tunnels> {
    const origin = await RawOrigin.start();
    const tunnels = new Tunnels(origin, limits, idleMs, parent, time);
    tunnels.#server.listen(0, '127.0.0.1');
    await once(tunnels.#server, 'listening');
    t.after(async () => {
      tunnels.#server.close();
      for (const tunnel of tunnels.open) tunnel.destroy();
      await origin.close();
      assert.equal(tunnels.scope.openConnections(), 0);
      assert.equal(tunnels.scope.deadlines.size, 0);
      assert.equal(tunnels.scope.tunnelSlabs.left, tunnels.scope.limits.tunnelSlabsMax);
    });
    return tunnels;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Both outer ends of a new tunnel. */
  async connect(t: TestContext): Promise<{ down: RawConnection; up: RawConnection }> {
    const index = this.origin.connections.length;
    const down = await connectRaw(this.port);
    t.after(() => down.socket.destroy());
    return { down, up: await this.origin.connection(index) };
  }

  onTunnelClosed(tunnel: ByteTunnel): void {
    this.open.delete(tunnel);
  }

  #join(accepted: Socket, pool: EndpointPool): void {
    const { scope } = this;
    let tunnel: ByteTunnel | undefined;
    const taker: ByteTaker = { onBytes: (chunk) => tunnel?.onBytes(chunk) };
    const report = new ConnectionReport(scope, 'outbound', scope.clock.now());
    report.from(accepted);
    if (this.#parent !== undefined) report.begin(this.#parent);
    report.upgradedTo(Detected.WebSocket);
    const downstream = adoptSocket(accepted, taker, scope.sockets);
    const upstream = new UpstreamConnection(scope, pool, scope.outbound, nobody, 1_000);
    tunnel = new ByteTunnel(scope, { downstream, upstream }, report, this, this.#idleMs);
    this.open.add(tunnel);
  }
}

/** Reads in small steps, a turn of the loop apart. */
function readSlowly({ socket }: RawConnection): void {
  socket.on('data', () => {
    socket.pause();
    setImmediate(() => socket.resume());
  });
}

for (const tunnelSlabsMax of [0, 1, 64]) {
  test(`much goes both ways byte for byte, with ${tunnelSlabsMax} slabs for all`, async (t) => {
    const tunnels = await Tunnels.start(t, { tunnelSlabsMax });
    const pairs = [await tunnels.connect(t), await tunnels.connect(t), await tunnels.connect(t)];
    const bodies = pairs.map((_, index) => numbered(4 * MEGABYTE, index * 10_000_000));
    for (const [index, { down, up }] of pairs.entries()) {
      if (index === 1) readSlowly(up);
      if (index === 2) readSlowly(down);
      down.socket.end(bodies[index]!);
      up.socket.end(bodies[index]!);
    }
    await Promise.all(pairs.flatMap(({ down, up }) => [down.closed(), up.closed()]));
    for (const [index, { down, up }] of pairs.entries()) {
      assert.ok(Buffer.from(up.received, 'latin1').equals(bodies[index]!), `up ${index}`);
      assert.ok(Buffer.from(down.received, 'latin1').equals(bodies[index]!), `down ${index}`);
      assert.equal(down.ending, 'fin');
    }
    await tunnels.telemetry.recorded(3);
    for (const record of tunnels.telemetry.records) {
      assert.equal(record.requestBytes, 4 * MEGABYTE);
      assert.equal(record.responseBytes, 4 * MEGABYTE);
      assert.equal(record.causeCode, 0);
    }
  });
}

test('bytes that wait for a stalled reader are not touched by the reads of others', async (t) => {
  const tunnels = await Tunnels.start(t);
  const stalled = await tunnels.connect(t);
  const busy = await tunnels.connect(t);
  stalled.up.socket.pause();
  const body = numbered(8 * MEGABYTE);
  stalled.down.socket.write(body);
  const [tunnel] = tunnels.open;
  await untilStill(() => stalled.down.socket.bytesWritten + tunnel!.requestHeldBytes);
  assert.ok(tunnel!.requestHeldBytes > 0);
  assert.ok(tunnel!.requestHeldBytes <= 64 * 1024, `${tunnel!.requestHeldBytes} held`);
  const noise = Buffer.alloc(MEGABYTE, 'z');
  busy.down.socket.write(noise);
  busy.up.socket.write(noise);
  await busy.up.until(() => busy.up.received.length === noise.length, 'the noise');
  await busy.down.until(() => busy.down.received.length === noise.length, 'the noise');
  stalled.up.socket.resume();
  stalled.down.finish();
  await stalled.up.ended();
  assert.ok(Buffer.from(stalled.up.received, 'latin1').equals(body));
});

test('a direction through which much goes has a slab until little does', async (t) => {
  const tunnels = await Tunnels.start(t);
  const { tunnelSlabs, limits } = tunnels.scope;
  const { down, up } = await tunnels.connect(t);
  let least = limits.tunnelSlabsMax;
  up.socket.on('data', () => {
    least = Math.min(least, tunnelSlabs.left);
  });
  down.socket.write(numbered(4 * MEGABYTE));
  await up.until(() => up.received.length === 4 * MEGABYTE, 'all of it');
  assert.equal(least, limits.tunnelSlabsMax - 1);
  await down.send('little');
  await up.untilReceived('little');
  await down.send('and less');
  await up.untilReceived('and less');
  assert.equal(tunnelSlabs.left, limits.tunnelSlabsMax);
});

test('an RST of one side is an RST of the other, with bytes on the way too', async (t) => {
  const tunnels = await Tunnels.start(t);
  const first = await tunnels.connect(t);
  first.down.socket.write(numbered(MEGABYTE));
  await first.up.until(() => first.up.received.length > 100_000, 'some of it');
  first.up.reset();
  assert.equal(await first.down.closed(), 'reset');
  const second = await tunnels.connect(t);
  second.up.socket.write(numbered(MEGABYTE));
  await second.down.until(() => second.down.received.length > 100_000, 'some of it');
  second.down.reset();
  assert.equal(await second.up.closed(), 'reset');
  await tunnels.telemetry.recorded(2);
  const causes = tunnels.telemetry.records.map(({ causeCode }) => causeCode);
  assert.deepEqual(causes, [failure['upstream-reset'].code, failure['client-gone'].code]);
});

test('an RST of a side that is not read is heard when the other side has read', async (t) => {
  const tunnels = await Tunnels.start(t);
  const { down, up } = await tunnels.connect(t);
  up.socket.pause();
  down.socket.write(numbered(8 * MEGABYTE));
  const [tunnel] = tunnels.open;
  await untilStill(() => down.socket.bytesWritten + tunnel!.requestHeldBytes);
  assert.ok(tunnel!.requestHeldBytes > 0);
  down.reset();
  await down.closed();
  up.socket.resume();
  assert.equal(await up.closed(), 'reset');
  await tunnels.telemetry.recorded(1);
  assert.equal(tunnels.telemetry.records[0]!.causeCode, failure['client-gone'].code);
});

test('a tunnel without an idle limit has one once a side has ended', async (t) => {
  const time = new ManualTime();
  const tunnels = await Tunnels.start(t, {}, Number.POSITIVE_INFINITY, undefined, time);
  const { down, up } = await tunnels.connect(t);
  await down.send('hello');
  await up.untilReceived('hello');
  await time.advance(1_000_000_000);
  assert.equal(tunnels.scope.deadlines.size, 0);
  up.finish();
  assert.equal(await down.ended(), 'fin');
  await time.advance(trafficLimits.opaqueIdleMs - 1);
  assert.equal(tunnels.telemetry.records.length, 0);
  await time.advance(1);
  assert.equal(await up.closed(), 'reset');
  await tunnels.telemetry.recorded(1);
  assert.equal(tunnels.telemetry.records[0]!.causeCode, failure['stream-idle-timeout'].code);
});

for (const [what, idleMs] of [
  ['relayed', trafficLimits.opaqueIdleMs],
  ['upgraded', Number.POSITIVE_INFINITY],
] as const) {
  test(`where it is ${what}, both peers are looked for once the tunnel is not young`, async (t) => {
    const time = new ManualTime();
    const tunnels = await Tunnels.start(t, {}, idleMs, undefined, time);
    const { down, up } = await tunnels.connect(t);
    await down.send('hello');
    await up.untilReceived('hello');
    const ours = [
      { local: tunnels.port, remote: down.socket.localPort! },
      { local: up.socket.remotePort!, remote: tunnels.origin.port },
    ];
    await time.advance(trafficLimits.tunnelYoungMs - 1);
    for (const each of ours) assert.notEqual(timerOf(each), KEEP_ALIVE_TIMER);
    await time.advance(1);
    for (const each of ours) {
      await untilSo(() => timerOf(each) === KEEP_ALIVE_TIMER, 'the keep-alive of a socket');
    }
    down.reset();
    await up.closed();
  });
}

test('activity does not keep a tunnel young, and keep-alive is no activity', async (t) => {
  const time = new ManualTime();
  const { tunnelYoungMs } = trafficLimits;
  const idleMs = tunnelYoungMs + 1_000;
  const tunnels = await Tunnels.start(t, {}, idleMs, undefined, time);
  const { down, up } = await tunnels.connect(t);
  await down.send('hello');
  await up.untilReceived('hello');
  await time.advance(tunnelYoungMs - 1);
  await down.send('again');
  await up.untilReceived('again');
  await time.advance(1);
  const ours = { local: up.socket.remotePort!, remote: tunnels.origin.port };
  await untilSo(() => timerOf(ours) === KEEP_ALIVE_TIMER, 'the keep-alive');
  await time.advance(idleMs - 2);
  assert.equal(tunnels.telemetry.records.length, 0);
  await time.advance(1);
  assert.equal(await down.closed(), 'reset');
  assert.equal(tunnels.telemetry.records[0]!.causeCode, failure['stream-idle-timeout'].code);
});

test('a tunnel is cut from within by RST on both sides', async (t) => {
  const tunnels = await Tunnels.start(t);
  const { down, up } = await tunnels.connect(t);
  await down.send('hello');
  await up.untilReceived('hello');
  for (const tunnel of tunnels.open) tunnel.destroy();
  assert.equal(await down.closed(), 'reset');
  assert.equal(await up.closed(), 'reset');
  await untilSo(() => tunnels.telemetry.records.length === 1, 'its record');
  assert.equal(tunnels.telemetry.records[0]!.causeCode, 0);
});

test('the span of a tunnel is the child of the exchange that asked for it', async (t) => {
  const parent = new ExchangeRecord();
  parent.flags = RecordFlag.Sampled | RecordFlag.RandomId;
  parent.traceId1 = 5;
  parent.spanId1 = 6;
  parent.authority = 'chat.example';
  parent.clusterId = 3;
  parent.generation = 9;
  const tunnels = await Tunnels.start(t, {}, Number.POSITIVE_INFINITY, parent);
  const { down, up } = await tunnels.connect(t);
  down.finish();
  up.finish();
  await down.closed();
  await tunnels.telemetry.recorded(1);
  const [record] = tunnels.telemetry.records;
  assert.equal(record!.kind, RecordKind.Connection);
  assert.equal(record!.method, Detected.WebSocket);
  assert.equal(record!.traceId1, 5);
  assert.equal(record!.parentId1, 6);
  assert.equal(record!.authority, 'chat.example');
  assert.equal(record!.clusterId, 3);
  assert.equal(record!.generation, 9);
  const { detections } = tunnels.scope.outbound;
  assert.equal(
    detections.reduce((sum, each) => sum + each),
    0,
    'it is named, not detected',
  );
});
