'use strict';
/**
 * A WebSocket server of its own few lines (RFC 6455): sends a greeting with its answer to the upgrade,
 * echoes every frame unmasked, answers a close with a close. Argument: port.
 */

const { createHash } = require('node:crypto');
const http = require('node:http');

const accept = (key) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');

function frame(first, payload) {
  const { length } = payload;
  const head = length < 126 ? Buffer.alloc(2) : Buffer.alloc(length < 65_536 ? 4 : 10);
  head[0] = first;
  if (length < 126) head[1] = length;
  else if (length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, payload]);
}

/** The first whole frame of `bytes`: its first byte, its payload and where it ends. */
function cut(bytes) {
  if (bytes.length < 2) return undefined;
  let length = bytes[1] & 0x7f;
  let at = 2;
  if (length === 126) {
    if (bytes.length < 4) return undefined;
    length = bytes.readUInt16BE(2);
    at = 4;
  } else if (length === 127) {
    if (bytes.length < 10) return undefined;
    length = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  const end = at + 4 + length;
  if (bytes.length < end) return undefined;
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, end));
  for (let index = 0; index < length; index += 1) payload[index] ^= mask[index & 3];
  return { first: bytes[0], payload, end };
}

function echo(socket, early) {
  let held = early;
  const take = () => {
    for (let found = cut(held); found !== undefined; found = cut(held)) {
      held = held.subarray(found.end);
      socket.write(frame(found.first, found.payload));
      if ((found.first & 0x0f) === 8) socket.end();
    }
  };
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    held = Buffer.concat([held, chunk]);
    take();
  });
  take();
}

const server = http.createServer((request, response) => {
  response.statusCode = 426;
  response.setHeader('Upgrade', 'websocket');
  response.end(`not a WebSocket: ${request.url}\n`);
});
server.on('upgrade', (request, socket, early) => {
  const fields = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept(request.headers['sec-websocket-key'])}`,
  ];
  const hello = frame(0x81, Buffer.from(`hello ${request.url}`));
  socket.write(Buffer.concat([Buffer.from(`${fields.join('\r\n')}\r\n\r\n`), hello]));
  echo(socket, early);
});
server.listen({ host: '::', port: Number(process.argv[2]) }, () => process.stdout.write('open\n'));
