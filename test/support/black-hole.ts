/**
 * A local port that accepts no connection and refuses none: dialling it takes for ever.
 *
 * A child process listens with the smallest backlog and is stopped; connections fill its queue,
 * after which the kernel drops every SYN. Nothing outside the machine is needed.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

const script = `const server = require('net').createServer();
server.listen({ port: 0, host: '127.0.0.1', backlog: 1 },
  () => console.log(server.address().port));`;

/** More than a backlog of 1 holds. */
const FILLERS = 4;

/** The port; everything ends with the test. */
export async function startBlackHole(t: TestContext): Promise<number> {
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const fillers: Socket[] = [];
  t.after(() => {
    for (const filler of fillers) filler.destroy();
    child.kill('SIGKILL');
  });
  const [line] = await once(child.stdout, 'data');
  const port = Number(String(line));
  child.kill('SIGSTOP');
  for (let index = 0; index < FILLERS; index++) {
    const filler = connect(port, '127.0.0.1');
    filler.on('error', () => undefined);
    fillers.push(filler);
  }
  await once(fillers[0]!, 'connect');
  return port;
}
