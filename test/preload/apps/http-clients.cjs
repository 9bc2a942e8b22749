/**
 * The client paths of the matrix that end in node:http or node:https, by name.
 *
 * Each makes one outbound request in its own way and resolves to the headers that the upstream
 * received. No tracing code: what the upstream sees beyond the path's own headers comes from the
 * preload. `incoming.readBody` calls back when the inbound body has been read.
 */
'use strict';

const http = require('node:http');
const https = require('node:https');
const { request: destructuredRequest } = require('node:http');
const { EventEmitter } = require('node:events');
const fs = require('node:fs');
const zlib = require('node:zlib');

const port = Number(process.env.UPSTREAM_HTTP);
const tlsPort = Number(process.env.UPSTREAM_HTTPS);
const url = `http://127.0.0.1:${port}/echo`;
const bounded = new http.Agent({ keepAlive: true, maxSockets: 2 });
const tls = { host: 'localhost', port: tlsPort, path: '/echo', rejectUnauthorized: false };
const boundedTls = new https.Agent({ keepAlive: true, maxSockets: 2 });

/** Reads a response's JSON by its events, as plain code does. */
function readJson(response) {
  return new Promise((resolve, reject) => {
    let text = '';
    response.on('data', (chunk) => {
      text += chunk;
    });
    response.on('end', () => resolve(JSON.parse(text)));
    response.on('error', reject);
  });
}

/** Sends with a function like http.request; `write` finishes the request. */
function send(options, write = (request) => request.end(), make = http.request) {
  return new Promise((resolve, reject) => {
    const request = make(options, (response) => readJson(response).then(resolve, reject));
    request.on('error', reject);
    write(request);
  });
}

const plain = {
  'http.get': () => send(url, () => {}, http.get),
  'http.request, bounded keep-alive agent': () => send({ port, agent: bounded }),
  'http.request, no agent': () => send({ port, agent: false }),
  'http.request, destructured early': () => send({ port }, undefined, destructuredRequest),
  'http.request, body': () =>
    send({ port, method: 'POST', headers: { 'content-type': 'a/b' } }, (request) => {
      request.write('one');
      request.end('two');
    }),
  'http.request, flat array of headers': () => send({ port, headers: ['Host', 'x', 'X-A', '1'] }),
  'http.request, array of pairs': () =>
    send({
      port,
      headers: [
        ['Host', 'x'],
        ['X-A', '1'],
      ],
    }),
  'http.request, flushHeaders': () =>
    send({ port, method: 'POST' }, (request) => {
      request.flushHeaders();
      setImmediate(() => request.end('late'));
    }),
  'http.request, Expect': () =>
    send({ port, method: 'POST', headers: { Expect: '100-continue' } }, (request) => {
      request.on('continue', () => request.end('body'));
    }),
  'new http.ClientRequest': () =>
    new Promise((resolve, reject) => {
      const request = new http.ClientRequest(url);
      request.on('response', (response) => readJson(response).then(resolve, reject));
      request.on('error', reject).end();
    }),
  'https.request': () => send(tls, undefined, https.request),
  'https.request, bounded agent': () =>
    send({ ...tls, agent: boundedTls }, undefined, https.request),
  'https.get, flat array of headers': () =>
    send({ ...tls, headers: ['Host', 'localhost'] }, () => {}, https.get),
};

const after = {
  'after the inbound body': (incoming) =>
    new Promise((resolve, reject) => {
      incoming.readBody(() => send({ port, agent: bounded }).then(resolve, reject));
    }),
  'inbound body piped on': (incoming) =>
    send({ port, method: 'POST' }, (request) => incoming.pipeBody(request)),
  'after timers': async () => {
    await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setImmediate(resolve));
    await null;
    return send(url);
  },
  'after fs and zlib': async () => {
    await fs.promises.readFile(__filename);
    await new Promise((resolve) => zlib.gzip('x', resolve));
    return send(url);
  },
  'after an emitter': () =>
    new Promise((resolve, reject) => {
      const emitter = new EventEmitter();
      emitter.on('go', () => send(url).then(resolve, reject));
      setTimeout(() => emitter.emit('go'), 1);
    }),
  "after a bounded agent's response": () =>
    new Promise((resolve, reject) => {
      http.get({ port, agent: bounded }, (response) => {
        response.resume();
        response.on('end', () => send({ port, agent: bounded }).then(resolve, reject));
      });
    }),
  'after a refused connection': () =>
    new Promise((resolve, reject) => {
      const refused = http.get({ port: 1, host: '127.0.0.1' });
      refused.on('error', () => send(url).then(resolve, reject));
    }),
  'three in parallel': async () => {
    const [first, ...others] = await Promise.all([
      send(url),
      send({ port, agent: bounded }),
      send(url),
    ]);
    const isOne = others.every((each) => each.traceparent === first.traceparent);
    return isOne ? first : { traceparent: 'mixed' };
  },
};

/** Requests whose headers the application decides, or whose caller nobody can know. */
const lateJobs = [];
setInterval(() => {
  const job = lateJobs.shift();
  if (job !== undefined) send(url).then(job);
}, 1).unref();
const untouched = {
  'own traceparent': () => send({ port, headers: { TraceParent: process.env.OWN_TRACEPARENT } }),
  'own traceparent in an array': () =>
    send({ port, headers: ['Host', 'x', 'Traceparent', process.env.OWN_TRACEPARENT] }),
  'own b3': () => send({ port, headers: { b3: '0' } }),
  'own x-request-id': () => send({ port, headers: { 'X-Request-Id': 'own' } }),
  'hand-made queue drained by a timer': () => new Promise((resolve) => lateJobs.push(resolve)),
};

/** Paths of packages, left out where the package does not load on this Node. */
function packagePaths(load) {
  const paths = {};
  const add = (name, packageName, make) => {
    const loaded = load(packageName);
    if (loaded !== undefined) paths[name] = make(loaded);
  };
  add('axios', 'axios', (axios) => async () => (await axios.get(url)).data);
  add('axios, redirected', 'axios', (axios) => async () => {
    return (await axios.get(url.replace('/echo', '/redirect'))).data;
  });
  add('got', 'got', (got) => () => got(url).json());
  add('got, bounded agent', 'got', (got) => () => got(url, { agent: { http: bounded } }).json());
  add('node-fetch', 'node-fetch', (nodeFetch) => async () => (await nodeFetch(url)).json());
  add('superagent', 'superagent', (superagent) => async () => (await superagent.get(url)).body);
  add('needle', 'needle', (needle) => async () => (await needle('get', url)).body);
  return paths;
}

module.exports = { paths: { ...plain, ...after, ...untouched }, packagePaths };
