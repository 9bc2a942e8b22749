/**
 * The client paths of the matrix over HTTP/2: node:http2 by kept and by own sessions, and @grpc/grpc-js.
 *
 * A call that waits for its connection is sent from an event of that connection, which belongs to
 * nobody's request or to another's: there a context gets mistaken.
 */
'use strict';

const http = require('node:http');
const http2 = require('node:http2');

const origin = `http://127.0.0.1:${process.env.UPSTREAM_HTTP2}`;
const tlsOrigin = `https://localhost:${process.env.UPSTREAM_HTTP2_TLS}`;
const insecure = { rejectUnauthorized: false };
const major = Number(process.versions.node.split('.')[0]);

function kept(address, options) {
  let session;
  return () => {
    if (session === undefined || session.closed || session.destroyed) {
      session = http2.connect(address, options);
      session.on('error', () => {});
      session.unref();
    }
    return session;
  };
}
const plainSession = kept(origin);
const tlsSession = kept(tlsOrigin, insecure);

/** Sends on a session; `onStream` may use the stream before its answer is read. */
function send(session, headers, onStream = (stream) => stream.end()) {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers);
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    stream.on('end', () => resolve(JSON.parse(text))).on('error', reject);
    onStream(stream);
  });
}
const get = { ':path': '/echo' };
const post = { ':path': '/echo', ':method': 'POST' };

function getHttp1() {
  return new Promise((resolve, reject) => {
    const request = http.get(`http://127.0.0.1:${process.env.UPSTREAM_HTTP}/echo`, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
  });
}

const paths = {
  http2: () => send(plainSession(), get),
  'http2, body': () => send(plainSession(), post, (stream) => stream.end('body')),
  'http2, body piped on': (incoming) =>
    send(plainSession(), post, (stream) => incoming.pipeBody(stream)),
  'http2, no headers': () => send(plainSession(), undefined),
  'http2 over TLS': () => send(tlsSession(), get),
  'http2, session of its own': async () => {
    const session = http2.connect(origin);
    try {
      return await send(session, get);
    } finally {
      session.close();
    }
  },
  'http2 after the inbound body': (incoming) =>
    new Promise((resolve, reject) => {
      incoming.readBody(() => send(plainSession(), get).then(resolve, reject));
    }),
  'http2 in the response of another': () =>
    new Promise((resolve, reject) => {
      const first = plainSession().request(get);
      first.on('response', () => send(plainSession(), get).then(resolve, reject));
      first.on('error', reject).resume();
    }),
  'http.get at the end of an http2 response': () =>
    new Promise((resolve, reject) => {
      const first = http2.connect(origin);
      const stream = first.request(get).on('error', reject).resume();
      stream.on('end', () => {
        first.close();
        getHttp1().then(resolve, reject);
      });
    }),
  'http2, three in parallel': async () => {
    const [first, ...others] = await Promise.all([
      send(plainSession(), get),
      send(tlsSession(), get),
      send(plainSession(), post),
    ]);
    const isOne = others.every((each) => each.traceparent === first.traceparent);
    return isOne ? first : { traceparent: 'mixed' };
  },
  'http2, own traceparent': () =>
    send(plainSession(), { ...get, TraceParent: process.env.OWN_TRACEPARENT }),
};
if (major >= 24) {
  paths['http2, headers in an array'] = () => send(plainSession(), [':path', '/echo', 'x-a', '1']);
}

function grpcPaths(grpc) {
  const address = `127.0.0.1:${process.env.UPSTREAM_GRPC}`;
  const plain = grpc.credentials.createInsecure();
  const client = new grpc.Client(address, plain);
  const { readFileSync } = require('node:fs');
  const root = readFileSync(require('node:path').join(__dirname, 'localhost-cert.pem'));
  const tlsClient = new grpc.Client(
    `localhost:${process.env.UPSTREAM_GRPC_TLS}`,
    grpc.credentials.createSsl(root, null, null, { checkServerIdentity: () => undefined }),
  );
  const write = (message) => Buffer.from(message);
  const unary = (by, metadata = new grpc.Metadata(), options = {}) =>
    new Promise((resolve, reject) => {
      const done = (error, text) => (error ? reject(error) : resolve(JSON.parse(text)));
      by.makeUnaryRequest('/echo/Unary', write, String, 'ask', metadata, options, done);
    });
  const shared = new grpc.Metadata();
  shared.set('x-a', '1');
  const own = new grpc.Metadata();
  own.set('traceparent', process.env.OWN_TRACEPARENT);
  /** Every ten calls meet a client that has no connection yet. */
  let left = 0;
  let cold;
  const coldClient = () => {
    if (left === 0) {
      cold = new grpc.Client(address, plain, { 'grpc.use_local_subchannel_pool': 1 });
      left = 10;
    }
    left -= 1;
    return cold;
  };
  const later = (options, next) =>
    new grpc.InterceptingCall(next(options), {
      start: (metadata, listener, go) => setTimeout(() => go(metadata, listener), 1),
    });
  return {
    grpc: () => unary(client),
    'grpc over TLS': () => unary(tlsClient),
    'grpc, one metadata for all': () => unary(client, shared),
    'grpc, waiting for a connection': () => unary(coldClient()),
    'grpc, started late by an interceptor': () =>
      unary(client, new grpc.Metadata(), { interceptors: [later] }),
    'grpc, stream of answers': () =>
      new Promise((resolve, reject) => {
        let text = '';
        const call = client.makeServerStreamRequest('/echo/Stream', write, String, 'ask');
        call.on('data', (message) => {
          text = message;
        });
        call.on('end', () => resolve(JSON.parse(text))).on('error', reject);
      }),
    'http.get in the callback of a grpc call': () =>
      new Promise((resolve, reject) => {
        const by = coldClient();
        by.makeUnaryRequest('/echo/Unary', write, String, 'ask', (error) => {
          if (error) reject(error);
          else getHttp1().then(resolve, reject);
        });
      }),
    'grpc, own traceparent': () => unary(client, own),
  };
}

/** `load` returns a package, or undefined where it does not load on this Node. */
function http2Paths(load) {
  const grpc = load('@grpc/grpc-js');
  return { ...paths, ...(grpc === undefined ? {} : grpcPaths(grpc)) };
}

module.exports = { http2Paths };
