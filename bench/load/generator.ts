/**
 * The load generator, a process of its own: takes one LoadOrder at a time, answers a LoadReport.
 *
 * Raw sockets, so that it costs little beside the backend on its core, and every answer is verified.
 * It stays up for the whole run: its code is hot, and no arm meets a colder generator than another.
 * It ends when the bench's end of the channel does.
 */

import { readdirSync, writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { seededRandom } from '../../src/base/random.ts';
import { Histogram } from './histogram.ts';
import { LoadConnection, type LoadOwner, type Outcome } from './load-connection.ts';
import type {
  ClosedLoop,
  GeneratorOrder,
  Hold,
  LoadErrors,
  LoadOrder,
  LoadReport,
  OpenLoop,
} from './load-order.ts';
import { monotonicMs } from './monotonic.ts';
import type { Pace } from './pacer.ts';
import { RequestText } from './request-text.ts';

const patienceMs = 2000;
/**
 * On one connection nothing else wants the core when a request is due, and a few microseconds of
 * spinning take the poke's own way (20 to 80 us) out of the lateness. With more, the backend would pay.
 */
const pokeLeadMs = 0.08;
const pacer = new Worker(new URL('./pacer.ts', import.meta.url));

process.on('disconnect', () => process.exit(0));
process.on('message', (order: GeneratorOrder) => {
  carryOut(order).then((answer) => process.send!(answer));
});
pacer.once('online', () => {
  sharpenTimers();
  process.send!('ready');
});

let held: HeldConnections | undefined;

async function carryOut(order: GeneratorOrder): Promise<LoadReport | string> {
  switch (order.kind) {
    case 'open':
      return new OpenLoad(order).run();
    case 'closed':
      return new ClosedLoad(order).run();
    case 'hold':
      held?.close();
      held = new HeldConnections(order);
      return held.open();
    case 'release':
      held?.close();
      held = undefined;
      return '';
  }
}

/** What both loads count, and the connections they own. */
abstract class Load implements LoadOwner {
  protected readonly connections: LoadConnection[];
  protected readonly errors: LoadErrors = { status: 0, body: 0, echo: 0, cut: 0, late: 0 };
  protected readonly latency = new Histogram();
  protected readonly service = new Histogram();
  protected readonly lateness = new Histogram();
  protected sent = 0;
  protected completed = 0;

  constructor(order: LoadOrder) {
    const { port, connections } = order;
    this.connections = Array.from(
      { length: connections },
      (_, place) => new LoadConnection(port, this, new RequestText(order, place, connections)),
    );
  }

  async run(): Promise<LoadReport> {
    await Promise.all(this.connections.map((connection) => connection.open()));
    const startedAt = monotonicMs();
    await this.drive();
    const elapsedSeconds = (monotonicMs() - startedAt) / 1000;
    for (const connection of this.connections) connection.close();
    return {
      sent: this.sent,
      completed: this.completed,
      errors: this.errors,
      elapsedSeconds,
      latency: this.latency.toSparse(),
      service: this.service.toSparse(),
      lateness: this.lateness.toSparse(),
    };
  }

  abstract onOutcome(connection: LoadConnection, outcome: Outcome): void;
  /** Resolves when the load is over: all answers are in, or given up. */
  protected abstract drive(): Promise<void>;
}

/** Requests leave at their due times, on the connection that has been idle longest. */
class OpenLoad extends Load {
  readonly #order: OpenLoop;
  /** Connections without a request, oldest first: a ring. */
  readonly #idle: LoadConnection[];
  #idleFirst = 0;
  #idleCount: number;
  #dueAt = new Float64Array(new SharedArrayBuffer(0));
  #countFrom = 0;
  #noticed = 0;
  #answered = 0;
  #finish: () => void = () => {};

  constructor(order: OpenLoop) {
    super(order);
    this.#order = order;
    this.#idle = [...this.connections];
    this.#idleCount = this.#idle.length;
  }

  protected drive(): Promise<void> {
    const planned = planArrivals(this.#order);
    const startAt = monotonicMs() + 5;
    this.#dueAt = new Float64Array(new SharedArrayBuffer(planned.length * 8));
    this.#dueAt.set(planned.map((offset) => startAt + offset));
    this.#countFrom = startAt + this.#order.warmSeconds * 1000;
    const leadMs = this.#order.connections === 1 ? pokeLeadMs : 0;
    return new Promise((done) => {
      const onPoke = () => {
        if (leadMs > 0) this.#spinUntilDue();
        this.#sendDue();
      };
      const lastDueMs = (this.#dueAt.at(-1) ?? startAt) - monotonicMs();
      const giveUp = setTimeout(() => {
        this.errors.late += this.#dueAt.length - this.#answered;
        this.#finish();
      }, lastDueMs + patienceMs);
      this.#finish = () => {
        clearTimeout(giveUp);
        pacer.off('message', onPoke);
        this.#finish = () => {};
        done();
      };
      pacer.on('message', onPoke);
      pacer.postMessage({ dueAt: this.#dueAt, leadMs } satisfies Pace);
    });
  }

  onOutcome(connection: LoadConnection, outcome: Outcome): void {
    const now = monotonicMs();
    this.#answered++;
    if (outcome !== 'right') this.errors[outcome]++;
    else if (connection.dueAt >= this.#countFrom) {
      this.completed++;
      this.latency.record((now - connection.dueAt) * 1e6);
      this.service.record((now - connection.sentAt) * 1e6);
    }
    this.#idle[(this.#idleFirst + this.#idleCount) % this.#idle.length] = connection;
    this.#idleCount++;
    if (this.#answered === this.#dueAt.length) this.#finish();
    else this.#sendDue();
  }

  /** The poke came early, for its way here takes a while: the rest of it is waited for awake. */
  #spinUntilDue(): void {
    const aheadMs = this.#dueAt[this.#noticed]! - monotonicMs();
    if (!(aheadMs > 0 && aheadMs <= pokeLeadMs)) return;
    const until = performance.now() + aheadMs;
    while (performance.now() < until);
  }

  /** Sends every request that is due while a connection is free; the rest waits, its latency grows. */
  #sendDue(): void {
    const now = monotonicMs();
    while (this.#noticed < this.#dueAt.length && this.#dueAt[this.#noticed]! <= now) {
      this.lateness.record((now - this.#dueAt[this.#noticed]!) * 1e6);
      this.#noticed++;
    }
    while (this.sent < this.#noticed && this.#idleCount > 0) {
      const connection = this.#idle[this.#idleFirst]!;
      this.#idleFirst = (this.#idleFirst + 1) % this.#idle.length;
      this.#idleCount--;
      connection.dueAt = this.#dueAt[this.sent++]!;
      connection.send();
    }
  }
}

/** Every connection sends again as soon as it has its answer, until the time is over. */
class ClosedLoad extends Load {
  readonly #seconds: number;
  readonly #requests: number;
  #endAt = 0;
  #busy = 0;
  #finish: () => void = () => {};

  constructor(order: ClosedLoop) {
    super(order);
    this.#seconds = order.seconds;
    this.#requests = order.requests ?? Number.POSITIVE_INFINITY;
  }

  protected drive(): Promise<void> {
    this.#endAt = monotonicMs() + this.#seconds * 1000;
    return new Promise((done) => {
      const giveUp = setTimeout(
        () => {
          this.errors.late += this.#busy;
          this.#finish();
        },
        this.#seconds * 1000 + patienceMs,
      );
      this.#finish = () => {
        clearTimeout(giveUp);
        done();
      };
      for (const connection of this.connections) this.#send(connection);
    });
  }

  onOutcome(connection: LoadConnection, outcome: Outcome): void {
    const now = monotonicMs();
    this.#busy--;
    if (outcome === 'right') {
      this.completed++;
      this.service.record((now - connection.sentAt) * 1e6);
    } else this.errors[outcome]++;
    // A dead proxy must not become a storm of connection attempts.
    const wantsMore = now < this.#endAt && this.sent < this.#requests;
    if (wantsMore && outcome === 'right') this.#send(connection);
    else if (this.#busy === 0) this.#finish();
  }

  #send(connection: LoadConnection): void {
    this.sent++;
    this.#busy++;
    connection.send();
  }
}

/** Connections that have served one request each and then are idle. */
class HeldConnections implements LoadOwner {
  readonly #connections: LoadConnection[];
  readonly #wrong: Outcome[] = [];
  #done: () => void = () => {};

  constructor({ port, connections }: Hold) {
    this.#connections = Array.from(
      { length: connections },
      (_, place) => new LoadConnection(port, this, new RequestText({}, place, connections)),
    );
  }

  /** '' when all are open and answered, else what went wrong. One after the other: no storm. */
  async open(): Promise<string> {
    for (const connection of this.#connections) {
      const answered = new Promise<void>((done) => {
        this.#done = done;
      });
      connection.send();
      await answered;
    }
    return this.#wrong.join(', ');
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  onOutcome(_connection: LoadConnection, outcome: Outcome): void {
    if (outcome !== 'right') this.#wrong.push(outcome);
    this.#done();
  }
}

/** Due times in milliseconds from the start, over warm-up and measured time. */
function planArrivals(order: OpenLoop): Float64Array {
  const count = Math.round(order.ratePerSecond * (order.warmSeconds + order.seconds));
  const gapMs = 1000 / order.ratePerSecond;
  if (order.arrivals === 'even') return Float64Array.from({ length: count }, (_, n) => n * gapMs);
  const random = seededRandom(order.seed);
  let at = 0;
  return Float64Array.from({ length: count }, () => {
    at -= Math.log((random.u32() + 1) / 0x1_0000_0000) * gapMs;
    return at;
  });
}

/** The kernel may wake a sleeping thread 50 us late to save power; asks it not to, where it can. */
function sharpenTimers(): void {
  for (const thread of readdirSync('/proc/self/task')) {
    try {
      writeFileSync(`/proc/${thread}/timerslack_ns`, '1');
    } catch {
      // Another user's right: then lateness shows it.
    }
  }
}
