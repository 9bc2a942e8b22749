/**
 * The backend where nginx is not installed: raw sockets, fixed answers, two ports.
 *
 * Slower than nginx by some microseconds a request on the load's core, and the result says which of
 * the two it was. It reads bodies to their end before it answers, and sends x-request-id back.
 * Arguments: PORT SECOND-PORT.
 */

import { createServer, type Socket } from 'node:net';
import { answerOf } from './load-order.ts';

const headEnd = Buffer.from('\r\n\r\n', 'latin1');
const lastChunk = Buffer.from('0\r\n\r\n', 'latin1');
const answers = new Map<string, Buffer>();

for (const port of process.argv.slice(2, 4).map(Number)) {
  createServer({ noDelay: true }, (socket) => {
    const exchange = new Exchanges(socket);
    socket.on('data', (chunk: Buffer) => exchange.read(chunk));
    socket.on('error', () => socket.destroy());
  }).listen({ port, host: '127.0.0.1', backlog: 4096 });
}

/** One connection's requests, one after the other. */
class Exchanges {
  readonly #socket: Socket;
  #held: Buffer | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Answers every request that is whole; keeps what is not. */
  read(chunk: Buffer): void {
    let bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    for (;;) {
      const bodyAt = bytes.indexOf(headEnd) + headEnd.length;
      if (bodyAt < headEnd.length) break;
      const head = bytes.latin1Slice(0, bodyAt);
      const end = endOfBody(head, bytes, bodyAt);
      if (end < 0 || end > bytes.length) break;
      this.#answer(head);
      bytes = bytes.subarray(end);
    }
    this.#held = bytes.length > 0 ? bytes : undefined;
  }

  #answer(head: string): void {
    const body = bodyFor(head.split(' ', 2)[1] ?? '');
    const id = /\r\nx-request-id:[ \t]*([^\r]*)/i.exec(head)?.[1] ?? '';
    const text =
      'HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n' +
      `Content-Length: ${body.length}\r\nx-request-id: ${id}\r\n\r\n`;
    this.#socket.write(Buffer.concat([Buffer.from(text, 'latin1'), body]));
  }
}

/** Index of the byte after the body; -1 when it is not known yet. */
function endOfBody(head: string, bytes: Buffer, bodyAt: number): number {
  if (/\r\ntransfer-encoding:[ \t]*chunked/i.test(head)) {
    const last = bytes.indexOf(lastChunk, bodyAt);
    return last < 0 ? -1 : last + lastChunk.length;
  }
  return bodyAt + Number(/\r\ncontent-length:[ \t]*(\d+)/i.exec(head)?.[1] ?? 0);
}

function bodyFor(path: string): Buffer {
  const known = answers.get(path);
  if (known !== undefined) return known;
  const body = Buffer.from(answerOf(path), 'latin1');
  answers.set(path, body);
  return body;
}
