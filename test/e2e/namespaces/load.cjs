'use strict';
/**
 * Callers that go on and on: `node load.cjs ADDRESS KIND...`, each kind four at a time, until SIGTERM or
 * until nobody listens any more. Then one line of JSON: what was refused, done and lost.
 *
 *   http    GETs on a kept connection, as long as no answer says `Connection: close`
 *   opaque  40 lines to an echo, one after the other, each echoed before the next
 *   socket  the same through a WebSocket's upgrade
 *
 * A conversation that was accepted and did not come to its end is lost, whatever ended it.
 */

const net = require('node:net');

const [address, ...kinds] = process.argv.slice(2);
const callers = 4;
const lines = 40;
const pauseMs = 5;
const result = { refused: 0, done: {}, lost: [] };
let isOver = false;
process.on('SIGTERM', () => {
  isOver = true;
});
process.on('SIGUSR2', () => process.stdout.write(`${JSON.stringify({ sofar: result })}\n`));

/** A connection with the text that has come; `until` resolves when `holds`, rejects at its end. */
function open(port) {
  const socket = net.connect({ host: address, port });
  const connection = { socket, text: '', isConnected: false };
  let waiting;
  let ended;
  const look = () => {
    if (waiting === undefined) return;
    const { holds, resolve, reject } = waiting;
    if (holds()) resolve();
    else if (ended !== undefined) reject(new Error(ended));
    else return;
    waiting = undefined;
  };
  const end = (why) => {
    ended ??= why;
    look();
  };
  socket.setNoDelay(true);
  socket.on('connect', () => {
    connection.isConnected = true;
    look();
  });
  socket.on('data', (chunk) => {
    connection.text += chunk.toString('latin1');
    look();
  });
  socket.on('error', ({ code }) => end(code));
  socket.on('end', () => end('FIN'));
  socket.on('close', () => end('closed'));
  connection.until = (holds) =>
    new Promise((resolve, reject) => {
      waiting = { holds, resolve, reject };
      look();
    });
  return connection;
}

const pause = () => new Promise((resolve) => setTimeout(resolve, pauseMs));

/** To its end: our FIN and theirs. */
async function finish(connection) {
  connection.socket.end();
  await connection.until(() => connection.socket.readableEnded);
}

async function echo(connection) {
  for (let line = 0; line < lines; line += 1) {
    connection.text = '';
    connection.socket.write(`\0line ${line}\n`);
    await connection.until(() => connection.text === `\0line ${line}\n`);
    await pause();
  }
  await finish(connection);
}

const conversations = {
  http: {
    port: 8080,
    async talk(connection) {
      for (;;) {
        connection.text = '';
        connection.socket.write('GET /load HTTP/1.1\r\nHost: load\r\n\r\n');
        await connection.until(() => /\r\n\r\n.*\n$/s.test(connection.text));
        if (!connection.text.startsWith('HTTP/1.1 200 ')) throw new Error(connection.text);
        result.done.http = (result.done.http ?? 0) + 1;
        if (isOver || /\r\nconnection: close\r\n/i.test(connection.text)) break;
        await pause();
      }
      connection.socket.destroy();
    },
  },
  opaque: { port: 6000, talk: echo },
  socket: {
    port: 8080,
    async talk(connection) {
      connection.socket.write(
        'GET /socket HTTP/1.1\r\nHost: load\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
      await connection.until(() => connection.text.includes('\r\n\r\n'));
      if (!connection.text.startsWith('HTTP/1.1 101 ')) throw new Error(connection.text);
      await echo(connection);
    },
  },
};

async function call(kind) {
  const { port, talk } = conversations[kind];
  while (!isOver) {
    const connection = open(port);
    try {
      await connection.until(() => connection.isConnected);
    } catch ({ message }) {
      if (message !== 'ECONNREFUSED') result.lost.push(`${kind}: connect: ${message}`);
      result.refused += 1;
      return;
    }
    try {
      await talk(connection);
      if (kind !== 'http') result.done[kind] = (result.done[kind] ?? 0) + 1;
    } catch ({ message }) {
      result.lost.push(`${kind}: ${message}`);
    }
    connection.socket.destroy();
  }
}

process.stdout.write('calling\n');
void Promise.all(kinds.flatMap((kind) => Array.from({ length: callers }, () => call(kind)))).then(
  () => {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    process.exit(0);
  },
);
