/**
 * The collector of the bench, a process of its own: takes OTLP/HTTP, JSON or protobuf, plain or gzip.
 *
 * It stands where a real collector would, so that exporting costs the arm what it costs; its own work
 * falls on the load's core and is kept small: bodies are put aside and counted when it is asked for
 * (or when 64 MiB have come together). Orders come over the process channel, answered one by one:
 * a CollectorMode, or 'count'. It stands back: when generator or backend want the core they have it.
 * Argument: PORT.
 */

import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setPriority } from 'node:os';
import type { CollectorMode, CollectorOrder } from '../stage/collector-control.ts';
import { type Export, SpanCount } from './span-count.ts';

const slowMs = 2000;
const priority = 10;
const port = Number(process.argv[2]);
const spans = new SpanCount();
let mode: CollectorMode = 'up';

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (chunk: Buffer) => parts.push(chunk));
  request.on('end', () => answer(request, response, parts));
});

function answer(request: IncomingMessage, response: ServerResponse, parts: Buffer[]): void {
  if (mode === 'busy') {
    response.writeHead(429).end();
    return;
  }
  const type: Export['type'] = request.headers['content-type']?.includes('json')
    ? 'json'
    : 'protobuf';
  const zipped = request.headers['content-encoding'] === 'gzip';
  // Metrics come to the same place, and hold no spans.
  if (request.url !== '/v1/metrics') spans.add({ type, zipped, parts });
  const accept = () => {
    response.setHeader('content-type', `application/${type === 'json' ? 'json' : 'x-protobuf'}`);
    response.end(type === 'json' ? '{}' : '');
  };
  if (mode === 'slow') setTimeout(accept, slowMs);
  else accept();
}

async function listen(): Promise<void> {
  if (server.listening) return;
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

async function carryOut(order: CollectorOrder): Promise<number> {
  if (order === 'count') return spans.total();
  mode = order;
  if (order !== 'dead') await listen();
  else if (server.listening) {
    server.closeAllConnections();
    server.close();
  }
  return 0;
}

/** A thread may have ended since it was listed. */
function standBack(thread: number): void {
  try {
    setPriority(thread, priority);
  } catch (error) {
    const { code } = (error as { info?: { code?: string } }).info ?? {};
    if (code !== 'ESRCH') throw error;
  }
}

process.on('disconnect', () => process.exit(0));
process.on('message', (order: CollectorOrder) => {
  carryOut(order).then((reply) => process.send!(reply));
});
// Linux keeps a priority for each thread; those that come later take over that of their maker.
for (const thread of readdirSync('/proc/self/task')) standBack(Number(thread));
await listen();
process.send!('ready');
