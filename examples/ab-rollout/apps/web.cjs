'use strict';
/**
 * web: the service that people call. It asks reviews through the built-in fetch; nothing here knows
 * of tracing or a mesh.
 *
 * GET /?id=X answers a product page as JSON; GET /counts how many different ids came.
 */

const http = require('node:http');

const reviews = process.env.REVIEWS_URL;
const seen = new Set();

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://web');
  if (url.pathname === '/counts') {
    reply(response, 200, { distinct: seen.size });
    return;
  }
  const id = url.searchParams.get('id') ?? '';
  seen.add(id);
  try {
    const answer = await fetch(`${reviews}/reviews?id=${encodeURIComponent(id)}`);
    const review = await answer.json();
    if (!answer.ok) throw new Error(`reviews answered ${answer.status}: ${review.error}`);
    reply(response, 200, { id: review.id, product: 'The Comedy of Errors', review });
  } catch (error) {
    reply(response, 502, { id, error: error.message });
  }
});

function reply(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

server.listen(Number(process.env.PORT), process.env.HOST ?? '127.0.0.1', () => {
  console.log(`web listens on ${server.address().port}`);
});
