/**
 * A child process of listeners.test.ts: callers who connect again and again, whatever happens.
 *
 * Arguments: port, how many at a time. Says `{}` once the first has its answer, ends when its stdin
 * does, and then prints what became of all calls.
 */

import { connect } from 'node:net';

const [port, callers] = process.argv.slice(2).map(Number);
const counts = { answered: 0, refused: 0, reset: 0, other: [] as string[] };
let isOver = false;

function call(): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port!, '127.0.0.1');
    let answer = '';
    socket.on('connect', () =>
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
    );
    socket.on('data', (part) => {
      answer += part;
    });
    let code = '';
    socket.on('error', (error: NodeJS.ErrnoException) => {
      code = error.code ?? error.message;
    });
    socket.on('close', () => {
      if (code === 'ECONNREFUSED') counts.refused++;
      else if (code === 'ECONNRESET' || code === 'EPIPE') counts.reset++;
      else if (code === '' && answer.startsWith('HTTP/1.1 200 ')) {
        counts.answered++;
        if (counts.answered === 1) process.stdout.write('{}\n');
      } else counts.other.push(code || answer.slice(0, 40));
      resolve();
    });
  });
}

process.stdin.on('end', () => {
  isOver = true;
});
process.stdin.resume();
await Promise.all(
  Array.from({ length: callers! }, async () => {
    while (!isOver) await call();
  }),
);
process.stdout.write(`${JSON.stringify(counts)}\n`);
