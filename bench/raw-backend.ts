/**
 * The backend where nginx is not installed: raw sockets, a fixed answer, two ports.
 *
 * Slower than nginx by some microseconds a request on the load's core, and the result says which of
 * the two it was. It answers what the generator and plain proxies send: heads without bodies.
 * Arguments: PORT SECOND-PORT.
 */

import { createServer } from 'node:net';
import { benchBody } from './load-order.ts';

const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n' +
    `Content-Length: ${benchBody.length}\r\n\r\n${benchBody}`,
  'latin1',
);
const headEnd = Buffer.from('\r\n\r\n', 'latin1');

for (const port of process.argv.slice(2, 4).map(Number)) {
  createServer({ noDelay: true }, (socket) => {
    let held: Buffer | undefined;
    socket.on('data', (chunk: Buffer) => {
      const bytes = held === undefined ? chunk : Buffer.concat([held, chunk]);
      let from = 0;
      for (let end = bytes.indexOf(headEnd); end >= 0; end = bytes.indexOf(headEnd, from)) {
        socket.write(answer);
        from = end + headEnd.length;
      }
      held = from < bytes.length ? bytes.subarray(from) : undefined;
    });
    socket.on('error', () => socket.destroy());
  }).listen({ port, host: '127.0.0.1', backlog: 4096 });
}
