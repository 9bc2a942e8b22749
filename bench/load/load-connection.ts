/**
 * One keep-alive connection of the generator: sends the request, reads and verifies the answer.
 *
 * It knows no schedule; its owner says when to send and hears when the answer is there. At most one
 * request is under way, and the connection's state (lineup.ts) says whether: another thread may have
 * sent it. Status, every byte of the body and the echoed x-request-id must be right. An answer without
 * Content-Length counts as a wrong body: the backend sends one and no arm is asked to change it. A
 * connection that ends is opened again by the next request.
 */

import { connect, type Socket } from 'node:net';
import { PlaceState } from './lineup.ts';
import { monotonicMs } from './monotonic.ts';
import { writeNow } from './raw-write.ts';
import type { RequestText } from './request-text.ts';
import type { UsualAnswer } from './usual-answer.ts';

/** How an exchange ended; the names of LoadErrors, or 'right'. */
export type Outcome = 'right' | 'status' | 'body' | 'echo' | 'cut';

export interface LoadOwner {
  /** States of all connections, by place. */
  readonly states: Int32Array;
  readonly usual: UsualAnswer;
  onOutcome(connection: LoadConnection, outcome: Outcome): void;
  /** Called before a descriptor is made: nobody may be writing to an old one of the same number. */
  beforeConnect(): void;
}

const headEnd = Buffer.from('\r\n\r\n', 'latin1');
/** All connections read into it; what they want to keep is copied. */
const reading = Buffer.allocUnsafeSlow(65_536);

export class LoadConnection {
  readonly place: number;
  readonly #port: number;
  readonly #owner: LoadOwner;
  readonly #text: RequestText;
  #socket: Socket | undefined;
  /** The request's bytes, with its id. */
  #request: Buffer = Buffer.alloc(0);
  /** The beginning of a head that came in pieces. */
  #held: Buffer | undefined;
  /** Bytes of the answer's body that were right so far; -1 before the end of its head. */
  #bodyAt = -1;
  /** The answer under way is the connection's last one (RFC 9112 9.6): nothing may follow on it. */
  #isLast = false;
  #descriptor = -1;
  /** Monotonic milliseconds: when `send` sent the request under way. */
  sentAt = 0;

  constructor(port: number, owner: LoadOwner, text: RequestText, place: number) {
    this.place = place;
    this.#port = port;
    this.#owner = owner;
    this.#text = text;
    this.#state = PlaceState.Closed;
  }

  /** Where a request may be written now; -1: only `transmit` can send one. */
  get descriptor(): number {
    return this.#socket?.writableLength === 0 ? this.#descriptor : -1;
  }

  /** Opens the connection; resolves when it is open or has failed (the next send tries again). */
  open(): Promise<void> {
    return new Promise((done) => {
      const socket = this.#connect();
      socket.once('connect', done);
      socket.once('close', () => done());
    });
  }

  /** The bytes of the next request, to be sent by `transmit` or by whoever has the descriptor. */
  prepare(): Buffer {
    this.#request = this.#text.stamp();
    return this.#request;
  }

  /** Sends the next request. The owner sees that nothing is under way here. */
  send(): void {
    this.prepare();
    this.sentAt = monotonicMs();
    this.transmit();
  }

