/**
 * Ways in which a request's context gets lost or mistaken, each as a path of one node:http server.
 *
 * `POST /?path=NAME` runs one and answers with what the upstream received. While it runs, a
 * background job sends through the same pools; `leaks` tells how many of its requests carried
 * anybody's headers. UNDICI lists the copies to load (all by default); GLOBAL_DISPATCHER names the
 * one to replace the global dispatcher with.
 */
'use strict';

const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const tls = require('node:tls');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');

const port = Number(process.env.UPSTREAM_HTTP);
const tlsPort = Number(process.env.UPSTREAM_HTTPS);
const origin = `http://127.0.0.1:${port}`;
const url = `${origin}/echo`;
const copies = {};
const wanted = process.env.UNDICI === undefined ? '678' : process.env.UNDICI;
for (const [major, name] of Object.entries({ 6: 'undici6', 7: 'undici7', 8: 'undici' })) {
  if (!wanted.includes(major)) continue;
  try {
    copies[major] = require(name);
  } catch (_error) {
    // Not on this Node.
  }
}
const replacing = copies[process.env.GLOBAL_DISPATCHER];
if (replacing !== undefined) replacing.setGlobalDispatcher(new replacing.Agent({ connections: 2 }));

const bounded = new http.Agent({ keepAlive: true, maxSockets: 2 });
const readFetched = async (sent) => (await sent).json();
const readBody = async (sent) => (await sent).body.json();

function get(options, make = http.get) {
  return new Promise((resolve, reject) => {
    const request = make(options, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(JSON.parse(text)));
    });
    request.on('error', reject);
  });
}

/** A database driver in small: two connections, made by the first callers, callbacks from events. */
class Driver {
  constructor(connect) {
    this.connect = connect;
    this.links = [];
    this.waiting = [];
  }

  query(done) {
    const idle = this.links.find((link) => link.done === undefined);
    if (idle === undefined && this.links.length === 2) {
      this.waiting.push(done);
      return;
    }
    const link = idle || this.open();
    link.done = done;
    link.socket.write('?');
  }

  open() {
    const link = { socket: this.connect(), done: undefined };
    this.links.push(link);
    link.socket.unref();
    link.socket.on('data', () => {
      const done = link.done;
      link.done = this.waiting.shift();
      if (link.done !== undefined) link.socket.write('?');
      done();
    });
    return link;
  }
}
const answer = (socket) => socket.on('data', (line) => socket.write(line));
const keys = {
  key: readFileSync(join(__dirname, 'localhost-key.pem')),
  cert: readFileSync(join(__dirname, 'localhost-cert.pem')),
};
const database = net.createServer(answer).listen(0, '127.0.0.1').unref();
const tlsDatabase = tls.createServer(keys, answer).listen(0, '127.0.0.1').unref();
const driver = new Driver(() => net.connect(database.address().port, '127.0.0.1'));
const tlsDriver = new Driver(() =>
  tls.connect({ port: tlsDatabase.address().port, host: '127.0.0.1', rejectUnauthorized: false }),
);

let lateSeen;
const calls = new Map();
let callNumber = 0;
/** One handler object for all requests, in the form of undici 6; replies name their call. */
const sharedHandler = {
  onConnect() {},
  onHeaders: () => true,
  onData(chunk) {
    const seen = JSON.parse(String(chunk));
    calls.get(seen['x-call'])(seen);
    return true;
  },
  onComplete() {},
  onError() {},
};

const paths = {
  'callback of a pooled connection': () =>
    new Promise((resolve, reject) => driver.query(() => get(url).then(resolve, reject))),
  'callback of a pooled TLS connection': () =>
    new Promise((resolve, reject) => tlsDriver.query(() => get(url).then(resolve, reject))),
  'made here, written by the callback of a pooled connection': () =>
    new Promise((resolve, reject) => {
      const request = http.request({ port, path: '/echo', method: 'POST' }, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(JSON.parse(text)));
      });
      request.on('error', reject);
      driver.query(() => request.end('body'));
    }),
  'https to an address': () =>
    get({ host: '127.0.0.1', port: tlsPort, rejectUnauthorized: false }, https.get),
  CONNECT: () =>
    new Promise((resolve, reject) => {
      const request = http.request({ port, method: 'CONNECT', path: 'example.com:443' });
      request.on('connect', (_response, socket, head) => {
        socket.destroy();
        resolve(JSON.parse(String(head)));
      });
      request.on('error', reject).end();
    }),
  'own view of the headers': () =>
    new Promise((resolve) => {
      const request = http.get(url, (response) => response.resume());
      request.on('close', () => resolve({ names: request.getHeaderNames().join() }));
    }),
  'start late work': async (response) => {
    lateSeen = new Promise((resolve, reject) => {
      response.on('close', () => setTimeout(() => get(url).then(resolve, reject), 20));
    });
    return {};
  },
  'result of late work': () => lateSeen,
  get: () => get(url),
  fetch: () => readFetched(fetch(url)),
  leaks: async () => ({ ...background }),
};

