/**
 * Waits for the first right answer on a port: how the bench knows that a program is up, and when.
 *
 * It knocks every millisecond. A connection that is accepted early and answered later counts from the
 * start of the program like any other wait: the caller is served at the moment it has its answer.
 */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../stage/children.ts';
import { benchBody, benchHost, benchPath, requestHead } from './load-order.ts';

const patienceMs = 15_000;
const answerMs = 3000;
const request = requestHead('GET', { host: benchHost, path: benchPath }, '');

/** Resolves at the first 200 with the right body; rejects when the program ends or 15 s have passed. */
export async function waitForFirstAnswer(port: number, child: Child, name: string): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  let last = 'nothing listened';
  while (performance.now() < giveUpAt) {
    if (child.hasEnded) throw new Error(`${name}: ${child.describeEnd()}`);
    const answer = await askOnce(port);
    if (answer.startsWith('HTTP/1.1 200') && answer.endsWith(benchBody)) return;
    if (answer !== '') last = `the last answer was: ${answer.slice(0, 200)}`;
    await sleep(1);
  }
  throw new Error(`${name}: no right answer on port ${port} within 15 s; ${last}`);
}

/** What came back to one request on a connection of its own; '' when nobody listens. */
function askOnce(port: number): Promise<string> {
  return new Promise((done) => {
    let text = '';
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.setTimeout(answerMs, () => socket.destroy());
    socket.on('connect', () => socket.write(request));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.endsWith(benchBody)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => done(text));
  });
}
