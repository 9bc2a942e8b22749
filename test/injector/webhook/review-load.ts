/**
 * The load of webhook.test.ts in a process of its own: rounds of parallel reviews over kept connections.
 *
 * Arguments: port, file of the authority, server name, rounds, parallel reviews. Before the last 5
 * rounds it prints `warm` and waits for a line; then it prints their times in ms as JSON, a list each.
 */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { patchOf, podOf, responseOf, reviewOf, send } from './https-client.ts';

const [port, ca, servername, rounds, parallel] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
];
const agent = new Agent({ keepAlive: true, maxSockets: Number(parallel) });
const target = { port: Number(port), ca: readFileSync(ca, 'utf8'), servername, agent };
const bodies = Array.from({ length: Number(parallel) }, (_, index) =>
  reviewOf({ uid: `review-${index}`, object: podOf(`app-${index}`) }),
);

async function round(): Promise<number[]> {
  const times: number[] = [];
  await Promise.all(
    bodies.map(async (body, index) => {
      const start = performance.now();
      const answer = await send(target, { body });
      times.push(performance.now() - start);
      if (patchOf(responseOf(answer, `review-${index}`)).length === 0) throw new Error('no patch');
    }),
  );
  return times.sort((a, b) => a - b);
}

for (let warm = 0; warm < Number(rounds); warm += 1) await round();
process.stdout.write('warm\n');
await once(process.stdin, 'data');
const measured: number[][] = [];
for (let each = 0; each < 5; each += 1) measured.push(await round());
process.stdout.write(`${JSON.stringify(measured)}\n`);
agent.destroy();
process.stdin.destroy();
