/**
 * The upstream of the preload's tests: it answers every request with the headers it received.
 *
 * It is what the tests believe: a join is right when the headers of the inbound request arrive here.
 * Replies come at uneven speed, so that bursts finish out of order.
 */

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

export interface EchoUpstream {
  readonly port: number;
  readonly tlsPort: number;
  close(): void;
}

/** Fixture key pair for `localhost` (see apps/README.md). */
export const tlsFiles = {
  key: readFileSync(join(import.meta.dirname, 'apps/localhost-key.pem')),
  cert: readFileSync(join(import.meta.dirname, 'apps/localhost-cert.pem')),
};

let served = 0;
/** Targets below /flaky that were refused once; the next try gets its echo. */
const tried = new Set<string>();

function echo(tls: Server, request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.on('end', () => {
    if (request.url === '/redirect') {
      response.writeHead(302, { location: '/echo' }).end();
      return;
    }
    if (request.url === '/redirect-tls') {
      const { port } = tls.address() as AddressInfo;
      response.writeHead(302, { location: `https://127.0.0.1:${port}/echo` }).end();
      return;
    }
    if (request.url?.startsWith('/flaky') && !tried.has(request.url)) {
      tried.add(request.url);
      response.writeHead(503).end();
      return;
    }
    served += 1;
    const reply = () => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(request.headers));
    };
    if (served % 3 === 0) setImmediate(reply);
    else reply();
  });
}

function listen(server: Server): Promise<number> {
  // An idle connection stays: closing one in the moment of its next use would look like a failure.
  server.keepAliveTimeout = 0;
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

export async function startEchoUpstream(): Promise<EchoUpstream> {
  const tls = createTlsServer(tlsFiles, (request, response) => echo(tls, request, response));
  const plain = createServer((request, response) => echo(tls, request, response));
  plain.on('connect', (request, socket) => {
    socket.on('error', () => {});
    socket.end(`HTTP/1.1 200 OK\r\n\r\n${JSON.stringify(request.headers)}`);
  });
  const [port, tlsPort] = await Promise.all([listen(plain), listen(tls)]);
  return {
    port,
    tlsPort,
    close: () => {
      for (const server of [plain, tls]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
}
