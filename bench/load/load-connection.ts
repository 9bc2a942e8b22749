/**
 * One keep-alive connection of the generator: sends the request, reads and verifies the answer.
 *
 * It knows no schedule; its owner says when to send and hears when the answer is there. At most one
 * request is under way. Status, every byte of the body and the echoed x-request-id must be right. An
 * answer without Content-Length counts as a wrong body: the backend sends one and no arm is asked to
 * change it. A connection that ends is opened again by the next request.
 */

import { connect, type Socket } from 'node:net';
import { monotonicMs } from './monotonic.ts';
import type { RequestText } from './request-text.ts';

/** How an exchange ended; the names of LoadErrors, or 'right'. */
export type Outcome = 'right' | 'status' | 'body' | 'echo' | 'cut';

export interface LoadOwner {
  onOutcome(connection: LoadConnection, outcome: Outcome): void;
}

const headEnd = Buffer.from('\r\n\r\n', 'latin1');

export class LoadConnection {
  readonly #port: number;
  readonly #owner: LoadOwner;
  readonly #text: RequestText;
  #socket: Socket | undefined;
  /** The beginning of a head that came in pieces. */
  #held: Buffer | undefined;
  /** Bytes of the answer's body that were right so far; -1 before the end of its head. */
  #bodyAt = -1;
  #waiting = false;
  /** The answer under way is the connection's last one (RFC 9112 9.6): nothing may follow on it. */
  #isLast = false;
  /** Monotonic milliseconds: when the request under way was due, and when it was sent. */
  dueAt = 0;
  sentAt = 0;

  constructor(port: number, owner: LoadOwner, text: RequestText) {
    this.#port = port;
    this.#owner = owner;
    this.#text = text;
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
    this.#bodyAt = -1;
    this.sentAt = monotonicMs();
    (this.#socket ?? this.#connect()).write(this.#text.stamp());
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
    socket.on('end', () => {
      if (this.#socket === socket && !this.#waiting) this.#leave();
      socket.destroy();
    });
    socket.on('close', () => {
      // Not of one that was left: another may be open by now.
      if (this.#socket !== socket) return;
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
    let from = 0;
    let bytes = chunk;
    if (this.#bodyAt < 0) {
      bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
      from = bytes.indexOf(headEnd) + headEnd.length;
      if (from < headEnd.length) {
        this.#held = bytes;
        return;
      }
      this.#held = undefined;
      const outcome = this.#judgeHead(bytes.latin1Slice(0, from));
      if (outcome !== 'right') {
        this.#refuse(outcome);
        return;
      }
      this.#bodyAt = 0;
    }
    const expected = this.#text.expectedBody;
    const end = this.#bodyAt + bytes.length - from;
    if (end > expected.length) this.#refuse('body');
    else if (expected.compare(bytes, from, bytes.length, this.#bodyAt, end) !== 0) {
      this.#refuse('body');
    } else if (end === expected.length) this.#end('right');
    else this.#bodyAt = end;
  }

  #judgeHead(head: string): Outcome {
    if (!head.startsWith('200', 9)) return 'status';
    if (contentLengthOf(head) !== this.#text.expectedBody.length) return 'body';
    this.#isLast = head.includes('onnection: close\r\n');
    return head.includes(this.#text.id) ? 'right' : 'echo';
  }

  #refuse(outcome: Outcome): void {
    this.#leave();
    this.#end(outcome);
  }

  /** The next request opens a connection of its own. */
  #leave(): void {
    this.#isLast = false;
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #end(outcome: Outcome): void {
    this.#waiting = false;
    if (this.#isLast) this.#leave();
    this.#owner.onOutcome(this, outcome);
  }
}

function contentLengthOf(head: string): number {
  const found = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(head);
  return found === null ? -1 : Number(found[1]);
}
