/**
 * The application of the matrix: one process with every server kind, each running every client
 * path. `POST /?path=NAME` runs that path and answers with what the upstream received.
 *
 * It knows nothing of tracing. Ports are ephemeral and told to the parent by IPC, together with the
 * packages that do not load on this Node.
 */
'use strict';

const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const unloadable = [];
function load(name) {
  try {
    return require(name);
  } catch (_error) {
    unloadable.push(name);
    return undefined;
  }
}

const { paths: httpPaths, packagePaths } = require('./http-clients.cjs');
const { http2Paths } = require('./http2-clients.cjs');
const { undiciPaths } = require('./undici-clients.cjs');
const paths = { ...httpPaths, ...packagePaths(load), ...undiciPaths(load), ...http2Paths(load) };

/** What a path may do with an inbound body that nobody has read yet. */
function openBody(request) {
  return {
    readBody: (done) => request.on('data', () => {}).on('end', done),
    pipeBody: (target) => request.pipe(target),
  };
}

/** Runs the path that the URL names and answers through `reply`, never with an error. */
async function run(requestUrl, incoming, reply) {
  const name = new URL(requestUrl, 'http://x').searchParams.get('path');
  try {
    reply(await paths[name](incoming));
  } catch (error) {
    reply({ failed: String(error.stack) });
  }
}

function handle(request, response) {
  run(request.url, openBody(request), (seen) => response.end(JSON.stringify(seen)));
}

const tls = {
  key: readFileSync(join(__dirname, 'localhost-key.pem')),
  cert: readFileSync(join(__dirname, 'localhost-cert.pem')),
};

const makers = {
  'node:http': () => http.createServer(handle).listen(0, '127.0.0.1'),
  'node:https': () => https.createServer(tls, handle).listen(0, '127.0.0.1'),
  express: () => {
    const express = load('express');
    if (express === undefined) return undefined;
    const app = express();
    app.use((request, response) => {
      run(request.url, openBody(request), (seen) => response.json(seen));
    });
    return app.listen(0, '127.0.0.1');
  },
  fastify: () => {
    const fastify = load('fastify');
    if (fastify === undefined) return undefined;
    const app = fastify();
    // Fastify has read the body before its handler runs.
    const readBody = { readBody: (done) => done(), pipeBody: (target) => target.end('body') };
    app.all('/', (request, reply) => run(request.url, readBody, (seen) => reply.send(seen)));
    app.listen({ port: 0, host: '127.0.0.1' });
    return app.server;
  },
  koa: () => {
    const Koa = load('koa');
    if (Koa === undefined) return undefined;
    const app = new Koa();
    app.use(async (context) => {
      await run(context.url, openBody(context.req), (seen) => {
        context.body = seen;
      });
    });
    return app.listen(0, '127.0.0.1');
  },
  'http2 stream': () => {
    const server = http2.createServer();
    server.on('stream', (stream, headers) => {
      run(headers[':path'], openBody(stream), (seen) => {
        stream.respond({ ':status': 200 });
        stream.end(JSON.stringify(seen));
      });
    });
    return server.listen(0, '127.0.0.1');
  },
  'http2 compat': () => http2.createServer(handle).listen(0, '127.0.0.1'),
  'http2 over TLS': () => http2.createSecureServer(tls, handle).listen(0, '127.0.0.1'),
};

/** The port of a gRPC server whose calls run the path that their message names. */
function listenGrpc() {
  const grpc = load('@grpc/grpc-js');
  if (grpc === undefined) return Promise.resolve(undefined);
  const asText = (message) => Buffer.from(message);
  const shape = { requestSerialize: asText, requestDeserialize: String, requestStream: false };
  const answers = { responseSerialize: asText, responseDeserialize: String, responseStream: false };
  const server = new grpc.Server();
  server.addService(
    { run: { path: '/app/Run', ...shape, ...answers } },
    {
      // The body has been read before a handler runs.
      run: (call, reply) => {
        const body = { readBody: (done) => done(), pipeBody: (target) => target.end('body') };
        const query = `/?path=${encodeURIComponent(call.request)}`;
        run(query, body, (seen) => reply(null, JSON.stringify(seen)));
      },
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

async function main() {
  const ports = {};
  const grpcPort = await listenGrpc();
  if (grpcPort !== undefined) ports.grpc = grpcPort;
  for (const [kind, make] of Object.entries(makers)) {
    const server = make();
    if (server === undefined) continue;
    // A connection that idles is not closed in the moment of its next use.
    server.keepAliveTimeout = 0;
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    ports[kind] = server.address().port;
  }
  process.on('disconnect', () => process.exit());
  process.send({ ports, paths: Object.keys(paths), unloadable, node: process.version });
}

main();
