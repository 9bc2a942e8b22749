/**
 * The load generator, a process of its own: takes one LoadOrder at a time, answers a LoadReport.
 *
 * Raw sockets, so that it costs little beside the backend on its core, and every answer is verified.
 * It stays up for the whole run: its code is hot, and no arm meets a colder generator than another.
 * It ends when the bench's end of the channel does.
 */

import { readdirSync, writeFileSync } from 'node:fs';
import { ClosedLoad } from './closed-loop.ts';
import { HeldConnections } from './held-connections.ts';
import type { GeneratorOrder, LoadReport } from './load-order.ts';
import { OpenLoad } from './open-loop.ts';
import { Pacer } from './pacer-thread.ts';

const pacer = new Pacer();

process.on('disconnect', () => process.exit(0));
process.on('message', (order: GeneratorOrder) => {
  carryOut(order).then((answer) => process.send!(answer));
});
await pacer.ready();
sharpenTimers();
process.send!('ready');

let held: HeldConnections | undefined;

async function carryOut(order: GeneratorOrder): Promise<LoadReport | string> {
  switch (order.kind) {
    case 'open':
      return new OpenLoad(order, pacer).run();
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
