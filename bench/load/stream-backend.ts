/**
 * The second upstream of some scenarios: echo, WebSocket, server-sent events, resets, and HTTP/2.
 *
 * Arguments: PORT HTTP2-PORT, and an address that is not loopback's where it is in a pod. HTTP/2 is with
 * prior knowledge (RFC 9113 3.3) and answers every request as the echo does. Says `open` when both ports
 * take connections. Paths are stream-paths.ts's.
 */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { benchBody } from './load-order.ts';
import { echoPath, resetPath } from './stream-paths.ts';

/** RFC 6455 1.3. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function answer(request: IncomingMessage, response: ServerResponse): void {
  const url = request.url ?? '';
  if (url === echoPath) {
    response.writeHead(200, { 'content-length': benchBody.length }).end(benchBody);
  } else if (url === resetPath) request.socket.resetAndDestroy();
  else void sendEvents(response, new URL(url, 'http://here').searchParams);
}

async function sendEvents(response: ServerResponse, about: URLSearchParams): Promise<void> {
  const gapMs = Number(about.get('gap'));
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  for (let left = Number(about.get('count')); left > 0; left--) {
    response.write(`data: ${process.hrtime.bigint()}\n\n`);
    if (left > 1) await sleep(gapMs);
  }
  response.end();
}

/** Echoes messages of up to 125 bytes, each in one frame. */
function upgrade(request: IncomingMessage, socket: Socket): void {
  const key = request.headers['sec-websocket-key'] ?? '';
  const accept = createHash('sha1').update(`${key}${acceptSuffix}`).digest('base64');
  socket.setNoDelay(true);
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      `Sec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  let held = Buffer.alloc(0);
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.end());
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    // RFC 6455 5.2: two bytes, four of the mask, the message.
    while (held.length >= 2 && held.length >= 6 + (held[1]! & 127)) {
      const length = held[1]! & 127;
      const frame = Buffer.alloc(2 + length);
      frame[0] = held[0]!;
      frame[1] = length;
      for (let at = 0; at < length; at++) frame[2 + at] = held[6 + at]! ^ held[2 + (at & 3)]!;
      held = held.subarray(6 + length);
      socket.write(frame);
    }
  });
}

const [port = '0', http2Port = '0', host = '127.0.0.1'] = process.argv.slice(2);
const server = createServer(
  { keepAlive: true, noDelay: true, keepAliveTimeout: 3_600_000 },
  answer,
);
server.on('upgrade', upgrade);
server.listen(Number(port), host);
const http2 = createHttp2Server((_request, response) => response.end(benchBody));
http2.listen(Number(http2Port), host);
await Promise.all([once(server, 'listening'), once(http2, 'listening')]);
process.stdout.write('open\n');
