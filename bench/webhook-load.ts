/**
 * The load of the webhook's bench: reviews over kept TLS connections, as an API server sends them.
 *
 * It runs in the bench's process, on the load's core. A request is one write of head and body, which is
 * what Go's client makes of a body below 4 KiB; an answer is complete when its Content-Length is there.
 * The first answer of each connection is judged whole, later ones by their status and length.
 */

import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { Histogram } from './load/histogram.ts';
import { monotonicMs } from './load/monotonic.ts';

export interface LoadTarget {
  readonly port: number;
  readonly ca: string;
  readonly servername: string;
}

/** Throws when an answer, head and body, is not what the bench wants. */
export type JudgeAnswer = (head: string, body: Buffer, index: number) => void;

/** One kept connection, which has one review under way at most. */
class ReviewConnection {
  readonly #socket: TLSSocket;
  readonly #request: Buffer;
  readonly #judge: (head: string, body: Buffer) => void;
  #isJudged = false;
  #parts: Buffer[] = [];
  #missing = -1;
  #sentAt = 0;
  #done: (tookMs: number) => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor(socket: TLSSocket, request: Buffer, judge: (head: string, body: Buffer) => void) {
    this.#socket = socket;
    this.#request = request;
    this.#judge = judge;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('error', (error) => this.#failed(error));
    socket.on('close', () => this.#failed(new Error('the webhook closed a connection')));
  }

  /** Sends the review; `done` gets the milliseconds until the last byte of its answer was here. */
  send(done: (tookMs: number) => void, failed: (error: Error) => void): void {
    this.#done = done;
    this.#failed = failed;
    this.#parts = [];
    this.#missing = -1;
    this.#sentAt = monotonicMs();
    this.#socket.write(this.#request);
  }

  close(): void {
    this.#failed = () => {};
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#parts.push(chunk);
    if (this.#missing === -1) {
      const all = Buffer.concat(this.#parts);
      const end = all.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = all.toString('latin1', 0, end);
      const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1]);
      if (!head.startsWith('HTTP/1.1 200 ') || !(length > 2_000)) {
        this.#failed(new Error(`a wrong answer: ${all.toString('utf8', 0, 500)}`));
        return;
      }
      this.#missing = end + 4 + length - all.length;
    } else this.#missing -= chunk.length;
    if (this.#missing > 0) return;
    const tookMs = monotonicMs() - this.#sentAt;
    if (!this.#isJudged) this.#judgeAnswer();
    this.#done(tookMs);
  }

  #judgeAnswer(): void {
    const all = Buffer.concat(this.#parts);
    const end = all.indexOf('\r\n\r\n');
    try {
      this.#judge(all.toString('latin1', 0, end), all.subarray(end + 4));
      this.#isJudged = true;
    } catch (error) {
      this.#failed(error as Error);
    }
  }
}

/** All connections of one webhook. */
export class ReviewLoad {
  readonly #connections: readonly ReviewConnection[];

  private constructor(connections: readonly ReviewConnection[]) {
    this.#connections = connections;
  }

  /** Opens a connection for each review text, one after the other: handshakes are not measured. */
  static async open(
    target: LoadTarget,
    reviews: readonly string[],
    judge: JudgeAnswer,
  ): Promise<ReviewLoad> {
    const connections: ReviewConnection[] = [];
    for (const [index, review] of reviews.entries()) {
      const socket = connect({ ...target, host: '127.0.0.1' });
      await once(socket, 'secureConnect');
      const request = Buffer.from(requestText(target.servername, review, index));
      const judgeThis = (head: string, body: Buffer) => judge(head, body, index);
      connections.push(new ReviewConnection(socket, request, judgeThis));
    }
    return new ReviewLoad(connections);
  }

  /** Closed loop: each connection sends again when it has its answer, for `seconds`. */
  async closedLoop(seconds: number): Promise<Histogram> {
    const times = new Histogram();
    const endAt = monotonicMs() + seconds * 1_000;
    await this.#all((connection, finished, failed) => {
      const next = (): void =>
        connection.send((tookMs) => {
          times.record(tookMs * 1e6);
          if (monotonicMs() < endAt) next();
          else finished();
        }, failed);
      next();
    });
    return times;
  }

  /** All connections send at once; resolves when the last answer is here. */
  async burst(times: Histogram): Promise<void> {
    await this.#all((connection, finished, failed) => {
      connection.send((tookMs) => {
        times.record(tookMs * 1e6);
        finished();
      }, failed);
    });
  }

  /** Reviews one after the other on one connection. */
  async alone(reviews: number, times: Histogram): Promise<void> {
    const connection = this.#connections[0]!;
    for (let count = 0; count < reviews; count++) {
      times.record((await new Promise<number>((...ends) => connection.send(...ends))) * 1e6);
    }
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  async #all(
    work: (
      connection: ReviewConnection,
      finished: () => void,
      failed: (error: Error) => void,
    ) => void,
  ): Promise<void> {
    await new Promise<void>((finished, failed) => {
      let open = this.#connections.length;
      const finishOne = (): void => {
        open -= 1;
        if (open === 0) finished();
      };
      for (const connection of this.#connections) work(connection, finishOne, failed);
    });
  }
}

/** The head of Kubernetes' API server with tracing on, and the review. */
function requestText(host: string, review: string, index: number): string {
  const traceId = (index + 1).toString(16).padStart(32, '4bf92f3577b34da6a3ce929d0e0e4736');
  return [
    'POST /inject/pods?timeout=5s HTTP/1.1',
    `Host: ${host}:443`,
    'User-Agent: kube-apiserver-admission',
    `Content-Length: ${Buffer.byteLength(review)}`,
    'Accept: application/json',
    'Content-Type: application/json',
    `Traceparent: 00-${traceId}-00f067aa0ba902b7-01`,
    'Accept-Encoding: gzip',
    '',
    review,
  ].join('\r\n');
}
