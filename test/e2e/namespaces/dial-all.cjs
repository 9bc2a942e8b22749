'use strict';
/**
 * Dials and dials, four at a time, whoever listens or not: `node dial-all.cjs ADDRESS`. Each dial
 * is one GET; SIGTERM ends it with one line of JSON: refused, answered, and whatever else befell.
 */

const net = require('node:net');

const [address] = process.argv.slice(2);
const result = { refused: 0, answered: 0, lost: [] };
let isOver = false;
let isHeard = false;
process.on('SIGTERM', () => {
  isOver = true;
});

function dial() {
  return new Promise((resolve) => {
    const socket = net.connect({ host: address, port: 8080 });
    let text = '';
    let isConnected = false;
    socket.on('connect', () => {
      isConnected = true;
      socket.write('GET /dialled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    });
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', ({ code }) => {
      if (code === 'ECONNREFUSED' && !isConnected) result.refused += 1;
      else result.lost.push(code);
    });
    socket.on('close', (hadError) => {
      if (!hadError && /^HTTP\/1\.1 200 .*\r\n\r\n.*\n$/s.test(text)) {
        result.answered += 1;
        if (!isHeard) process.stdout.write('answered\n');
        isHeard = true;
      } else if (!hadError) result.lost.push(text === '' ? 'closed without an answer' : text);
      // Whoever starts meanwhile needs the core too.
      setTimeout(resolve, 1);
    });
  });
}

async function goOn() {
  while (!isOver) await dial();
}

process.stdout.write('dialling\n');
void Promise.all([goOn(), goOn(), goOn(), goOn()]).then(() => {
  process.stdout.write(`${JSON.stringify(result)}\n`);
});
