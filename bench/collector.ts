/**
 * The collector of the bench, a process of its own: takes OTLP/HTTP JSON, counts spans, keeps nothing.
 *
 * It stands where a real collector would, so that exporting costs the arm what it costs; its own work
 * falls on the load's core. GET /spans answers how many spans have come.
 * Argument: PORT.
 */

import { createServer } from 'node:http';
import { gunzipSync } from 'node:zlib';

let spans = 0;

createServer((request, response) => {
  if (request.method === 'GET') {
    response.end(String(spans));
    return;
  }
  const parts: Buffer[] = [];
  request.on('data', (chunk: Buffer) => parts.push(chunk));
  request.on('end', () => {
    const packed = Buffer.concat(parts);
    const zipped = request.headers['content-encoding'] === 'gzip';
    const text = (zipped ? gunzipSync(packed) : packed).toString('latin1');
    spans += text.split('"spanId"').length - 1;
    response.setHeader('content-type', 'application/json');
    response.end('{}');
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
