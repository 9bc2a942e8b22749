/**
 * An application that gets in the preload's way, as HOSTILE says, and reports what it notices.
 *
 * `patch`: wraps what tracing agents wrap. `freeze`: freezes prototypes. `break`: breaks built-ins
 * after start. `domain`: loads node:domain, which replaces EventEmitter.prototype.emit.
 */
'use strict';

const { EventEmitter } = require('node:events');
const http = require('node:http');
const net = require('node:net');

const url = `http://127.0.0.1:${process.env.UPSTREAM_HTTP}/echo`;
const wrapped = { emits: 0, requests: 0 };
const uncaught = [];

function wrap(owner, name, count) {
  const original = owner[name];
  owner[name] = function wrapper(...args) {
    wrapped[count] += 1;
    return original.apply(this, args);
  };
}

const modes = {
  patch() {
    wrap(http, 'request', 'requests');
    wrap(http, 'get', 'requests');
    wrap(EventEmitter.prototype, 'emit', 'emits');
    wrap(http.Server.prototype, 'emit', 'emits');
    wrap(http.ClientRequest.prototype, '_storeHeader', 'emits');
    globalThis.fetch = (
      (original) =>
      (...args) =>
        original(...args)
    )(fetch);
  },
  freeze() {
    // Node itself cannot bear frozen emitters and responses; these it can.
    const frozen = [http.IncomingMessage, http.ClientRequest, http.Server, http.Agent, WeakMap]
      .concat(net.Socket, net.Server)
      .map((each) => each.prototype);
    let each = require('undici7').Pool.prototype;
    while (each !== EventEmitter.prototype) {
      frozen.push(each);
      each = Object.getPrototypeOf(each);
    }
    frozen.forEach(Object.freeze);
  },
  break() {
    const fail = () => {
      throw new Error('broken by the application');
    };
    WeakMap.prototype.get = fail;
    WeakSet.prototype.has = fail;
    Reflect.apply = fail;
    process.uptime = fail;
    Array.prototype.some = fail;
  },
  domain() {
    require('node:domain');
  },
};

function get() {
  return new Promise((resolve, reject) => {
    http
      .get(url, (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve(JSON.parse(text)));
      })
      .on('error', reject);
  });
}

const paths = {
  get,
  fetch: async () => (await fetch(url)).json(),
  'undici 7: fetch': async () => (await require('undici7').fetch(url)).json(),
  'what was wrapped': async () => ({ ...wrapped }),
  'what was uncaught': async () => ({ uncaught: uncaught.join() }),
};

process.on('uncaughtException', (error) => uncaught.push(error.message));
const server = http.createServer((request, response) => {
  const name = new URL(request.url, 'http://x').searchParams.get('path');
  if (name === 'throw') {
    // The connection is not used again: its parser was interrupted by the exception.
    response.setHeader('connection', 'close');
    response.end('{}');
    throw new Error('thrown by the application');
  }
  paths[name]().then(
    (seen) => response.end(JSON.stringify(seen)),
    (error) => response.end(JSON.stringify({ failed: String(error.stack) })),
  );
});
server.keepAliveTimeout = 0;
server.listen(0, '127.0.0.1', () => {
  process.on('disconnect', () => process.exit());
  modes[process.env.HOSTILE]?.();
  const ports = { 'node:http': server.address().port };
  process.send({ ports, paths: Object.keys(paths), unloadable: [], node: process.version });
});
