'use strict';
/**
 * One end of scripted TCP conversations, for a pod: sends and waits as told, then prints what it got.
 *
 *   node script-peer.cjs serve CASES          listens on the port of each case
 *   node script-peer.cjs call CASES ADDRESS   dials each case's port once
 *
 * CASES is a JSON file: { name, port, client: Step[], server: Step[] }[]; a step is { send: latin1 },
 * { until: text }, { finish: true } (FIN), { reset: true } or { end: true } (waits for the other's
 * end). Prints a line of JSON for each conversation: name, received (latin1), ending, stuck.
 */

const { readFileSync } = require('node:fs');
const net = require('node:net');

const [role, file, address] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(file, 'utf8'));
/** A step that waits longer has failed: the result says which. */
const guardMs = 4_000;

async function play(socket, steps) {
  let received = '';
  let taken = 0;
  let ending = 'open';
  let wake = () => {};
  socket.setNoDelay(true);
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    wake();
  });
  socket.on('end', () => {
    if (ending === 'open') ending = 'fin';
    wake();
  });
  socket.on('error', (error) => {
    ending = error.code === 'ECONNRESET' ? 'reset' : error.code;
    wake();
  });
  const isMet = ({ until, end }) => {
    if (end) return ending !== 'open';
    const at = received.indexOf(until, taken);
    if (at === -1) return false;
    taken = at + until.length;
    return true;
  };
  let stuck;
  for (const [index, step] of steps.entries()) {
    if (step.send !== undefined) socket.write(Buffer.from(step.send, 'latin1'));
    else if (step.finish) socket.end();
    else if (step.reset) socket.resetAndDestroy();
    else {
      const late = Date.now() + guardMs;
      while (!isMet(step) && Date.now() < late && (step.end || ending === 'open')) {
        const timer = setTimeout(() => wake(), late - Date.now());
        await new Promise((settle) => {
          wake = settle;
        });
        clearTimeout(timer);
      }
      const isHere = step.end ? ending !== 'open' : received.indexOf(step.until) !== -1;
      if (!isHere) {
        stuck = index;
        break;
      }
    }
  }
  return { received, ending, stuck };
}

const tell = (name, result) => process.stdout.write(`${JSON.stringify({ name, ...result })}\n`);

if (role === 'serve') {
  let open = 0;
  for (const { name, port, server: steps } of cases) {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      play(socket, steps).then((result) => {
        tell(name, result);
        if (result.stuck !== undefined) socket.destroy();
      });
    });
    server.listen({ host: '::', port }, () => {
      open += 1;
      if (open === cases.length) process.stdout.write('open\n');
    });
  }
} else {
  const calls = cases.map(({ name, port, client: steps }) => {
    const socket = net.connect({ host: address, port, allowHalfOpen: true });
    return play(socket, steps).then((result) => {
      tell(name, result);
      socket.destroy();
    });
  });
  Promise.all(calls).then(() => process.stdout.write('done\n'));
}
