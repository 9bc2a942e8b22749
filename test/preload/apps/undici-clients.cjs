/**
 * The client paths of the matrix that end in undici: the built-in fetch and the copies 6, 7 and 8.
 *
 * Pools are bounded to two connections, so that most requests of a burst wait in a queue: there a
 * request is built while another one's callback runs, which is where a context gets mistaken.
 */
'use strict';

const { Writable } = require('node:stream');

const origin = `http://127.0.0.1:${process.env.UPSTREAM_HTTP}`;
const url = `${origin}/echo`;

/** Undici's major version inside this Node, 0 when it has none. */
const builtIn = Number((process.versions.undici || '0').split('.')[0]);

/** Dispatches with the handler interface of undici 6 (also taken by 7). */
function dispatchOld(dispatcher, options = {}) {
  return new Promise((resolve, reject) => {
    let text = '';
    dispatcher.dispatch(
      { origin, path: '/echo', method: 'GET', ...options },
      {
        onConnect() {},
        onHeaders: () => true,
        onData(chunk) {
          text += chunk;
          return true;
        },
        onComplete: () => resolve(JSON.parse(text)),
        onError: reject,
      },
    );
  });
}

/** Dispatches with the handler interface of undici 7 and 8. */
function dispatchNew(dispatcher) {
  return new Promise((resolve, reject) => {
    let text = '';
    dispatcher.dispatch(
      { origin, path: '/echo', method: 'GET' },
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

function stream(undici, dispatcher) {
  let text = '';
  const sink = () =>
    new Writable({
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    });
  const sent = undici.stream(url, { method: 'GET', dispatcher }, sink);
  return sent.then(() => JSON.parse(text));
}

const readBody = async (sent) => (await sent).body.json();
const readFetched = async (sent) => (await sent).json();

function pathsOfCopy(undici, major) {
  const pool = new undici.Pool(origin, { connections: 2 });
  const client = new undici.Client(origin);
  const agent = new undici.Agent({ connections: 2 });
  const retrying = new undici.RetryAgent(new undici.Agent({ connections: 2 }));
  const get = { path: '/echo', method: 'GET' };
  const shared = { path: '/echo', method: 'GET' };
  const paths = {
    request: () => readBody(undici.request(url)),
    'request, bounded agent': () => readBody(undici.request(url, { dispatcher: agent })),
    'request, retry agent': () => readBody(undici.request(url, { dispatcher: retrying })),
    'bounded pool': () => readBody(pool.request({ ...get })),
    'bounded pool, one options object': () => readBody(pool.request(shared)),
    'one client': () => readBody(client.request(get)),
    stream: () => stream(undici),
    'stream, bounded pool': () => stream(undici, pool),
    dispatch: () => (major < 7 ? dispatchOld(pool) : dispatchNew(pool)),
    fetch: () => readFetched(undici.fetch(url)),
    'fetch, headers': () => readFetched(undici.fetch(url, { headers: { 'x-a': '1' } })),
    'fetch, bounded pool': () => readFetched(undici.fetch(url, { dispatcher: pool })),
    'fetch, bounded agent': () => readFetched(undici.fetch(url, { dispatcher: agent })),
  };
  if (major === 7) paths['dispatch, old handler'] = () => dispatchOld(pool);
  // Each release's built-in fetch speaks to dispatchers of its own kind.
  const isCompatible = major === builtIn || (major === 7 && builtIn === 6);
  if (isCompatible) {
    paths['built-in fetch, bounded pool'] = () => readFetched(fetch(url, { dispatcher: pool }));
    paths['built-in fetch, bounded agent'] = () => readFetched(fetch(url, { dispatcher: agent }));
  }
  const named = {};
  for (const [name, path] of Object.entries(paths)) named[`undici ${major}: ${name}`] = path;
  return named;
}

const builtInPaths = {
  fetch: () => readFetched(fetch(url)),
  'fetch, Request': () => readFetched(fetch(new Request(url, { headers: { 'x-a': '1' } }))),
  'fetch, body': () => readFetched(fetch(url, { method: 'POST', body: 'body' })),
  'fetch, redirected': () => readFetched(fetch(`${origin}/redirect`)),
  'fetch after fetch': async () => {
    await readFetched(fetch(url));
    return readFetched(fetch(url));
  },
  'fetch, own traceparent': () =>
    readFetched(fetch(url, { headers: { Traceparent: process.env.OWN_TRACEPARENT } })),
};

/** `load` returns a package, or undefined where it does not load on this Node. */
function undiciPaths(load) {
  const paths = {};
  if (builtIn > 0) Object.assign(paths, builtInPaths);
  for (const [major, name] of Object.entries({ 6: 'undici6', 7: 'undici7', 8: 'undici' })) {
    const undici = load(name);
    if (undici !== undefined) Object.assign(paths, pathsOfCopy(undici, Number(major)));
  }
  return paths;
}

module.exports = { undiciPaths };
