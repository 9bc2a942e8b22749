/**
 * One keep-alive connection of the generator: sends the request, reads and verifies the answer.
 *
 * It knows no schedule; its owner says when to send and hears when the answer is there. At most one
 * request is under way. An answer without Content-Length counts as a wrong body: the backend sends
 * one and no arm is asked to change it. A connection that ends is opened again by the next request.
 */

import { connect, type Socket } from 'node:net';
import { benchBody, benchRequest } from './load-order.ts';
import { monotonicMs } from './monotonic.ts';

/** How an exchange ended; the names of LoadErrors, or 'right'. */
export type Outcome = 'right' | 'status' | 'body' | 'cut';

export interface LoadOwner {
  onOutcome(connection: LoadConnection, outcome: Outcome): void;
}

const request = Buffer.from(benchRequest, 'latin1');
const expectedBody = Buffer.from(benchBody, 'latin1');
const headEnd = Buffer.from('\r\n\r\n', 'latin1');

export class LoadConnection {
  readonly #port: number;
  readonly #owner: LoadOwner;
  #socket: Socket | undefined;
  #held: Buffer | undefined;
  #waiting = false;
  /** Monotonic milliseconds: when the request under way was due, and when it was sent. */
  dueAt = 0;
  sentAt = 0;

  constructor(port: number, owner: LoadOwner) {
    this.#port = port;
    this.#owner = owner;
  }

  /** Opens the connection; resolves when it is open or has failed (the next send tries again). */
  open(): Promise<void> {
    return new Promise((done) => {
      const socket = this.#connect();
      socket.once('connect', done);
      socket.once('close', () => done());
    });
  }

  /** Sends the request. The owner sees that nothing is under way here. */
  send(): void {
    this.#waiting = true;
    this.sentAt = monotonicMs();
    (this.#socket ?? this.#connect()).write(request);
  }

  close(): void {
    this.#waiting = false;
    this.#socket?.destroy();
  }

  #connect(): Socket {
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    this.#socket = socket;
    this.#held = undefined;
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      this.#socket = undefined;
      if (this.#waiting) this.#end('cut');
    });
    return socket;
  }

  #onData(chunk: Buffer): void {
    if (!this.#waiting) {
      this.#socket?.destroy();
      return;
    }
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
    const bodyStart = bytes.indexOf(headEnd) + headEnd.length;
    if (bodyStart < headEnd.length) {
      this.#held = bytes;
      return;
    }
    const head = bytes.latin1Slice(0, bodyStart);
    const length = contentLengthOf(head);
    if (length >= 0 && bytes.length < bodyStart + length) {
      this.#held = bytes;
      return;
    }
    this.#held = undefined;
    if (!head.startsWith('200', 9)) this.#refuse('status');
    else if (bytes.length !== bodyStart + length) this.#refuse('body');
    else if (expectedBody.compare(bytes, bodyStart) !== 0) this.#refuse('body');
    else this.#end('right');
  }

  #refuse(outcome: Outcome): void {
    this.#end(outcome);
    this.#socket?.destroy();
  }

  #end(outcome: Outcome): void {
    this.#waiting = false;
    this.#owner.onOutcome(this, outcome);
  }
}

function contentLengthOf(head: string): number {
  const found = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(head);
  return found === null ? -1 : Number(found[1]);
}
