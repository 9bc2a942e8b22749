'use strict';
/**
 * A service that asks another one, as Node.js programs do it: node:http, with the built-in fetch or
 * with http.get (CLIENT: fetch or http).
 *
 * PORT and UPSTREAM (a URL) come from the environment. COPY names the headers that its author copies
 * from what comes in to what goes out; nothing here traces.
 */

const http = require('node:http');

const upstream = process.env.UPSTREAM;
const copied = (process.env.COPY ?? '').split(',').filter((name) => name !== '');
const agent = new http.Agent({ keepAlive: true });

function get(url, headers) {
  return new Promise((resolve, reject) => {
    const sent = http.get(url, { headers, agent }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    sent.on('error', reject);
  });
}
const ask =
  process.env.CLIENT === 'http'
    ? get
    : async (url, headers) => (await fetch(url, { headers })).text();

const server = http.createServer(async (request, response) => {
  const headers = {};
  for (const name of copied) {
    if (request.headers[name] !== undefined) headers[name] = request.headers[name];
  }
  try {
    response.end(await ask(upstream + request.url, headers));
  } catch (error) {
    response.writeHead(502).end(String(error));
  }
});
server.listen(Number(process.env.PORT), '127.0.0.1', () => {
  console.log(`copier listens on ${server.address().port}`);
});
