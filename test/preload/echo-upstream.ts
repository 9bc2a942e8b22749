/**
 * The upstream of the preload's tests: it answers every request with the headers it received.
 *
 * It is what the tests believe: a join is right when the headers of the inbound request arrive here.
 * Replies come at uneven speed, so that bursts finish out of order.
 */

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  createSecureServer as createHttp2TlsServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import grpc from '@grpc/grpc-js';

export interface EchoUpstream {
  readonly port: number;
  readonly tlsPort: number;
  /** HTTP/2 with prior knowledge. */
  readonly http2Port: number;
  readonly http2TlsPort: number;
  /** `/echo/Unary` and `/echo/Stream`; messages are the metadata as JSON. */
  readonly grpcPort: number;
  readonly grpcTlsPort: number;
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

function echoStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on('error', () => {});
  served += 1;
  const reply = () => {
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(JSON.stringify(headers));
  };
  stream.resume();
  stream.on('end', () => {
    if (served % 3 === 0) setImmediate(reply);
    else reply();
  });
}

/** Text is a message; both methods answer with the metadata of the call, one message or two. */
function grpcServer(): grpc.Server {
  const asText = (message: string) => Buffer.from(message);
  const shape = {
    requestSerialize: asText,
    requestDeserialize: String,
    responseSerialize: asText,
    responseDeserialize: String,
    requestStream: false,
  };
  const server = new grpc.Server();
  server.addService(
    {
      unary: { ...shape, path: '/echo/Unary', responseStream: false },
      stream: { ...shape, path: '/echo/Stream', responseStream: true },
    },
    {
      unary: (
        call: grpc.ServerUnaryCall<string, string>,
        reply: (error: null, message: string) => void,
      ) => {
        served += 1;
        const answer = () => reply(null, JSON.stringify(call.metadata.getMap()));
        if (served % 3 === 0) setImmediate(answer);
        else answer();
      },
      stream: (call: grpc.ServerWritableStream<string, string>) => {
        call.write('first');
        call.write(JSON.stringify(call.metadata.getMap()));
        call.end();
      },
    } as unknown as grpc.UntypedServiceImplementation,
  );
  return server;
}

function listenGrpc(server: grpc.Server, credentials: grpc.ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, port) =>
      error === null ? resolve(port) : reject(error),
    );
  });
}

export async function startEchoUpstream(): Promise<EchoUpstream> {
  const tls = createTlsServer(tlsFiles, (request, response) => echo(tls, request, response));
  const plain = createServer((request, response) => echo(tls, request, response));
  plain.on('connect', (request, socket) => {
    socket.on('error', () => {});
    socket.end(`HTTP/1.1 200 OK\r\n\r\n${JSON.stringify(request.headers)}`);
  });
  const http2 = [createHttp2Server(), createHttp2TlsServer(tlsFiles)] as const;
  const sessions = new Set<ServerHttp2Session>();
  for (const server of http2) {
    server.on('stream', echoStream);
    server.on('session', (session) => {
      sessions.add(session);
      session.on('error', () => {}).on('close', () => sessions.delete(session));
    });
  }
  const grpcServers = [grpcServer(), grpcServer()] as const;
  const pair = [{ private_key: tlsFiles.key, cert_chain: tlsFiles.cert }];
  const [port, tlsPort, http2Port, http2TlsPort, grpcPort, grpcTlsPort] = await Promise.all([
    ...([plain, tls, http2[0], http2[1]] as const).map((server) => listen(server as Server)),
    listenGrpc(grpcServers[0], grpc.ServerCredentials.createInsecure()),
    listenGrpc(grpcServers[1], grpc.ServerCredentials.createSsl(null, pair)),
  ]);
  return {
    port: port!,
    tlsPort: tlsPort!,
    http2Port: http2Port!,
    http2TlsPort: http2TlsPort!,
    grpcPort: grpcPort!,
    grpcTlsPort: grpcTlsPort!,
    close: () => {
      for (const server of [plain, tls]) {
        server.close();
        server.closeAllConnections();
      }
      for (const server of http2) server.close();
      for (const session of sessions) session.destroy();
      for (const server of grpcServers) server.forceShutdown();
    },
  };
}
