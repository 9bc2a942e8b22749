/**
 * Both ends of the warm-up's synthetic exchanges: callers and an origin, over loopback sockets.
 *
 * Neither is a client or a server of HTTP: they know the few messages that they send each other. The
 * last bytes of a body tell that it is whole.
 */

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { WakeUps } from '../base/deadlines.ts';

/** Authority of every synthetic request. */
export const warmUpHost = 'origin.warm-up.invalid';

const mark = 'warm up.';
const lastBytes = (text: string) => Buffer.from(text, 'latin1');
const headEnd = lastBytes('\r\n\r\n');
const chunkedEnd = lastBytes(`${mark}\r\n0\r\n\r\n`);
const bodyEnd = lastBytes(mark);
const body = `${'0123456789'.repeat(10)}${mark}`;

/** What a request looks like, and how its answer ends. */
interface Kind {
  readonly request: Buffer;
  readonly answerEnd: Buffer;
}

const fields = `Host: ${warmUpHost}\r\nUser-Agent: tracecar-warm-up\r\nAccept: */*\r\nX-Request-Id: 7f1c\r\n`;
const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';
/** Of a caller with a sidecar, which is answered what becomes of the trace. */
const traced = `traceparent: ${trace}\r\ntracestate: tracecar=01000003a9c\r\n`;
const plain: Kind = {
  request: lastBytes(`GET /warm/17?page=2 HTTP/1.1\r\n${fields}\r\n`),
  answerEnd: bodyEnd,
};
const joined: Kind = {
  ...plain,
  request: lastBytes(`GET /warm/18 HTTP/1.1\r\n${fields}${traced}\r\n`),
};
const chunked: Kind = {
  request: lastBytes(`GET /chunked HTTP/1.1\r\n${fields}${traced}\r\n`),
  answerEnd: chunkedEnd,
};
const posted: Kind = {
  request: lastBytes(
    `POST /warm HTTP/1.1\r\n${fields}Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  ),
  answerEnd: bodyEnd,
};
/** Most requests have no body; each kind is there often enough. */
const kinds: readonly Kind[] = [plain, joined, plain, posted, plain, joined, plain, chunked];

const answerHead =
  'HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n';
/** As a sidecar in front of the origin would say it. */
const verdict = `server-timing: trace;desc=${trace}\r\n`;
const wholeAnswer = lastBytes(
  `${answerHead}Content-Length: ${body.length}\r\n${verdict}\r\n${body}`,
);
const lastAnswer = lastBytes(
  `${answerHead}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
);
/** After as many the origin ends a connection: dialling is part of what is warmed, and costs the most. */
const answersOfConnection = 50;
const chunkedAnswer = lastBytes(
  `${answerHead}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
);
const chunkedLine = lastBytes('GET /chunked');
const postLine = lastBytes('POST ');

/** Answers what the callers ask. */
export class WarmUpOrigin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  }

  /** Listens on a free loopback port; rejects where that is not possible. */
  static async start(): Promise<WarmUpOrigin> {
    const origin = new WarmUpOrigin();
    await new Promise<void>((resolve, reject) => {
      origin.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let held: Buffer = Buffer.alloc(0);
    let answers = 0;
    socket.on('data', (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      if (!endsWith(held, startsWith(held, postLine) ? bodyEnd : headEnd)) return;
      answers++;
      if (startsWith(held, chunkedLine)) socket.write(chunkedAnswer);
      else if (answers < answersOfConnection) socket.write(wholeAnswer);
      else socket.end(lastAnswer);
      held = Buffer.alloc(0);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** Loopback ports that nobody listens on at the moment. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((resolve, reject) => {
          server.once('error', reject).listen(0, '127.0.0.1', resolve);
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** What a caller asks after each answer. */
export interface Pace {
  /** `false` once the warm-up is over. */
  goesOn(): boolean;
  /** Real traffic is under way: nothing is sent until it is not. */
  isHeldUp(): boolean;
  onAnswer(): void;
}

/** Requests on one connection before another is opened: accepting and dialling are warmed too. */
const requestsOfConnection = 100;
const lookAgainMs = 1;

/** One caller: the next request when the last one has its answer. Ends at the first surprise. */
export class WarmUpCaller {
  readonly #ports: readonly number[];
  readonly #pace: Pace;
  readonly #wakeUps: WakeUps;
  readonly #onEnd: () => void;
  #socket: Socket | undefined;
  #requests = 0;
  #kind: Kind = plain;
  #hasEnded = false;

  /** Calls `ports` in turn, one connection each; `onEnd` is called once. */
  constructor(ports: readonly number[], pace: Pace, wakeUps: WakeUps, onEnd: () => void) {
    this.#ports = ports;
    this.#pace = pace;
    this.#wakeUps = wakeUps;
    this.#onEnd = onEnd;
    this.#dial();
  }

  destroy(): void {
    this.#socket?.destroy();
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#onEnd();
  }

  #dial(): void {
    const port = this.#ports[(this.#requests / requestsOfConnection) % this.#ports.length]!;
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket = socket;
    let held: Buffer = Buffer.alloc(0);
    socket.on('connect', () => this.#send());
    socket.on('data', (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      if (!endsWith(held, this.#kind.answerEnd)) return;
      held = Buffer.alloc(0);
      this.#onAnswer();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (socket === this.#socket) this.destroy();
    });
  }

  #onAnswer(): void {
    this.#requests++;
    this.#pace.onAnswer();
    if (this.#requests % requestsOfConnection !== 0) {
      this.#send();
      return;
    }
    const old = this.#socket!;
    this.#socket = undefined;
    old.end();
    this.#dial();
  }

  #send(): void {
    if (this.#hasEnded) return;
    if (!this.#pace.goesOn()) {
      this.destroy();
      return;
    }
    if (this.#pace.isHeldUp()) {
      this.#wakeUps.after(lookAgainMs, () => this.#send());
      return;
    }
    this.#kind = kinds[this.#requests % kinds.length]!;
    this.#socket!.write(this.#kind.request);
  }
}

function startsWith(bytes: Buffer, start: Buffer): boolean {
  return bytes.length >= start.length && start.equals(bytes.subarray(0, start.length));
}

function endsWith(bytes: Buffer, end: Buffer): boolean {
  return bytes.length >= end.length && end.equals(bytes.subarray(bytes.length - end.length));
}
