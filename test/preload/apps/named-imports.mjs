/**
 * An application of ES modules with named imports taken at load. It runs as it is, and bundled and
 * minified with its own copies of undici 7 and grpc-js inside, where no module cache shows them.
 */

import { createServer, get, request as httpRequest } from 'node:http';
import { connect } from 'node:http2';
import { Client, credentials } from '@grpc/grpc-js';
import axios from 'axios';
import { Agent, Pool, request, fetch as undiciFetch } from 'undici7';

const origin = `http://127.0.0.1:${process.env.UPSTREAM_HTTP}`;
const url = `${origin}/echo`;
const pool = new Pool(origin, { connections: 2 });
const agent = new Agent({ connections: 2 });

function read(make) {
  return new Promise((resolve, reject) => {
    const sent = make(url, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    sent.on('error', reject).end();
  });
}

function dispatch() {
  return new Promise((resolve, reject) => {
    let text = '';
    pool.dispatch(
      { path: '/echo', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData(_controller, chunk) {
          text += chunk;
        },
        onResponseEnd: () => resolve(JSON.parse(text)),
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

const session = connect(`http://127.0.0.1:${process.env.UPSTREAM_HTTP2}`);
session.unref();
function send() {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': '/echo' });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    stream.on('end', () => resolve(JSON.parse(text))).on('error', reject);
  });
}

const channel = `127.0.0.1:${process.env.UPSTREAM_GRPC}`;
const client = new Client(channel, credentials.createInsecure());
/** Has no connection of its own yet: its first calls wait for one. */
const cold = new Client(channel, credentials.createInsecure(), {
  'grpc.use_local_subchannel_pool': 1,
});
function call(by) {
  return new Promise((resolve, reject) => {
    const done = (error, text) => (error ? reject(error) : resolve(JSON.parse(text)));
    by.makeUnaryRequest('/echo/Unary', (text) => Buffer.from(text), String, 'ask', done);
  });
}
function getInCallback() {
  return new Promise((resolve, reject) => {
    const done = (error) => (error ? reject(error) : read(get).then(resolve, reject));
    client.makeUnaryRequest('/echo/Unary', (text) => Buffer.from(text), String, 'ask', done);
  });
}

const paths = {
  http2: send,
  grpc: () => call(client),
  'grpc, waiting for a connection': () => call(cold),
  'http.get in the callback of a grpc call': getInCallback,
  get: () => read(get),
  request: () => read(httpRequest),
  axios: async () => (await axios.get(url)).data,
  'built-in fetch': async () => (await fetch(url)).json(),
  'undici fetch': async () => (await undiciFetch(url)).json(),
  'undici request, bounded agent': async () =>
    (await request(url, { dispatcher: agent })).body.json(),
  'undici fetch, bounded pool': async () => (await undiciFetch(url, { dispatcher: pool })).json(),
  'undici dispatch, bounded pool': dispatch,
};

const server = createServer(async (incoming, response) => {
  const name = new URL(incoming.url, 'http://x').searchParams.get('path');
  let seen;
  try {
    seen = await paths[name]();
  } catch (error) {
    seen = { failed: String(error.stack) };
  }
  response.end(JSON.stringify(seen));
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  process.on('disconnect', () => process.exit());
  const ports = { 'node:http': server.address().port };
  process.send({ ports, paths: Object.keys(paths), unloadable: [], node: process.version });
});
