/**
 * The arm `http-proxy`: the npm package as its documentation shows it, on the same Node.js as Tracecar.
 *
 * In its favour: an agent that keeps upstream connections alive (without one it sends
 * `Connection: close` and opens a connection per request), as many sockets as it likes, no
 * x-forwarded-* headers, no delay of small writes. Arguments: PORT BACKEND-PORT.
 */

import { Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';

/** The little of http-proxy's interface that is used; the package brings no types. */
interface HttpProxy {
  web(request: IncomingMessage, response: ServerResponse): void;
  on(event: 'error', listener: (error: Error, request: unknown, response: unknown) => void): void;
}
interface HttpProxyPackage {
  createProxyServer(options: { target: string; agent: Agent }): HttpProxy;
}

const [port, backend] = process.argv.slice(2).map(Number);
const { createProxyServer } = createRequire(import.meta.url)('http-proxy') as HttpProxyPackage;
const proxy = createProxyServer({
  target: `http://127.0.0.1:${backend}`,
  agent: new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY }),
});
proxy.on('error', (_error, _request, response) => {
  if (response !== null && typeof response === 'object' && 'destroy' in response) {
    (response as ServerResponse).destroy();
  }
});
const server = createServer({ noDelay: true, keepAliveTimeout: 0 }, (request, response) =>
  proxy.web(request, response),
);
server.listen({ port, host: '127.0.0.1', backlog: 4096 });
