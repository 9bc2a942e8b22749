/**
 * Loaded into an arm on Node.js by `--import`: tells how much its main thread has allocated so far.
 *
 * Whoever connects to the local socket that $TRACECAR_BENCH_PROBE names is told the bytes that V8 has
 * allocated since the start, in digits, and the connection ends. Between two questions it costs nothing.
 * Only copies of an arm that are started for counting have it, never those that are measured.
 */

import { createServer } from 'node:net';
import { getHeapStatistics } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

/** Not in @types/node yet. */
function allocatedBytes(): number {
  const statistics = getHeapStatistics() as unknown as { readonly total_allocated_bytes: number };
  return statistics.total_allocated_bytes;
}

const path = process.env.TRACECAR_BENCH_PROBE;
if (isMainThread && path !== undefined) {
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(String(allocatedBytes()));
  })
    .listen(path)
    .unref();
}
