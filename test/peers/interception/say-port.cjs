'use strict';
/**
 * An application of a pod: HTTP on 8080 and 9090 that says which port was asked, a line's echo on
 * 6000, and on 5353 a UDP socket that says who asked what.
 */

const dgram = require('node:dgram');
const http = require('node:http');
const net = require('node:net');

let open = 0;
const isOpen = () => {
  open += 1;
  if (open === 5) process.stdout.write('open\n');
};
for (const port of [8080, 9090]) {
  http.createServer((_, response) => response.end(`port ${port}\n`)).listen(port, '::', isOpen);
}
const echo = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.once('data', (chunk) => socket.end(`heard ${chunk}`));
});
echo.listen(6000, '::', isOpen);
for (const [kind, host] of [
  ['udp4', '0.0.0.0'],
  ['udp6', '::'],
]) {
  const socket = dgram.createSocket({ type: kind, ipv6Only: kind === 'udp6' });
  socket.on('message', (text, { address, port }) => {
    socket.send(`from ${address}: ${text}`, port, address);
  });
  socket.bind(5353, host, isOpen);
}
