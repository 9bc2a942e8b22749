/**
 * The arm `floor`: a simple proxy on Node.js's own streams, for what those cost. It is no lower bound: who
 * writes past the streams, as Tracecar does, may cost less.
 *
 * Raw sockets, one scan of the head, Connection and an old traceparent cut out, a new one added, a
 * pool of upstream connections. It is not a product: no limits, no timeouts, no chunked bodies, a head
 * that does not come in one piece ends the connection. Arguments: PORT BACKEND-PORT.
 */

import { connect, createServer, type Socket } from 'node:net';

interface Upstream {
  readonly socket: Socket;
  downstream: Socket | undefined;
  /** Body bytes still due; -1 before the head. */
  bodyLeft: number;
}

const [port, backend] = process.argv.slice(2).map(Number) as [number, number];
const headEnd = '\r\n\r\n';
const idle: Upstream[] = [];
let spans = 0;

createServer({ noDelay: true }, (downstream) => {
  let upstream: Upstream | undefined;
  downstream.on('data', (chunk: Buffer) => {
    const headBytes = chunk.indexOf(headEnd) + headEnd.length;
    if (headBytes < headEnd.length) {
      downstream.destroy();
      return;
    }
    const head = rewriteHead(chunk.latin1Slice(0, headBytes - 2));
    upstream = idle.pop() ?? dial();
    upstream.downstream = downstream;
    upstream.socket.write(head, 'latin1');
    if (chunk.length > headBytes) upstream.socket.write(chunk.subarray(headBytes));
  });
  downstream.on('error', () => downstream.destroy());
  downstream.on('close', () => {
    if (upstream?.downstream === downstream) upstream.socket.destroy();
  });
}).listen({ port, host: '127.0.0.1', backlog: 4096 });

/** The head up to its last field's CRLF, in; the whole head to send, out. */
function rewriteHead(head: string): string {
  let at = head.indexOf('\r\n') + 2;
  let kept = head.slice(0, at);
  while (at < head.length) {
    const lineEnd = head.indexOf('\r\n', at) + 2;
    if (!isDropped(head, at)) kept += head.slice(at, lineEnd);
    at = lineEnd;
  }
  spans = (spans + 1) >>> 0;
  const span = spans.toString(16).padStart(8, '0');
  return `${kept}traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b71${span}-01\r\n\r\n`;
}

function isDropped(head: string, start: number): boolean {
  const first = head.charCodeAt(start) | 32;
  if (first !== 99 && first !== 107 && first !== 116) return false;
  const name = head.slice(start, head.indexOf(':', start)).toLowerCase();
  return name === 'connection' || name === 'keep-alive' || name === 'traceparent';
}

function dial(): Upstream {
  const socket = connect({ port: backend, host: '127.0.0.1', noDelay: true });
  const upstream: Upstream = { socket, downstream: undefined, bodyLeft: -1 };
  socket.on('data', (chunk: Buffer) => relayAnswer(upstream, chunk));
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    const place = idle.indexOf(upstream);
    if (place >= 0) idle.splice(place, 1);
    upstream.downstream?.destroy();
  });
  return upstream;
}

function relayAnswer(upstream: Upstream, chunk: Buffer): void {
  const { downstream } = upstream;
  if (downstream === undefined) {
    upstream.socket.destroy();
    return;
  }
  if (upstream.bodyLeft < 0) {
    const headBytes = chunk.indexOf(headEnd) + headEnd.length;
    const head = chunk.latin1Slice(0, headBytes).toLowerCase();
    const lengthAt = head.indexOf('\r\ncontent-length:');
    const length = lengthAt < 0 ? 0 : Number.parseInt(head.slice(lengthAt + 17), 10);
    upstream.bodyLeft = length - (chunk.length - headBytes);
  } else upstream.bodyLeft -= chunk.length;
  downstream.write(chunk);
  if (upstream.bodyLeft > 0) return;
  upstream.bodyLeft = -1;
  upstream.downstream = undefined;
  idle.push(upstream);
}
