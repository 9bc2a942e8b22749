/**
 * The generator's metronome: a thread that sleeps until a request is due, and then sends it itself.
 *
 * Timers of the event loop know whole milliseconds only, and the thread that reads answers is busy when
 * a request is due, or waits for the backend, with which it shares the core. This one does nothing else
 * and sleeps nearly all the time, so it can have a real-time priority: it runs at once whoever has the
 * core, for some twenty microseconds a request, and starves nobody. Where that is not allowed it has the
 * best ordinary one. How late each request left is recorded beside every latency.
 *
 * It never returns to its event loop. There V8 sweeps its heap in small tasks while helpers sweep too, and
 * at this priority the tasks kept the helpers from the core for a second (2026-11-25, Node.js 26.10).
 */

import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Control, type HandOver, type Lineup, PlaceState } from './lineup.ts';
import { monotonicMs } from './monotonic.ts';
import { writeNow } from './raw-write.ts';

const never = new Int32Array(new SharedArrayBuffer(4));
/** So often it looks whether the load has been given up while it has no free connection. */
const lookAgainMs = 50;

takePriority();
parentPort!.postMessage('ready');
const lineupsPosted = workerData as Int32Array;
for (let done = 0; ; done++) {
  while (Atomics.load(lineupsPosted, 0) === done) Atomics.wait(lineupsPosted, 0, done);
  keepPace((receiveMessageOnPort(parentPort!) as { readonly message: Lineup }).message);
}

/** Sends all arrivals of the lineup, in order, or ends when it is stopped. */
function keepPace(lineup: Lineup): void {
  const { control, dueAt, leadMs, line } = lineup;
  for (let arrival = 0; arrival < dueAt.length; arrival++) {
    waitUntil(dueAt[arrival]!, leadMs);
    if (Atomics.load(control, Control.Queued) === arrival && !awaitPlace(control, arrival)) return;
    send(lineup, line[arrival % line.length]!, arrival);
  }
}

/** Asleep, but for the last `leadMs`. */
function waitUntil(dueAt: number, leadMs: number): void {
  for (let ms = dueAt - monotonicMs(); ms > leadMs; ms = dueAt - monotonicMs()) {
    Atomics.wait(never, 0, 0, ms - leadMs);
  }
  if (leadMs === 0) return;
  // Of the clock that allocates nothing: a collection of garbage would fall into the next request.
  const until = performance.now() + dueAt - monotonicMs();
  while (performance.now() < until);
}

/** False when the load was stopped instead. `queued` places were in line so far. */
function awaitPlace(control: Int32Array, queued: number): boolean {
  Atomics.store(control, Control.Starving, 1);
  // The wait itself looks once more, after the flag is up: no place is missed.
  while (Atomics.load(control, Control.Queued) === queued) {
    if (Atomics.load(control, Control.Stopped) === 1) return false;
    Atomics.wait(control, Control.Queued, queued, lookAgainMs);
  }
  Atomics.store(control, Control.Starving, 0);
  return true;
}

function send(lineup: Lineup, place: number, arrival: number): void {
  const { control, descriptor, dueAt, freeAt, lateMs, length, sentAt, state, text } = lineup;
  const now = monotonicMs();
  lineup.arrival[place] = arrival;
  sentAt[place] = now;
  lateMs[arrival] = now - Math.max(dueAt[arrival]!, freeAt[place]!);
  Atomics.add(control, Control.Sent, 1);
  Atomics.store(control, Control.Writing, 1);
  const { Ready, UnderWay } = PlaceState;
  if (Atomics.compareExchange(state, place, Ready, UnderWay) !== Ready) {
    Atomics.store(control, Control.Writing, 0);
    handOver({ place, arrival, from: -1 });
    return;
  }
  const sent = writeNow(descriptor[place]!, text[place]!, length[place]!);
  Atomics.store(control, Control.Writing, 0);
  // After an error nothing is left to send: the generator reads the connection's end.
  if (sent >= 0 && sent < length[place]!) handOver({ place, arrival, from: sent });
}

function handOver(message: HandOver): void {
  parentPort!.postMessage(message);
}

/** Real time for this one thread where it may be had, else the best ordinary priority, else nothing. */
function takePriority(): void {
  const thread = readlinkSync('/proc/thread-self').split('/').at(-1)!;
  const { status } = spawnSync('chrt', ['--fifo', '--pid', '1', thread], { stdio: 'ignore' });
  if (status === 0) return;
  try {
    setPriority(Number(thread), -20);
  } catch {
    // Not ours to have: then lateness shows it.
  }
}
