/**
 * Deadlines: one timer of the platform for any number of connections and requests.
 *
 * An owner embeds a Deadline and moves it with `set`. Moving it later costs one field store: the
 * heap keeps the old place and re-checks there, so a keep-alive request arms nothing (reference/
 * performance.md section 7, point 8). Moving it earlier than its place re-sorts the heap.
 *
 * Nobody pays for a stall of our own: after one, timers run before what peers sent meanwhile is read.
 * So when its time has come a deadline is met only after the sockets have had one more turn.
 *
 *    heap of places (min first)          deadline.at: what the owner asked for, Infinity = none
 *    [ place 10 s | place 75 s | ... ]   deadline.place: when we next look at it, <= at
 */

import type { Clock, Milliseconds } from './clock.ts';

/**
 * Wakes `call` after `delayMs`; returns a way to call it off. Injected so that tests own time. With a
 * delay of 0 or less: as soon as everything that waits on a socket has been heard once.
 */
export interface WakeUps {
  after(delayMs: Milliseconds, call: () => void): () => void;
}

/** The platform's timers; they never keep a process alive by themselves, but for one turn. */
export const systemWakeUps: WakeUps = {
  after(delayMs, call) {
    if (delayMs <= 0) {
      // The check phase of the event loop: it follows the poll for sockets. A timer precedes it.
      const immediate = setImmediate(call);
      return () => clearImmediate(immediate);
    }
    const timer = setTimeout(call, Math.ceil(delayMs));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after `ms` and keeps the process alive till then: for a command that waits for another one. */
export function pause(ms: Milliseconds): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

/** Something that can be late. `onDeadline` runs at most once for each `set`. */
export interface DeadlineOwner {
  onDeadline(now: Milliseconds): void;
}

const NOT_QUEUED = -1;

/** One deadline of one owner; created once, reused for the owner's life. */
export class Deadline {
  readonly owner: DeadlineOwner;
  /** Monotonic time by which the owner wants to be called; Infinity when it does not. */
  at: Milliseconds = Number.POSITIVE_INFINITY;
  place: Milliseconds = 0;
  index: number = NOT_QUEUED;

  constructor(owner: DeadlineOwner) {
    this.owner = owner;
  }
}

export class Deadlines {
  readonly #heap: Deadline[] = [];
  readonly #clock: Clock;
  readonly #wakeUps: WakeUps;
  #callOff: (() => void) | undefined;
  #wakeAt: Milliseconds = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, wakeUps: WakeUps) {
    this.#clock = clock;
    this.#wakeUps = wakeUps;
  }

  /** How many deadlines have a place in the heap: a leak test's number. */
  get size(): number {
    return this.#heap.length;
  }

  /** Asks for `deadline.owner.onDeadline` at monotonic time `at`, replacing what was asked before. */
  set(deadline: Deadline, at: Milliseconds): void {
    deadline.at = at;
    if (deadline.index === NOT_QUEUED) {
      deadline.place = at;
      deadline.index = this.#heap.length;
      this.#heap.push(deadline);
      this.#up(deadline.index);
      this.#wake();
    } else if (at < deadline.place) {
      deadline.place = at;
      this.#up(deadline.index);
      this.#wake();
    }
  }

  /** Stops waiting; the place is dropped when its time comes. One field store. */
  clear(deadline: Deadline): void {
    deadline.at = Number.POSITIVE_INFINITY;
  }

  /** Takes the deadline out at once: for owners that end, so that nothing keeps them in memory. */
  remove(deadline: Deadline): void {
    deadline.at = Number.POSITIVE_INFINITY;
    if (deadline.index !== NOT_QUEUED) this.#take(deadline.index);
  }

  /**
   * Calls every owner whose deadline has passed, in the order of their places.
   * What an owner throws is passed on; the others are called soon after, by a wake-up of their own.
   */
  run(): void {
    try {
      this.#runDue(this.#clock.now());
    } finally {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#wake();
    }
  }

  #runDue(now: Milliseconds): void {
    for (let first = this.#heap[0]; first !== undefined && first.place <= now; ) {
      if (first.at <= now) {
        this.#take(0);
        first.at = Number.POSITIVE_INFINITY;
        first.owner.onDeadline(now);
      } else if (first.at === Number.POSITIVE_INFINITY) {
        this.#take(0);
      } else {
        first.place = first.at;
        this.#down(0);
      }
      first = this.#heap[0];
    }
  }

  #wake(): void {
    const first = this.#heap[0];
    if (first === undefined || first.place >= this.#wakeAt) return;
    this.#callOff?.();
    this.#wakeAt = first.place;
    this.#callOff = this.#wakeUps.after(first.place - this.#clock.now(), () => {
      this.#callOff = this.#wakeUps.after(0, () => {
        this.#callOff = undefined;
        this.run();
      });
    });
  }

  #take(index: number): void {
    const taken = this.#heap[index]!;
    taken.index = NOT_QUEUED;
    const last = this.#heap.pop()!;
    if (last === taken) return;
    this.#heap[index] = last;
    last.index = index;
    this.#down(index);
    this.#up(last.index);
  }

  #up(start: number): void {
    let index = start;
    const moving = this.#heap[index]!;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex]!;
      if (parent.place <= moving.place) break;
      this.#heap[index] = parent;
      parent.index = index;
      index = parentIndex;
    }
    this.#heap[index] = moving;
    moving.index = index;
  }

  #down(start: number): void {
    let index = start;
    const moving = this.#heap[index]!;
    const length = this.#heap.length;
    for (;;) {
      let childIndex = index * 2 + 1;
      if (childIndex >= length) break;
      const right = childIndex + 1;
      if (right < length && this.#heap[right]!.place < this.#heap[childIndex]!.place) {
        childIndex = right;
      }
      const child = this.#heap[childIndex]!;
      if (child.place >= moving.place) break;
      this.#heap[index] = child;
      child.index = index;
      index = childIndex;
    }
    this.#heap[index] = moving;
    moving.index = index;
  }
}
