'use strict';
/**
 * reviews: the service in the middle, in two versions (VERSION=v1 or v2). It asks ratings through
 * undici's `request`; nothing here knows of tracing or a mesh.
 *
 * GET /reviews?id=X answers a review with its stars; GET /counts how many different ids came.
 */

const http = require('node:http');
const { request: ask } = require('undici');

const version = process.env.VERSION;
const ratings = process.env.RATINGS_URL;
const seen = new Set();

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://reviews');
  if (url.pathname === '/counts') {
    reply(response, 200, { distinct: seen.size });
    return;
  }
  const id = url.searchParams.get('id') ?? '';
  seen.add(id);
  try {
    const answer = await ask(`${ratings}/ratings?id=${encodeURIComponent(id)}`);
    const rating = await answer.body.json();
    if (answer.statusCode !== 200) throw new Error(`ratings answered ${answer.statusCode}`);
    reply(response, 200, { id: rating.id, version, text: 'A fine book.', stars: rating.stars });
  } catch (error) {
    reply(response, 502, { id, version, error: error.message });
  }
});

function reply(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

server.listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`reviews ${version} listens on ${server.address().port}`);
});