for (const [major, undici] of Object.entries(copies)) {
  const named = (name) => `undici ${major}: ${name}`;
  const pool = new undici.Pool(origin, { connections: 2 });
  const pass = (dispatch) => (options, handler) => dispatch(options, handler);
  // Composed before any request, hence before the preload has met this copy.
  const composedPool = new undici.Pool(origin, { connections: 2 }).compose(pass);
  const composedAgent = new undici.Agent({ connections: 2 }).compose(pass);
  const insecure = new undici.Agent({ connections: 2, connect: { rejectUnauthorized: false } });
  paths[named('fetch, default dispatcher')] = () => readFetched(undici.fetch(url));
  paths[named('request, default dispatcher')] = () => readBody(undici.request(url));
  paths[named('fetch, composed pool')] = () =>
    readFetched(undici.fetch(url, { dispatcher: composedPool }));
  paths[named('request, composed pool')] = () =>
    readBody(composedPool.request({ path: '/echo', method: 'GET' }));
  paths[named('request, composed agent')] = () =>
    readBody(undici.request(url, { dispatcher: composedAgent }));
  paths[named('fetch over TLS')] = () =>
    readFetched(undici.fetch(`https://localhost:${tlsPort}/echo`, { dispatcher: insecure }));
  paths[named('fetch redirected to an address over TLS')] = () =>
    readFetched(undici.fetch(`${origin}/redirect-tls`, { dispatcher: insecure }));
  const retrying = new undici.RetryAgent(new undici.Agent({ connections: 2 }), {
    minTimeout: 1,
    timeoutFactor: 1,
  });
  paths[named('request, retried')] = () =>
    readBody(undici.request(`${origin}/flaky?${callNumber++}`, { dispatcher: retrying }));
  paths[named('in a callback of dispatch over TLS')] = () =>
    new Promise((resolve, reject) => {
      const finish = () => get(url).then(resolve, reject);
      insecure.dispatch(
        { origin: `https://localhost:${tlsPort}`, path: '/echo', method: 'GET' },
        {
          onConnect() {},
          onHeaders: () => true,
          onData: () => true,
          onComplete: finish,
          onError: reject,
          onRequestStart() {},
          onResponseStart() {},
          onResponseData() {},
          onResponseEnd: finish,
          onResponseError: (_controller, error) => reject(error),
        },
      );
    });
  if (major !== '8') {
    paths[named('one handler for many')] = () =>
      new Promise((resolve) => {
        const call = String(callNumber++);
        calls.set(call, resolve);
        pool.dispatch({ path: '/echo', method: 'GET', headers: { 'x-call': call } }, sharedHandler);
      });
  }
  paths[named('bounded pool')] = () => readFetched(undici.fetch(url, { dispatcher: pool }));
}

/** The background job: nobody's request causes it, so nothing may be copied onto its requests. */
const background = { sent: 0, leaked: 0 };
async function sendInBackground() {
  const sent = [get({ port, agent: bounded }), get({ port, agent: bounded })];
  for (const undici of Object.values(copies)) {
    const pool = undici.sharedWithBackground;
    sent.push(readFetched(undici.fetch(url, { dispatcher: pool })));
    sent.push(readBody(pool.request({ path: '/echo', method: 'GET' })));
  }
  for (const seen of await Promise.all(sent)) {
    background.sent += 1;
    if (seen.traceparent !== undefined || seen['x-request-id'] !== undefined)
      background.leaked += 1;
  }
}
for (const undici of Object.values(copies)) {
  undici.sharedWithBackground = new undici.Pool(origin, { connections: 2 });
}
setInterval(sendInBackground, 5).unref();
paths['beside the background job'] = async () => {
  const sent = [get({ port, agent: bounded })];
  for (const undici of Object.values(copies)) {
    sent.push(readFetched(undici.fetch(url, { dispatcher: undici.sharedWithBackground })));
  }
  const seen = await Promise.all(sent);
  const isOne = seen.every((each) => each.traceparent === seen[0].traceparent);
  return isOne ? seen[0] : { traceparent: 'mixed' };
};

const server = http.createServer(async (request, response) => {
  const name = new URL(request.url, 'http://x').searchParams.get('path');
  let seen;
  try {
    seen = await paths[name](response);
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
