'use strict';
/**
 * ratings: the last of three small services. Plain node:http, nothing about tracing or a mesh.
 *
 * GET /ratings?id=X answers the stars of a product; GET /counts how many different ids came.
 */

const http = require('node:http');

const seen = new Set();

const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://ratings');
  if (url.pathname === '/counts') {
    reply(response, 200, { distinct: seen.size });
    return;
  }
  const id = url.searchParams.get('id') ?? '';
  seen.add(id);
  reply(response, 200, { id, stars: 4 });
});

function reply(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

server.listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`ratings listens on ${server.address().port}`);
});
