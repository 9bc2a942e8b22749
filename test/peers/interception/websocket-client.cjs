'use strict';
/**
 * Talks with websocket-server.cjs by Node's own client: texts, a megabyte, a close with its reason.
 * Argument: URL.
 */

const { createHash } = require('node:crypto');

const socket = new WebSocket(process.argv[2]);
socket.binaryType = 'arraybuffer';
const say = (text) => process.stdout.write(`${text}\n`);
let answers = 0;

socket.addEventListener('open', () => {
  say('open');
  socket.send('one');
  socket.send('é and more');
  socket.send(Buffer.alloc(1 << 20, 'megabyte'));
});
socket.addEventListener('message', ({ data }) => {
  answers += 1;
  const isText = typeof data === 'string';
  say(isText ? data : createHash('sha256').update(Buffer.from(data)).digest('hex'));
  if (answers === 4) socket.close(3000, 'all said');
});
socket.addEventListener('close', ({ code, reason, wasClean }) => {
  say(`closed ${code} ${reason} ${wasClean}`);
});
socket.addEventListener('error', () => say('failed'));
