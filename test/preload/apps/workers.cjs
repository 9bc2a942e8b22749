/**
 * An application that serves from a worker: WORKER_KIND is `thread` (worker_threads) or `cluster`.
 */
'use strict';

const cluster = require('node:cluster');
const http = require('node:http');
const { isMainThread, parentPort, Worker } = require('node:worker_threads');

const url = `http://127.0.0.1:${process.env.UPSTREAM_HTTP}/echo`;
const isCluster = process.env.WORKER_KIND === 'cluster';

const paths = {
  fetch: async () => (await fetch(url)).text(),
  get: () =>
    new Promise((resolve) => {
      http.get(url, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(text));
      });
    }),
};

function serve(done) {
  const server = http.createServer(async (request, response) => {
    const name = new URL(request.url, 'http://x').searchParams.get('path');
    response.end(await paths[name]());
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1', () => done(server.address().port));
}

function announce(port) {
  process.on('disconnect', () => process.exit());
  const ports = { 'node:http': port };
  process.send({ ports, paths: Object.keys(paths), unloadable: [], node: process.version });
}

if (isCluster && cluster.isPrimary) {
  cluster.on('listening', (_worker, address) => announce(address.port));
  cluster.fork();
} else if (isCluster) {
  serve(() => {});
} else if (isMainThread) {
  new Worker(__filename).on('message', announce);
} else {
  serve((port) => parentPort.postMessage(port));
}
