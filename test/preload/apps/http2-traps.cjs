/**
 * An application that does with HTTP/2 sessions and gRPC channels what mistakes contexts: queues that are
 * drained by another request's events, connections made by one request and used by all, background jobs.
 */
'use strict';

const http = require('node:http');
const http2 = require('node:http2');
const net = require('node:net');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const grpc = require('@grpc/grpc-js');
const got = require('got');

const port = Number(process.env.UPSTREAM_HTTP2);
const origin = `http://127.0.0.1:${port}`;
const tlsPort = process.env.UPSTREAM_HTTP2_TLS;
const insecure = { rejectUnauthorized: false };
const certificate = readFileSync(join(__dirname, 'localhost-cert.pem'));

function read(stream) {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    stream.on('end', () => resolve(JSON.parse(text))).on('error', reject);
  });
}

function kept(make) {
  let session;
  return () => {
    if (session === undefined || session.closed || session.destroyed) {
      session = make();
      session.on('error', () => {});
      session.unref();
    }
    return session;
  };
}
const tlsSession = kept(() => http2.connect(`https://127.0.0.1:${tlsPort}`, insecure));
/** Over a connection that is there already: what Node makes of it belongs to its first user. */
let ownSocket;
const handedSession = kept(() => http2.connect(origin, { createConnection: () => ownSocket }));

function getHttp1() {
  return new Promise((resolve, reject) => {
    const sent = http.get(`http://127.0.0.1:${process.env.UPSTREAM_HTTP}/echo`, (response) =>
      read(response).then(resolve, reject),
    );
    sent.on('error', reject);
  });
}

/** At most two streams at a time; the end of one sends the next. */
const pool = { session: kept(() => http2.connect(origin)), open: 0, waiting: [] };
function sendFromPool(done) {
  if (pool.open === 2) {
    pool.waiting.push(done);
    return;
  }
  pool.open += 1;
  const stream = pool.session().request({ ':path': '/echo' });
  stream.on('close', () => {
    pool.open -= 1;
    const next = pool.waiting.shift();
    if (next !== undefined) sendFromPool(next);
  });
  done(read(stream));
}

const address = `127.0.0.1:${process.env.UPSTREAM_GRPC}`;
const plain = grpc.credentials.createInsecure();
const client = new grpc.Client(address, plain);
const tlsClient = new grpc.Client(
  `127.0.0.1:${process.env.UPSTREAM_GRPC_TLS}`,
  grpc.credentials.createSsl(certificate, null, null, { checkServerIdentity: () => undefined }),
  { 'grpc.ssl_target_name_override': 'localhost' },
);
const write = (message) => Buffer.from(message);
function unary(by, metadata = new grpc.Metadata()) {
  return new Promise((resolve, reject) => {
    const done = (error, text) => (error ? reject(error) : resolve(JSON.parse(text)));
    by.makeUnaryRequest('/echo/Unary', write, String, 'ask', metadata, done);
  });
}

/** Nobody's request causes these, so nothing may be copied onto them or onto what follows them. */
const background = { sent: 0, leaked: 0 };
function note(seen) {
  background.sent += 1;
  if (seen.traceparent !== undefined || seen['x-request-id'] !== undefined) background.leaked += 1;
}
async function sendInBackground() {
  client.makeUnaryRequest('/echo/Unary', write, String, 'ask', (error, text) => {
    if (error) return;
    note(JSON.parse(text));
    getHttp1().then(note, () => {});
  });
  note(await read(pool.session().request({ ':path': '/echo' })));
  const byUndici = paths['undici over http2'];
  if (byUndici !== undefined) note(await byUndici());
}
setInterval(() => sendInBackground().catch(() => {}), 5).unref();

const paths = {
  'pool drained by the close of a stream': () => new Promise(sendFromPool),
  'session over a connection of the first caller': () =>
    read(handedSession().request({ ':path': '/echo' })),
  'in the connect event of a session': () =>
    new Promise((resolve, reject) => {
      const session = http2.connect(origin);
      session.on('error', reject).on('connect', () => {
        const stream = session.request({ ':path': '/echo' });
        stream.on('end', () => session.close());
        resolve(read(stream));
      });
    }),
  'got over http2': async () => {
    const url = `https://localhost:${tlsPort}/echo`;
    return got(url, { http2: true, https: insecure, retry: 0 }).json();
  },
  'TLS to an address': () => read(tlsSession().request({ ':path': '/echo' })),
  'grpc over TLS to an address': () => unary(tlsClient),
  grpc: () => unary(client),
  'what the caller gave': async () => {
    const headers = { ':path': '/echo' };
    const metadata = new grpc.Metadata();
    await Promise.all([read(pool.session().request(headers)), unary(client, metadata)]);
    return { names: Object.keys(headers).concat(Object.keys(metadata.getMap())).join() };
  },
  leaks: async () => ({ ...background }),
};

if (process.env.UNDICI_H2 !== undefined) {
  const { Agent, request } = require(process.env.UNDICI_H2);
  const agent = new Agent({ allowH2: true, connections: 1, connect: insecure });
  paths['undici over http2'] = async () => {
    const { body } = await request(`https://localhost:${tlsPort}/echo`, { dispatcher: agent });
    return body.json();
  };
}

const server = http2.createServer(async (request, response) => {
  const name = new URL(request.url, 'http://x').searchParams.get('path');
  let seen;
  try {
    seen = await paths[name]();
  } catch (error) {
    seen = { failed: String(error.stack) };
  }
  response.end(JSON.stringify(seen));
});
ownSocket = net.connect(port, '127.0.0.1', () => {
  ownSocket.unref();
  server.listen(0, '127.0.0.1', () => {
    process.on('disconnect', () => process.exit());
    const ports = { http2: server.address().port };
    process.send({ ports, paths: Object.keys(paths), unloadable: [], node: process.version });
  });
});
