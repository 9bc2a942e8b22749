/**
 * Both ends of the connections of the scenario interception: a program that runs in its pods.
 *
 *   node bench/interception-load.ts serve COLD IDLE        until it is ended; 'open'; ports of either
 *   node bench/interception-load.ts call ORDER             one line of JSON: LoadAnswer
 *   node bench/interception-load.ts hold ADDRESS COUNT N   idle connections until it is ended; 'open'
 *
 * Nothing here is HTTP. A time counts from the dial to the first byte that comes back, and calls follow
 * each other with a pause in which both ends of the one before may close.
 */

import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram } from './load/histogram.ts';

/** Answers each chunk with itself. */
const echoPort = 7000;
/** Greets and says nothing more; the ports from `coldFrom` on do the same. */
const greetingPort = 7001;
/** Answers the first byte with as many bytes as the order of its caller says. */
const streamPort = 7002;
/** Each of these is dialled once by an arm. */
const coldFrom = 7100;
/**
 * These echo too: a round of idle connections has four of its own. Both connections of each take a
 * port of one pod, and what the round before left in TIME_WAIT still has its.
 */
const idleFrom = 8200;
const idlePortsEach = 4;

/** No first byte of HTTP or TLS. */
const firstByte = Buffer.from([1]);
const greeting = Buffer.from('220 ready\r\n');
const pieceBytes = 1 << 20;
const warmCalls = 150;

export interface LoadOrder {
  readonly load: 'first byte' | 'greeting' | 'cold greeting' | 'stream';
  readonly address: string;
  /** Calls that are counted; cold ports; MiB of a stream. */
  readonly count: number;
  /** Of the first cold port, from 0. */
  readonly coldPlace: number;
}

export interface LoadAnswer {
  /** Nanoseconds. */
  readonly times: readonly number[];
  readonly bytes: number;
  /** From the first byte to the last. */
  readonly streamUs: number;
}

async function serve(coldPorts: number, idleRounds: number): Promise<void> {
  const echo = (socket: Socket) => socket.on('data', (chunk) => socket.write(chunk));
  const greet = (socket: Socket) => socket.write(greeting);
  const servers: [number, (socket: Socket) => void][] = [
    [echoPort, echo],
    [greetingPort, greet],
    [streamPort, streamAsAsked],
  ];
  for (let place = 0; place < coldPorts; place++) servers.push([coldFrom + place, greet]);
  for (let place = 0; place < idleRounds * idlePortsEach; place++) {
    servers.push([idleFrom + place, echo]);
  }
  for (const [port, take] of servers) {
    const server = createServer({ noDelay: true }, (socket) => {
      // A caller that leaves with a reset is no error of this end.
      socket.on('error', () => {}).resume();
      take(socket);
    });
    server.listen({ port, host: '::', backlog: 1024 });
    await once(server, 'listening');
  }
  process.stdout.write('open\n');
}

function streamAsAsked(socket: Socket): void {
  const piece = Buffer.alloc(pieceBytes, 'x');
  let left = 0;
  const more = () => {
    left -= 1;
    if (left < 0) socket.end();
    else socket.write(piece, more);
  };
  socket.once('data', (order: Buffer) => {
    left = order.readUInt32BE(0);
    more();
  });
}

async function call(order: LoadOrder): Promise<LoadAnswer> {
  if (order.load === 'stream') return receive(order);
  const { load, address, count, coldPlace } = order;
  const isGreeting = load !== 'first byte';
  const usual = isGreeting ? greetingPort : echoPort;
  const pause = () => sleep(1);
  // The cold code is this client's own: with one counted call, nothing is to be compared.
  for (let index = 0; index < (count === 1 ? 0 : warmCalls); index++) {
    await firstAnswer(address, usual, isGreeting);
    await pause();
  }
  const histogram = new Histogram();
  for (let index = 0; index < count; index++) {
    const port = load === 'cold greeting' ? coldFrom + coldPlace + index : usual;
    histogram.record(await firstAnswer(address, port, isGreeting));
    await pause();
  }
  return { times: histogram.toSparse(), bytes: 0, streamUs: 0 };
}

/** Nanoseconds from the dial to the first byte; resolves when the connection is closed. */
function firstAnswer(host: string, port: number, isGreeting: boolean): Promise<number> {
  return new Promise((done, fail) => {
    let ns = 0;
    const dialledAt = process.hrtime.bigint();
    const socket = connect({ host, port, noDelay: true });
    if (!isGreeting) socket.once('connect', () => socket.write(firstByte));
    socket.once('data', () => {
      ns = Number(process.hrtime.bigint() - dialledAt);
      socket.end();
    });
    socket.once('error', fail);
    socket.once('close', () => (ns > 0 ? done(ns) : fail(new Error('closed without a byte'))));
  });
}

async function receive({ address, count }: LoadOrder): Promise<LoadAnswer> {
  let bytes = 0;
  let startedAt = 0;
  const buffer = Buffer.alloc(1 << 18);
  const callback = (length: number) => {
    if (bytes === 0) startedAt = performance.now();
    bytes += length;
    return true;
  };
  const socket = connect({ host: address, port: streamPort, onread: { buffer, callback } });
  const order = Buffer.alloc(4);
  order.writeUInt32BE(count);
  socket.write(order);
  await once(socket, 'close');
  if (bytes !== count * pieceBytes) throw new Error(`${bytes} bytes of ${count} MiB came`);
  return { times: [], bytes, streamUs: Math.round((performance.now() - startedAt) * 1000) };
}

/** Each has had one byte echoed, so both connections of it stand; one after the other: no storm. */
async function hold(host: string, count: number, round: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const port = idleFrom + round * idlePortsEach + (index % idlePortsEach);
    const socket = connect({ host, port, noDelay: true });
    socket.write(firstByte);
    await once(socket, 'data');
  }
  process.stdout.write('open\n');
}

if (import.meta.main) {
  const [role, first = '', second = '', third = ''] = process.argv.slice(2);
  try {
    if (role === 'serve') await serve(Number(first), Number(second));
    else if (role === 'hold') await hold(first, Number(second), Number(third));
    else process.stdout.write(`${JSON.stringify(await call(JSON.parse(first) as LoadOrder))}\n`);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
