/**
 * A neighbour, a process of its own: does one thing to an arm until it is told to stop, and counts.
 *
 *   idle           connections that have had one answer and wait
 *   churn          new connections, each with one request
 *   slow-reader    answers of 1 MiB, of which 16 KiB are read every 50 ms
 *   slow-writer    heads that come a byte every 5 ms
 *   large-header   new connections with a head of 1 MB
 *   reset          requests whose upstream resets its connection
 *   large-bodies   answers of 64 KiB, read as they come
 *
 * It ends when the bench's end of the channel does. Answers are read, not compared: that is the
 * generator's work.
 */

import { connect, type Socket } from 'node:net';
import { answerPath, benchHost, benchPath, requestHead } from './load-order.ts';
import type { NeighbourOrder, NeighbourQuestion, NeighbourReport } from './neighbour-order.ts';
import { resetPath } from './stream-paths.ts';

const openAtOnce = 32;
const tickMs = 10;
const byteMs = 5;
const pieceBytes = 16_384;
const pieceMs = 50;
const largeHead = Buffer.from(
  requestHead('GET', { host: benchHost, path: benchPath }, `x-large: ${'a'.repeat(1_000_000)}\r\n`),
);
const headEnd = Buffer.from('\r\n\r\n');

function headOf(path: string): Buffer {
  return Buffer.from(requestHead('GET', { host: benchHost, path }, ''), 'latin1');
}

const ordinary = headOf(benchPath);
const long = headOf(answerPath(1_048_576));
const large = headOf(answerPath(65_536));
const reset = headOf(resetPath);

/** One connection; at most one request is under way. */
class Caller {
  readonly socket: Socket;
  #text = '';
  /** Bytes of the body that are still to come; -1 before the end of the head. */
  #left = -1;
  #status = '';
  #done: (status: string) => void = () => {};

