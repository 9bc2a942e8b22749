/**
 * As little of HTTP/1.1 as a caller and a service need that ask 10 000 times: GET without a body, answers
 * with `Content-Length: 2`, kept connections. node:http costs several times what the sidecars do.
 */

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

const headEnd = '\r\n\r\n';

/** Connections to one port, as many as there are requests under way. */
export class RawCaller {
  readonly #port: number;
  readonly #idle: RawChannel[] = [];
  readonly #all: RawChannel[] = [];

  constructor(port: number) {
    this.#port = port;
  }

  /** The status of the answer, or 0 when the connection ended before it was whole. */
  ask(path: string, fields = ''): Promise<number> {
    return this.#send(`GET ${path} HTTP/1.1\r\nHost: service\r\n${fields}\r\n`);
  }

  /** The same of a POST without a body. */
  post(path: string, fields: string): Promise<number> {
    const length = 'Content-Length: 0\r\n';
    return this.#send(`POST ${path} HTTP/1.1\r\nHost: service\r\n${length}${fields}\r\n`);
  }

  async #send(request: string): Promise<number> {
    const channel = this.#idle.pop() ?? this.#open();
    const status = await channel.ask(request);
    if (!channel.isOver) this.#idle.push(channel);
    return status;
  }

  close(): void {
    for (const channel of this.#all) channel.close();
  }

  #open(): RawChannel {
    const channel = new RawChannel(connect(this.#port, '127.0.0.1'));
    this.#all.push(channel);
    return channel;
  }
}

class RawChannel {
  isOver = false;
  readonly #socket: Socket;
  #text = '';
  #settle: (status: number) => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#take(text));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isOver = true;
      this.#settle(0);
    });
  }

  ask(request: string): Promise<number> {
    this.#text = '';
    return new Promise((settle) => {
      this.#settle = settle;
      if (this.isOver) settle(0);
      else this.#socket.write(request, 'latin1');
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#text += text;
    const end = this.#text.indexOf(headEnd);
    if (end === -1) return;
    const length = Number(/^content-length: (\d+)\r$/im.exec(this.#text)?.[1] ?? 0);
    if (this.#text.length < end + headEnd.length + length) return;
    this.#settle(Number(this.#text.slice(9, 12)));
  }
}

/** One request: its path, and the lines of its trace context. */
export interface RawRequest {
  readonly path: string;
  readonly context: string;
}

/** Answers by status; 'cut': half an answer, and then the connection ends. */
export type RawAnswer = (request: RawRequest) => Promise<number | 'cut'>;

/** A service on a free port; returns it. */
export async function rawService(t: TestContext, answer: RawAnswer): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('data', (more: string) => {
      text += more;
      if (!text.endsWith(headEnd)) return;
      const request = readRequest(text);
      text = '';
      void answer(request).then((what) => {
        const status = what === 'cut' ? 200 : what;
        const head = `HTTP/1.1 ${status} Said\r\nContent-Length: 2\r\n\r\n`;
        if (what === 'cut') socket.write(`${head}o`, 'latin1', () => socket.destroy());
        else socket.write(`${head}ok`, 'latin1');
      });
    });
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return (server.address() as AddressInfo).port;
}

function readRequest(text: string): RawRequest {
  const context = text.match(/^(?:traceparent|tracestate): .*\r\n/gm) ?? [];
  return { path: text.slice(4, text.indexOf(' ', 4)), context: context.join('') };
}