  /** Sends what was prepared. */
  transmit(): void {
    this.#state = PlaceState.UnderWay;
    const { descriptor } = this;
    if (descriptor < 0) {
      (this.#socket ?? this.#connect()).write(this.#request);
      return;
    }
    const sent = writeNow(descriptor, this.#request, this.#request.length);
    if (sent >= 0 && sent < this.#request.length) this.transmitRest(sent);
  }

  /** Sends what the kernel did not take at once of the request under way. */
  transmitRest(from: number): void {
    this.#socket?.write(this.#request.subarray(from));
  }

  close(): void {
    this.#state = PlaceState.Closed;
    this.#socket?.destroy();
  }

  get #state(): number {
    return Atomics.load(this.#owner.states, this.place);
  }

  set #state(state: number) {
    Atomics.store(this.#owner.states, this.place, state);
  }

  #connect(): Socket {
    this.#owner.beforeConnect();
    const socket = connect({
      port: this.#port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: reading,
        callback: (length) => {
          if (this.#socket === socket) this.#onData(length);
          return true;
        },
      },
    });
    this.#socket = socket;
    this.#held = undefined;
    socket.on('connect', () => {
      if (this.#socket === socket) this.#descriptor = descriptorOf(socket);
    });
    socket.on('error', () => this.#onEnd(socket));
    socket.on('end', () => this.#onEnd(socket));
    socket.on('close', () => this.#onEnd(socket));
    return socket;
  }

  /** The peer's end, or an error; without a request under way it is nobody's fault. */
  #onEnd(socket: Socket): void {
    // Not of one that was left: another may be open by now.
    if (this.#socket === socket) {
      const { states } = this.#owner;
      // Whoever sends from here on has to open another one.
      Atomics.compareExchange(states, this.place, PlaceState.Ready, PlaceState.Closed);
      this.#leave();
      if (this.#state === PlaceState.UnderWay) this.#end('cut');
    } else socket.destroy();
  }

  #onData(length: number): void {
    if (this.#state !== PlaceState.UnderWay) {
      this.#onEnd(this.#socket!);
      return;
    }
    const { usual } = this.#owner;
    const { id, expectedBody } = this.#text;
    const isFirst = this.#bodyAt < 0 && this.#held === undefined;
    if (isFirst && usual.matches(reading, length, id, expectedBody)) {
      this.#end('right');
      return;
    }
    const chunk = reading.subarray(0, length);
    const outcome = this.#judge(chunk);
    if (outcome === 'more') return;
    if (outcome !== 'right') this.#leave();
    else if (isFirst && !this.#isLast) usual.learn(chunk, id, expectedBody);
    this.#end(outcome);
  }

  #judge(chunk: Buffer): Outcome | 'more' {
    let from = 0;
    let bytes = chunk;
    if (this.#bodyAt < 0) {
      bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk]);
      from = bytes.indexOf(headEnd) + headEnd.length;
      if (from < headEnd.length) {
        this.#held = Buffer.from(bytes);
        return 'more';
      }
      this.#held = undefined;
      const outcome = this.#judgeHead(bytes.latin1Slice(0, from));
      if (outcome !== 'right') return outcome;
      this.#bodyAt = 0;
    }
    const expected = this.#text.expectedBody;
    const end = this.#bodyAt + bytes.length - from;
    if (end > expected.length) return 'body';
    if (expected.compare(bytes, from, bytes.length, this.#bodyAt, end) !== 0) return 'body';
    if (end === expected.length) return 'right';
    this.#bodyAt = end;
    return 'more';
  }

  #judgeHead(head: string): Outcome {
    if (!head.startsWith('200', 9)) return 'status';
    if (contentLengthOf(head) !== this.#text.expectedBody.length) return 'body';
    this.#isLast = head.includes('onnection: close\r\n');
    return head.includes(this.#text.id) ? 'right' : 'echo';
  }

  /** The next request opens a connection of its own. */
  #leave(): void {
    const socket = this.#socket;
    this.#isLast = false;
    this.#socket = undefined;
    this.#descriptor = -1;
    socket?.destroy();
  }

  #end(outcome: Outcome): void {
    this.#state = PlaceState.Closed;
    this.#bodyAt = -1;
    this.#held = undefined;
    if (this.#isLast) this.#leave();
    this.#owner.onOutcome(this, outcome);
  }
}

function contentLengthOf(head: string): number {
  const found = /\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n/i.exec(head);
  return found === null ? -1 : Number(found[1]);
}

/** What Node.js says about it on Linux, undocumented: without it all is sent through the stream. */
function descriptorOf(socket: Socket): number {
  const { _handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } | null };
  return _handle?.fd ?? -1;
}
