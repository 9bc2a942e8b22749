/**
 * The open loop: requests leave at their due times, on the connection that has been idle longest.
 *
 * The pacer's thread sends them (pacer.ts); here answers are read and the next requests prepared. A
 * request without a free connection waits, and its latency grows.
 */

import { seededRandom } from '../../src/base/random.ts';
import {
  Control,
  type HandOver,
  type Lineup,
  makeLineup,
  PlaceState,
  sharedInts,
} from './lineup.ts';
import { Load, patienceMs } from './load.ts';
import type { LoadConnection, Outcome } from './load-connection.ts';
import type { OpenLoop } from './load-order.ts';
import { monotonicMs } from './monotonic.ts';
import type { Pacer } from './pacer-thread.ts';
import { RequestText } from './request-text.ts';

/** From the order to the first request. */
const runUpMs = 5;
const leadMs = 0.05;

export class OpenLoad extends Load {
  readonly #order: OpenLoop;
  readonly #pacer: Pacer;
  readonly #lineup: Lineup;
  #countFrom = 0;
  #answered = 0;
  #finish: () => void = () => {};

  constructor(order: OpenLoop, pacer: Pacer) {
    const states = sharedInts(order.connections);
    super(order, states);
    this.#order = order;
    this.#pacer = pacer;
    this.#lineup = makeLineup(countArrivals(order), states, longestText(order), leadOf(order));
  }

  protected drive(): Promise<void> {
    const { dueAt } = this.#lineup;
    for (const connection of this.connections) this.#putInLine(connection, 0);
    const startAt = monotonicMs() + runUpMs;
    planArrivals(this.#order, startAt, dueAt);
    this.#countFrom = startAt + this.#order.warmSeconds * 1000;
    return new Promise((done) => {
      const lastDueMs = (dueAt.at(-1) ?? startAt) - monotonicMs();
      const giveUp = setTimeout(() => {
        this.errors.late += dueAt.length - this.#answered;
        this.#finish();
      }, lastDueMs + patienceMs);
      this.#finish = () => {
        clearTimeout(giveUp);
        this.#pacer.onHandOver = ignore;
        Atomics.store(this.#lineup.control, Control.Stopped, 1);
        Atomics.notify(this.#lineup.control, Control.Queued);
        for (const ms of this.#lineup.lateMs) if (!Number.isNaN(ms)) this.lateness.record(ms * 1e6);
        this.#finish = () => {};
        done();
      };
      this.#pacer.onHandOver = (handOver) => this.#takeOver(handOver);
      this.#pacer.send(this.#lineup);
    });
  }

  protected countSent(): number {
    return Atomics.load(this.#lineup.control, Control.Sent);
  }

  onOutcome(connection: LoadConnection, outcome: Outcome): void {
    const now = monotonicMs();
    const { dueAt, sentAt, arrival } = this.#lineup;
    const { place } = connection;
    const due = dueAt[arrival[place]!]!;
    this.#answered++;
    if (outcome !== 'right') this.errors[outcome]++;
    else if (due >= this.#countFrom) {
      this.completed++;
      this.latency.record((now - due) * 1e6);
      this.service.record((now - sentAt[place]!) * 1e6);
    }
    if (this.#answered === dueAt.length) this.#finish();
    else this.#putInLine(connection, now);
  }

  /** On another core the pacer may be between taking a place and having written. */
  beforeConnect(): void {
    while (Atomics.load(this.#lineup.control, Control.Writing) === 1);
  }

  #putInLine(connection: LoadConnection, now: number): void {
    const { control, descriptor, freeAt, length, line, state, text } = this.#lineup;
    const { place } = connection;
    const request = connection.prepare();
    text[place]!.set(request);
    length[place] = request.length;
    descriptor[place] = connection.descriptor;
    freeAt[place] = now;
    Atomics.store(state, place, descriptor[place]! < 0 ? PlaceState.Closed : PlaceState.Ready);
    // The line is as long as there are places, and each stands in it once: it cannot run over.
    line[Atomics.load(control, Control.Queued) % line.length] = place;
    Atomics.add(control, Control.Queued, 1);
    if (Atomics.load(control, Control.Starving) === 1) Atomics.notify(control, Control.Queued);
  }

  #takeOver({ place, arrival, from }: HandOver): void {
    const { dueAt, freeAt, lateMs, sentAt, state } = this.#lineup;
    const connection = this.connections[place]!;
    if (from < 0) {
      const now = monotonicMs();
      sentAt[place] = now;
      lateMs[arrival] = now - Math.max(dueAt[arrival]!, freeAt[place]!);
      connection.transmit();
      return;
    }
    // It may have ended meanwhile, and been counted as that.
    const isSame = this.#lineup.arrival[place] === arrival;
    if (isSame && Atomics.load(state, place) === PlaceState.UnderWay) connection.transmitRest(from);
  }
}

function ignore(): void {}

/** On one connection nothing else wants the core when a request is due; else the backend would pay. */
function leadOf({ connections }: OpenLoop): number {
  return connections === 1 ? leadMs : 0;
}

function countArrivals(order: OpenLoop): number {
  return Math.round(order.ratePerSecond * (order.warmSeconds + order.seconds));
}

/** Due times over warm-up and measured time. */
function planArrivals(order: OpenLoop, startAt: number, dueAt: Float64Array): void {
  const gapMs = 1000 / order.ratePerSecond;
  const random = seededRandom(order.seed);
  let at = startAt;
  for (let index = 0; index < dueAt.length; index++) {
    if (order.arrivals === 'even') dueAt[index] = startAt + index * gapMs;
    else {
      at -= Math.log((random.u32() + 1) / 0x1_0000_0000) * gapMs;
      dueAt[index] = at;
    }
  }
}

function longestText(order: OpenLoop): number {
  const { connections } = order;
  return Math.max(
    ...Array.from(
      { length: connections },
      (_, place) => new RequestText(order, place, connections).longest,
    ),
  );
}
