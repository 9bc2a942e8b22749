'use strict';
/**
 * The application of a pod: HTTP on 8080, where a WebSocket's bytes are echoed, a greeting before any
 * byte on 3306, an echo on 6000. It says its name, so that a test sees who answered and how often.
 */

const http = require('node:http');
const net = require('node:net');

const [name, host = '::'] = process.argv.slice(2);
let answers = 0;

const web = http.createServer((request, response) => {
  answers += 1;
  const { traceparent = '' } = request.headers;
  response.setHeader('x-answers', answers);
  response.end(`${name} ${request.url} ${request.headers.host} ${traceparent}\n`);
});
web.on('upgrade', (_request, socket) => {
  socket.on('error', () => {});
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  );
  socket.pipe(socket);
});
const greeter = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.write(`${name} greets\n`);
  socket.once('data', (chunk) => socket.end(`${name} heard ${chunk}`));
});
const echo = net.createServer((socket) => {
  socket.on('error', () => {});
  socket.pipe(socket);
});
web.listen(8080, host, () => {
  greeter.listen(3306, host, () => {
    echo.listen(6000, host, () => process.stdout.write('open\n'));
  });
});
