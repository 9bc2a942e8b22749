/**
 * A caller of stream-backend.ts, one after the other on one connection: `node stream-caller.ts ORDER`.
 *
 *   h1           a request and its answer of 100 bytes, kept connection
 *   websocket    a message of 100 bytes and its echo
 *   http2        a request and its answer of 100 bytes, prior knowledge, one connection
 *   first byte   from the request for events to the first byte of its answer
 *   event        from the moment at which the backend sent an event to the one at which it is here
 *
 * Prints one line of JSON, StreamAnswer. Between two calls it rests for a millisecond; the first ones are
 * not counted: they are this program's own start, and the connection's.
 */

import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Histogram, type SparseCounts } from './histogram.ts';
import { benchBody, benchHost, requestHead } from './load-order.ts';
import { echoPath, eventsPath, socketPath } from './stream-paths.ts';

export const streamKinds = ['h1', 'websocket', 'http2', 'first byte', 'event'] as const;
export type StreamKind = (typeof streamKinds)[number];

export interface StreamOrder {
  readonly kind: StreamKind;
  readonly host: string;
  readonly port: number;
  /** Calls, or events, that are counted. */
  readonly count: number;
}

export interface StreamAnswer {
  /** Nanoseconds. */
  readonly times: SparseCounts;
}

const warmCalls = 100;
const restMs = 1;
const eventGapMs = 4;
const warmEvents = 20;

/** One connection whose answers come one after the other. */
class Line {
  readonly socket: Socket;
  /** What has come since the last `until`. */
  #text = '';
  #firstAt = 0n;
  #look: () => void = () => {};
  #isOver = false;

  constructor(host: string, port: number) {
    this.socket = connect({ host, port, noDelay: true });
    const over = () => {
      this.#isOver = true;
      this.#look();
    };
    this.socket.on('error', over).on('close', over);
    this.socket.on('data', (chunk: Buffer) => {
      if (this.#text === '') this.#firstAt = process.hrtime.bigint();
      this.#text += chunk.toString('latin1');
      this.#look();
    });
  }

  /** When the first byte of what `until` last found was here. */
  get firstAt(): bigint {
    return this.#firstAt;
  }

  /** Takes what has come when `isWhole` says so; rejects when the connection ends before. */
  until(isWhole: (text: string) => boolean): Promise<string> {
    return new Promise((done, fail) => {
      this.#look = () => {
        if (isWhole(this.#text)) {
          const text = this.#text;
          this.#text = '';
          this.#look = () => {};
          done(text);
        } else if (this.#isOver) fail(new Error(`the connection ended: ${this.#text}`));
      };
      this.#look();
    });
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }
}

function get(path: string, fields = ''): string {
  return requestHead('GET', { host: benchHost, path }, fields);
}

/** Counts `count` calls after the first ones; each gives its nanoseconds. */
async function counted(count: number, call: () => Promise<bigint>): Promise<Histogram> {
  const histogram = new Histogram();
  for (let index = -warmCalls; index < count; index++) {
    const ns = await call();
    if (index >= 0) histogram.record(Number(ns));
    await sleep(restMs);
  }
  return histogram;
}

async function timed(act: () => Promise<unknown>): Promise<bigint> {
  const startedAt = process.hrtime.bigint();
  await act();
  return process.hrtime.bigint() - startedAt;
}

function callH1({ host, port, count }: StreamOrder): Promise<Histogram> {
  const line = new Line(host, port);
  const request = get(echoPath);
  return counted(count, () =>
    timed(() => {
      line.write(request);
      return line.until((text) => text.endsWith(benchBody));
    }),
  );
}

async function callWebSocket({ host, port, count }: StreamOrder): Promise<Histogram> {
  const line = new Line(host, port);
  const fields =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
    `Sec-WebSocket-Key: ${Buffer.alloc(16, 7).toString('base64')}\r\n`;
  line.write(get(socketPath, fields));
  const head = await line.until((text) => text.endsWith('\r\n\r\n'));
  if (!head.startsWith('HTTP/1.1 101')) throw new Error(`no upgrade: ${head}`);
  // A text frame with a mask of zeros, under which a message is itself (RFC 6455 5.3).
  const frame = Buffer.from(`\x81\x00\x00\x00\x00\x00${benchBody}`, 'latin1');
  frame[1] = 0x80 | benchBody.length;
  const echoBytes = 2 + benchBody.length;
  return counted(count, () =>
    timed(() => {
      line.write(frame);
      return line.until((text) => text.length === echoBytes && text.endsWith(benchBody));
    }),
  );
}

async function callHttp2({ host, port, count }: StreamOrder): Promise<Histogram> {
  const session = connectHttp2(`http://${host}:${port}`);
  await once(session, 'connect');
  const histogram = await counted(count, () =>
    timed(async () => {
      const stream = session.request({ ':path': echoPath });
      let text = '';
      stream.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      await once(stream, 'end');
      if (text !== benchBody) throw new Error(`a wrong answer: ${text}`);
    }),
  );
  session.destroy();
  return histogram;
}

/** A chunked answer whose last chunk has come (RFC 9112 7.1). */
function isWholeStream(text: string): boolean {
  return text.endsWith('\r\n0\r\n\r\n');
}

function callFirstByte({ host, port, count }: StreamOrder): Promise<Histogram> {
  const line = new Line(host, port);
  const request = get(eventsPath(1, 0));
  return counted(count, async () => {
    const startedAt = process.hrtime.bigint();
    line.write(request);
    const text = await line.until(isWholeStream);
    if (!text.startsWith('HTTP/1.1 200')) throw new Error(text);
    return line.firstAt - startedAt;
  });
}

async function callEvents({ host, port, count }: StreamOrder): Promise<Histogram> {
  const line = new Line(host, port);
  line.write(get(eventsPath(warmEvents + count, eventGapMs)));
  const histogram = new Histogram();
  let rest = '';
  for (let index = -warmEvents; index < count; ) {
    // A late one may come together with the next one, or with a part of it.
    rest += await line.until((text) => (rest + text).includes('\n\n'));
    const now = process.hrtime.bigint();
    const events = rest.split('\n\n');
    rest = events.pop()!;
    for (const event of events) {
      const sentAt = /data: (\d+)$/.exec(event)?.[1];
      if (sentAt === undefined) throw new Error(`no event: ${event}`);
      if (index >= 0) histogram.record(Number(now - BigInt(sentAt)));
      index++;
    }
  }
  return histogram;
}

const calls: Readonly<Record<StreamKind, (order: StreamOrder) => Promise<Histogram>>> = {
  h1: callH1,
  websocket: callWebSocket,
  http2: callHttp2,
  'first byte': callFirstByte,
  event: callEvents,
};

if (import.meta.main) {
  try {
    const order = JSON.parse(process.argv[2] ?? '') as StreamOrder;
    const histogram = await calls[order.kind](order);
    const answer: StreamAnswer = { times: histogram.toSparse() };
    process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
    process.exit();
  }
}
