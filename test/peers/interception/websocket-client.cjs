'use strict';
/**
 * Talks with websocket-server.cjs by Node's own client, or by the undici package's: texts, a megabyte,
 * a close with its reason. Arguments: URL, `undici` for the latter.
 */

const { createHash } = require('node:crypto');

const [url, name] = process.argv.slice(2);
const Client = name === 'undici' ? require('undici').WebSocket : WebSocket;
const socket = new Client(url);
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