  constructor(port: number, isSlow = false) {
    // What a stream keeps unread; Node.js hands it on, its types do not know it.
    const options = { port, host: '127.0.0.1', noDelay: true, highWaterMark: pieceBytes };
    this.socket = connect(options);
    this.socket.on('error', () => this.#end('cut'));
    this.socket.on('close', () => this.#end('cut'));
    if (isSlow) this.socket.pause();
    else this.socket.on('data', (chunk: Buffer) => this.take(chunk));
  }

  get isOpen(): boolean {
    return !this.socket.destroyed;
  }

  /** Resolves with the status when the answer is whole, with 'cut' when it will not be. */
  ask(request: Buffer): Promise<string> {
    return this.answered(() => this.socket.write(request));
  }

  answered(send: () => void): Promise<string> {
    return new Promise((done) => {
      this.#done = done;
      if (this.isOpen) send();
      else this.#end('cut');
    });
  }

  /** Bytes of the answer. */
  take(chunk: Buffer): void {
    let bytes = chunk.length;
    if (this.#left < 0) {
      this.#text += chunk.toString('latin1');
      const end = this.#text.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.#status = this.#text.slice(9, 12);
      this.#left = Number(/\r\ncontent-length:[ \t]*(\d+)/i.exec(this.#text)?.[1] ?? 0);
      bytes = this.#text.length - end - headEnd.length;
      this.#text = '';
    }
    this.#left -= bytes;
    if (this.#left <= 0) this.#end(this.#status);
  }

  #end(status: string): void {
    this.#left = -1;
    const done = this.#done;
    this.#done = () => {};
    done(status);
  }
}

class Neighbour {
  readonly #order: NeighbourOrder;
  readonly #callers = new Set<Caller>();
  /** Kept connections without a request, and how many are kept in all. */
  readonly #free: Caller[] = [];
  #kept = 0;
  #isStopped = false;
  #acts = 0;
  #ended = 0;
  #asMeant = 0;
  #otherwise = '';

  constructor(order: NeighbourOrder) {
    this.#order = order;
  }

  /** Resolves when it does what it is for. */
  async start(): Promise<void> {
    const { kind, connections = 0, ratePerSecond = 0 } = this.#order;
    switch (kind) {
      case 'idle':
        return this.#open(connections);
      case 'churn':
        return this.#everySecond(ratePerSecond, () => this.#once(ordinary, isOk));
      case 'large-header':
        return this.#everySecond(ratePerSecond, () => this.#once(largeHead, isRefusal));
      case 'reset':
        return this.#everySecond(ratePerSecond, () => this.#onKept(reset, isFailure));
      case 'large-bodies':
        return this.#everySecond(ratePerSecond, () => this.#onKept(large, isOk, connections));
      case 'slow-reader':
        for (let place = 0; place < connections; place++) void this.#readSlowly();
        return;
      case 'slow-writer':
        for (let place = 0; place < connections; place++) void this.#writeSlowly(place);
    }
  }

  /** One more request on each idle connection. */
  async touch(): Promise<void> {
    const waiting = [...this.#callers];
    await inLanes(waiting, async (caller) => this.#count(await caller.ask(ordinary), isOk));
  }

  report(): NeighbourReport {
    const open = [...this.#callers].filter((caller) => caller.isOpen).length;
    const report = {
      open,
      acts: this.#acts,
      ended: this.#ended,
      asMeant: this.#asMeant,
      otherwise: this.#otherwise,
    };
    this.#acts = 0;
    this.#ended = 0;
    this.#asMeant = 0;
    this.#otherwise = '';
    return report;
  }

  stop(): void {
    this.#isStopped = true;
    for (const { socket } of this.#callers) socket.destroy();
  }

  async #open(connections: number): Promise<void> {
    const callers = Array.from({ length: connections }, () => undefined);
    await inLanes(callers, async () => {
      const caller = this.#call();
      this.#count(await caller.ask(ordinary), isOk);
    });
  }

  #call(isSlow = false): Caller {
    const caller = new Caller(this.#order.port, isSlow);
    this.#callers.add(caller);
    caller.socket.once('close', () => this.#callers.delete(caller));
    return caller;
  }

  #everySecond(rate: number, act: () => Promise<void>): void {
    let due = 0;
    const timer = setInterval(() => {
      if (this.#isStopped) return clearInterval(timer);
      for (due += (rate * tickMs) / 1000; due >= 1; due--) void act();
    }, tickMs);
  }

  async #once(request: Buffer, isAsMeant: (status: string) => boolean): Promise<void> {
    const caller = this.#call();
    this.#acts++;
    this.#count(await caller.ask(request), isAsMeant);
    caller.socket.destroy();
  }

  /** On a connection that is kept, of which there are at most `most`; without a free one, not at all. */
  async #onKept(
    request: Buffer,
    isAsMeant: (status: string) => boolean,
    most = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    let caller = this.#free.pop();
    if (caller === undefined) {
      if (this.#kept === most) return;
      this.#kept++;
      caller = this.#call();
    }
    this.#acts++;
    this.#count(await caller.ask(request), isAsMeant);
    if (caller.isOpen) this.#free.push(caller);
    else this.#kept--;
  }

  async #readSlowly(): Promise<void> {
    while (!this.#isStopped) {
      const caller = this.#call(true);
      const { socket } = caller;
      const timer = setInterval(() => {
        const piece = (socket.read(pieceBytes) ?? socket.read()) as Buffer | null;
        if (piece === null) return;
        this.#acts++;
        caller.take(piece);
      }, pieceMs);
      this.#count(await caller.ask(long), isOk);
      clearInterval(timer);
      socket.destroy();
    }
  }

  /** Its first byte comes at a time of its own: the writers do not keep step. */
  async #writeSlowly(place: number): Promise<void> {
    await new Promise((done) => setTimeout(done, place % byteMs));
    while (!this.#isStopped) {
      const caller = this.#call();
      let at = 0;
      const timer = setInterval(() => {
        if (at === ordinary.length) return;
        this.#acts++;
        caller.socket.write(ordinary.subarray(at, ++at));
      }, byteMs);
      this.#count(await caller.answered(() => {}), isOk);
      clearInterval(timer);
      caller.socket.destroy();
    }
  }

  #count(status: string, isAsMeant: (status: string) => boolean): void {
    if (this.#isStopped) return;
    this.#ended++;
    if (isAsMeant(status)) this.#asMeant++;
    else if (this.#otherwise === '') this.#otherwise = status;
  }
}

function isOk(status: string): boolean {
  return status === '200';
}

/** An answer that says no, or a connection that is cut while the head still comes. */
function isRefusal(status: string): boolean {
  return status.startsWith('4') || status === 'cut';
}

/** What becomes of a reset upstream; without a proxy the caller is cut itself. */
function isFailure(status: string): boolean {
  return status.startsWith('5') || status === 'cut';
}

/** Some at once, not all: no storm. */
async function inLanes<Each>(all: Each[], act: (each: Each) => Promise<void>): Promise<void> {
  const lane = async () => {
    while (all.length > 0) await act(all.pop()!);
  };
  await Promise.all(Array.from({ length: openAtOnce }, lane));
}

let neighbour: Neighbour | undefined;

async function answer(question: NeighbourQuestion): Promise<NeighbourReport> {
  if (question.kind === 'touch') await neighbour?.touch();
  else if (question.kind !== 'stop' && question.kind !== 'count') {
    neighbour = new Neighbour(question);
    await neighbour.start();
  }
  const report = neighbour?.report() ?? { open: 0, acts: 0, ended: 0, asMeant: 0, otherwise: '' };
  if (question.kind === 'stop') {
    neighbour?.stop();
    neighbour = undefined;
  }
  return report;
}

process.on('disconnect', () => process.exit(0));
process.on('message', (question: NeighbourQuestion) => {
  answer(question).then((report) => process.send!(report));
});
process.send!('ready');
