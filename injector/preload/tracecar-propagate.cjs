'use strict';
/**
 * The propagation preload: it copies the trace headers of an inbound request onto the outbound
 * requests which that request causes, inside a user's Node.js application (docs/propagation.md).
 *
 * It is no tracer: it makes no ids and no spans, and it never touches a header that the application
 * set. What always holds: an outbound request gets the headers of its own inbound request or none;
 * nothing here throws into the application, prints, or keeps the process alive.
 * Written in the syntax of Node 8, so that an old Node reads the file and then leaves it asleep.
 */

const NODE_MAJOR_MIN = 16;
const VALUE_CHARS_MAX = 8192;
const GRACE_MS_DEFAULT = 60000;
const HANDLER_DEPTH_MAX = 4;

const COPIED_HEADERS = ['traceparent', 'tracestate', 'baggage', 'b3', 'x-request-id'];
/** Any of these on an outbound request says that the application traces by itself. */
const OWN_TRACING_HEADERS = ['traceparent', 'b3', 'x-b3-traceid', 'uber-trace-id'];
/** Headers that frame a message or that are ours: never copied, whatever the setting says. */
const UNCOPIED_HEADERS =
  'connection content-length expect host keep-alive proxy-connection te trailer'
    .concat(' transfer-encoding upgrade x-tracecar-join')
    .split(' ');
const CLUSTER_SUFFIXES = ['.svc', '.local', '.localhost', '.internal'];
const HTTP2_FILE = 'tracecar-propagate-http2.cjs';
const GRPC_FILE = '@grpc/grpc-js/build/src/channel.js';

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
/** ASCII only: Node writes a head as UTF-8 when a text body follows, and would garble the rest. */
const FIELD_VALUE = /^[\t\x20-\x7e]+$/;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?:-[^,]*)?$/;

/** The headers to copy, as read from one inbound request. Shared by all that the request causes. */
class Context {
  /** @param {string[]} fields name, value, name, value... with lower-case names */
  constructor(fields) {
    this.fields = fields;
    /** Seconds of `process.uptime` at which the response was over; Infinity while it is open. */
    this.endedAt = Number.POSITIVE_INFINITY;
  }
}

/** Taken before the application runs, which may break it. */
const apply = Reflect.apply;
const defineProperty = Reflect.defineProperty;

/** Stands for "no inbound request": nothing is copied. */
const NO_CONTEXT = new Context([]);

/** @type {{ names: string[], tlsHosts: string[], graceSeconds: number }} */
let settings;
/** @type {import('node:async_hooks').AsyncLocalStorage<Context>} */
let storage;
/** @type {typeof import('node:async_hooks').AsyncResource} */
let AsyncResource;
/** @type {typeof import('node:http')} */
let http;
/** False until the first inbound request that carries something to copy. */
let isAwake = false;
/** Where a message keeps its context, beside the symbols that Node itself keeps there. */
const CONTEXT = Symbol('tracecar.context');

/** Notes something on an object of others; on a frozen one it stays unnoted. */
function note(object, key, value) {
  defineProperty(object, key, { value, configurable: true });
}

function current() {
  return storage.getStore() || NO_CONTEXT;
}

/**
 * Puts `build(below)` in the place of a method; `below[name]` is the method that was there. An
 * inherited one stays where it is, so that what the application patches later still takes effect.
 * @param {object} owner
 * @param {string} name
 * @param {(below: object) => Function} build
 */
function override(owner, name, build) {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  if (own !== undefined && typeof own.value !== 'function') return;
  const below = own === undefined ? Object.getPrototypeOf(owner) : { [name]: own.value };
  const value = build(below);
  for (const key of ['name', 'length']) {
    Object.defineProperty(value, key, { value: below[name][key], configurable: true });
  }
  const enumerable = own !== undefined && own.enumerable === true;
  Object.defineProperty(owner, name, { value, writable: true, configurable: true, enumerable });
}

/** Calls a method of the application or of Node within a context, as if we were not there. */
function callWithin(context, method, self, args) {
  if (context === undefined || context === current()) return apply(method, self, args);
  return storage.run(context, apply, method, self, args);
}

// ---------------------------------------------------------------------------------------------
// Which headers

/** @param {Record<string, string | undefined>} env */
function readSettings(env) {
  const list = (text) =>
    String(text || '')
      .toLowerCase()
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  const names = COPIED_HEADERS.slice();
  for (const name of list(env.TRACECAR_PROPAGATE_HEADERS)) {
    const isAllowed = TOKEN.test(name) && !UNCOPIED_HEADERS.includes(name);
    if (isAllowed && !names.includes(name)) names.push(name);
  }
  const graceMs = Number(env.TRACECAR_PROPAGATE_GRACE_MS || GRACE_MS_DEFAULT);
  return {
    names,
    tlsHosts: list(env.TRACECAR_PROPAGATE_TLS_HOSTS),
    graceSeconds: (graceMs >= 0 ? graceMs : GRACE_MS_DEFAULT) / 1000,
  };
}

/** @param {import('node:http').IncomingHttpHeaders} headers */
function readContext(headers) {
  const traceparent = headers.traceparent;
  const isTraced = typeof traceparent === 'string' && TRACEPARENT.test(traceparent);
  const fields = [];
  for (const name of settings.names) {
    const value = headers[name];
    if (typeof value !== 'string' || value.length > VALUE_CHARS_MAX) continue;
    if ((name === 'traceparent' || name === 'tracestate') && !isTraced) continue;
    if (FIELD_VALUE.test(value)) fields.push(name, value);
  }
  return fields.length === 0 ? NO_CONTEXT : new Context(fields);
}

/** Work may outlive its response a little; a timer started by it must not carry it for ever. */
function isLive(context) {
  if (context.endedAt === Number.POSITIVE_INFINITY) return true;
  return process.uptime() - context.endedAt <= settings.graceSeconds;
}

/** Over TLS nothing mends a leak later: only hosts that look like the cluster's own get headers. */
function isTrustedHost(host) {
  if (settings.tlsHosts.includes('none')) return false;
  const name = String(host).toLowerCase().replace(/\.$/, '');
  if (name !== '' && !/[.:]/.test(name)) return true;
  if (CLUSTER_SUFFIXES.some((suffix) => name.endsWith(suffix))) return true;
  return settings.tlsHosts.some((pattern) => {
    if (pattern === '*' || pattern === name) return true;
    return pattern.startsWith('*.') && name.endsWith(pattern.slice(1));
  });
}

/**
 * True when the application set a header of this lower-case name. `headers` is what Node or undici
 * hold: undefined, a map by lower-case name, a flat array, an array of pairs, or text (undici 5).
 */
function isSet(headers, name) {
  if (!headers) return false;
  if (typeof headers === 'string') return `\r\n${headers.toLowerCase()}`.includes(`\r\n${name}:`);
  if (!Array.isArray(headers)) {
    if (headers[name] !== undefined) return true;
    if (Object.getPrototypeOf(headers) === null) return false;
    return Object.keys(headers).some((key) => key.toLowerCase() === name);
  }
  if (Array.isArray(headers[0])) return headers.some((pair) => isNamed(pair[0], name));
  for (let index = 0; index < headers.length; index += 2) {
    if (isNamed(headers[index], name)) return true;
  }
  return false;
}

function isNamed(key, name) {
  return String(key).toLowerCase() === name;
}

/**
 * The fields to add to an outbound request that holds `headers`, flat: name, value, ...
 * @param {Context} context
 * @returns {string[]}
 */
function chooseFields(context, headers) {
  const chosen = [];
  if (context === NO_CONTEXT || !isLive(context)) return chosen;
  if (OWN_TRACING_HEADERS.some((name) => isSet(headers, name))) return chosen;
  for (let index = 0; index < context.fields.length; index += 2) {
    const name = context.fields[index];
    if (isSet(headers, name)) continue;
    chosen.push(name, context.fields[index + 1]);
    // The sidecar reads this line as the way of the join, and strips it.
    if (name === 'traceparent' && !isSet(headers, 'x-tracecar-join')) {
      chosen.push('x-tracecar-join', 'preload');
    }
  }
  return chosen;
}

// ---------------------------------------------------------------------------------------------
// HTTP/1 by node:http and node:https

/** The context for an event of a server, or undefined when the event is no HTTP/1 request. */
function contextOfArrival(_server, event, request) {
  switch (event) {
    case 'request':
    case 'upgrade':
    case 'connect':
    case 'checkContinue':
    case 'checkExpectation':
      break;
    case 'session':
      if (isHttp2Loaded()) http2Part().learnServerSession(request);
      return undefined;
    default:
      return undefined;
  }
  if (!(request instanceof http.IncomingMessage)) return undefined;
  const known = request[CONTEXT];
  if (known !== undefined) return known;
  const context = readContext(request.headers);
  if (context !== NO_CONTEXT) {
    isAwake = true;
    request[CONTEXT] = context;
  }
  return context;
}

/**
 * The context for an event of a message, or undefined when the message belongs to none. A response
 * names its request in `req`, on either side, and shares the request's context.
 */
function contextOfEvent(message, event) {
  const context = (message.req || message)[CONTEXT];
  if (event === 'close' && context !== undefined && message instanceof http.ServerResponse) {
    context.endedAt = Math.min(context.endedAt, process.uptime());
  }
  return context;
}

/**
 * Node emits the events of a message in the context of its connection, which serves many requests
 * or none: a handler of `end` would lose its request. So each message brings its own context.
 */
function carryContext(prototype, find) {
  override(prototype, 'emit', (below) => {
    return function emit(...args) {
      let context;
      try {
        context = find(this, args[0], args[1], args[2]);
        // Most events of a message have no listener, and changing the context is what costs.
        if (context !== undefined && !hasListener(this, args[0])) context = undefined;
      } catch (_error) {
        context = NO_CONTEXT;
      }
      return callWithin(context, below.emit, this, args);
    };
  });
}

/** Throws for an emitter that keeps its listeners in a way of its own. */
function hasListener(emitter, event) {
  return emitter._events[event] !== undefined;
}

/** The header lines to add to a request, each with its line end; '' when there are none. */
function linesFor(request, headers) {
  let context = request[CONTEXT];
  if (context === undefined) {
    context = current();
    request[CONTEXT] = context;
  }
  if (context === NO_CONTEXT || request.method === 'CONNECT') return '';
  if (request.protocol === 'https:' && !isTrustedHost(request.host)) return '';
  const fields = chooseFields(context, headers);
  let lines = '';
  for (let index = 0; index < fields.length; index += 2) {
    lines += `${fields[index]}: ${fields[index + 1]}\r\n`;
  }
  return lines;
}

/** A TLS socket has its handle before it connects, so it is reset as Node's agent resets a reused one. */
function forgetContext(socket) {
  try {
    const handle = socket._handle;
    if (!handle || typeof handle.asyncReset !== 'function' || current() === NO_CONTEXT) return;
    storage.run(NO_CONTEXT, () => handle.asyncReset({}));
  } catch (_error) {
    // The connection then keeps the context of its maker, as without this.
  }
}

function patchHttp(net) {
  // https.Server and whatever else speaks HTTP/1 inherits from net.Server, so https (9 ms of start
  // on Node 26) need not be loaded to be covered.
  carryContext(net.Server.prototype, contextOfArrival);
  const find = (message, event) => (isAwake ? contextOfEvent(message, event) : undefined);
  carryContext(http.IncomingMessage.prototype, find);
  carryContext(http.ServerResponse.prototype, find);
  carryContext(http.ClientRequest.prototype, find);
  // A request belongs to whoever makes it, not to whoever writes its first byte (a pipe may do so).
  override(http.Agent.prototype, 'addRequest', (below) => {
    return function addRequest(...args) {
      try {
        if (isAwake && args[0][CONTEXT] === undefined) args[0][CONTEXT] = current();
      } catch (_error) {
        // Then the head is written without our lines.
      }
      return apply(below.addRequest, this, args);
    };
  });
  // Every HTTP/1 client of Node, whatever wraps it, has its head written here.
  override(http.ClientRequest.prototype, '_storeHeader', (below) => {
    return function _storeHeader(...args) {
      try {
        // The first argument is the request's first line, with its end.
        if (isAwake) args[0] += linesFor(this, args[1]);
      } catch (_error) {
        // The request goes out as the application made it.
      }
      return apply(below._storeHeader, this, args);
    };
  });
  // A connection outlives the request that opened it. Left alone, a database driver's callbacks
  // would run in the context of whichever request came first: a wrong parent instead of none.
  override(net.Socket.prototype, 'connect', (below) => {
    return function connect(...args) {
      if (!knowsClientSessions) learnClientSessions();
      if (isAwake) forgetContext(this);
      return callWithin(isAwake ? NO_CONTEXT : undefined, below.connect, this, args);
    };
  });
}

// ---------------------------------------------------------------------------------------------
// HTTP/2 and gRPC: their part is in a file of its own, loaded when the first of them is met

/** Undefined until it is wanted; when it cannot be loaded, it learns nothing. */
let loadedPart;
let knowsClientSessions = false;

function http2Part() {
  if (loadedPart !== undefined) return loadedPart;
  const nothing = () => {};
  loadedPart = { learnServerSession: nothing, learnClientSessions: nothing, learnGrpc: nothing };
  try {
    const shared = { CONTEXT, NO_CONTEXT, callWithin, chooseFields, current, note, override };
    shared.carryContext = carryContext;
    shared.readContext = readContext;
    shared.isTrustedHost = isTrustedHost;
    shared.isAwake = () => isAwake;
    shared.wake = () => {
      isAwake = true;
    };
    loadedPart = require(`./${HTTP2_FILE}`)(shared);
  } catch (_error) {
    // HTTP/2 then stays without headers.
  }
  return loadedPart;
}

/** Loading it costs 6 to 12 ms, which a process without HTTP/2 must not pay. */
function isHttp2Loaded() {
  return process.moduleLoadList.includes('NativeModule http2');
}

/** A session connects before its first request, and an application has loaded http2 before that. */
function learnClientSessions() {
  try {
    if (!isHttp2Loaded()) return;
    knowsClientSessions = true;
    const within = isAwake ? NO_CONTEXT : undefined;
    callWithin(within, http2Part().learnClientSessions, undefined, []);
  } catch (_error) {
    knowsClientSessions = true;
  }
}

/**
 * A copy of grpc-js inside a bundle is not met, and its calls stay without headers. `Module._load` is
 * the usual place for this, but Node looks at its caller before it prints some warnings.
 */
function watchGrpc() {
  override(require('node:module')._extensions, '.js', (below) => {
    return function load(...args) {
      const result = apply(below['.js'], this, args);
      try {
        if (args[1].endsWith(GRPC_FILE))
          http2Part().learnGrpc(args[0].exports.ChannelImplementation);
      } catch (_error) {
        // Calls of this copy stay without headers.
      }
      return result;
    };
  });
}

// ---------------------------------------------------------------------------------------------
// undici: the built-in fetch, and every copy that the application brought

/** Classes of undici's `Request` (one a copy) that have been met. */
const knownCopies = new WeakSet();
/** Prototypes whose `dispatch` is ours. */
const knownDispatchers = new WeakSet();
/** Where a handler keeps its Claim; its options do, too: undici 7 wraps handlers before queueing. */
const CLAIM = Symbol('tracecar.claim');
/** The context of the dispatch that is running right now; undefined outside of any. */
let dispatching;
/** Kept because a channel without a reference may be collected (Node 16 and 18). */
const channels = [];

/** Who called `dispatch`: the queue of a pool dispatches again later, in somebody else's context. */
class Claim {
  constructor(context, options) {
    this.context = context;
    this.options = options;
  }
}

/** A single connection that a pool owns: a call that reaches it directly comes from a queue. */
function isFedByQueue(dispatcher) {
  if (!('pipelining' in dispatcher)) return false;
  return ['drain', 'connect', 'disconnect', 'connectionError'].every((event) => {
    return dispatcher.listenerCount(event) > 0;
  });
}

/** The context in which undici's own handlers were made, or undefined for other handlers. */
function contextOfHandler(handler) {
  let each = handler;
  for (let depth = 0; each && depth < HANDLER_DEPTH_MAX; depth += 1) {
    if (each instanceof AsyncResource) return each.runInAsyncScope(current);
    each = each.handler;
  }
  return undefined;
}

/** Decides for whom a dispatch is made. Where two answers are possible, it is NO_CONTEXT. */
function contextOfDispatch(dispatcher, options, handler) {
  const caller = dispatching === undefined ? current() : dispatching;
  const claim = handler[CLAIM];
  if (claim !== undefined) {
    if (claim.context === caller) return caller;
    const isQueued = options === claim.options && isFedByQueue(dispatcher);
    const isRetried = handler.opts === options;
    // Otherwise the application uses one handler for many requests, and some may still wait.
    if (!isQueued && !isRetried) claim.context = NO_CONTEXT;
    return claim.context;
  }
  if (dispatching === undefined && isFedByQueue(dispatcher)) {
    const sameOptions = options[CLAIM];
    const found = sameOptions === undefined ? contextOfHandler(handler) : sameOptions.context;
    return found === undefined ? NO_CONTEXT : found;
  }
  const made = new Claim(caller, options);
  note(handler, CLAIM, made);
  if (typeof handler.onRequestStart === 'function') {
    const other = options[CLAIM];
    if (other === undefined) note(options, CLAIM, made);
    else if (other.context !== caller) other.context = NO_CONTEXT;
  }
  return caller;
}

function patchDispatch(prototype) {
  override(prototype, 'dispatch', (below) => {
    return function dispatch(...args) {
      if (!isAwake) return apply(below.dispatch, this, args);
      let context = NO_CONTEXT;
      try {
        context = contextOfDispatch(this, args[0], args[1]);
      } catch (_error) {
        context = NO_CONTEXT;
      }
      const outer = dispatching;
      dispatching = context;
      try {
        // What undici keeps (sockets, timers) must not remember one request's context.
        return callWithin(NO_CONTEXT, below.dispatch, this, args);
      } finally {
        dispatching = outer;
      }
    };
  });
}

/** Takes over `dispatch` of an object's class and of the classes above it, where it can. */
function learnDispatcher(object) {
  let each = object;
  while (each && each !== Object.prototype) {
    const isOwn = Object.getOwnPropertyDescriptor(each, 'dispatch') !== undefined;
    if (isOwn && !knownDispatchers.has(each)) {
      knownDispatchers.add(each);
      try {
        patchDispatch(each);
      } catch (_error) {
        // Frozen: requests of this class stay without headers where their caller is in doubt.
      }
    }
    each = Object.getPrototypeOf(each);
  }
}

/** Runs at the first request of each copy, so that nothing is searched before it is needed. */
function learnCopies() {
  const cache = require('node:module')._cache;
  for (const file of Object.keys(cache)) {
    if (!file.endsWith('dispatcher-base.js')) continue;
    const exported = cache[file].exports;
    if (typeof exported === 'function') learnDispatcher(exported.prototype);
  }
  for (const version of [1, 2]) {
    const dispatcher = global[Symbol.for(`undici.globalDispatcher.${version}`)];
    if (dispatcher) learnDispatcher(Object.getPrototypeOf(dispatcher));
  }
}

function contextOfUndici(request) {
  const isFirst = !knownCopies.has(request.constructor);
  if (isFirst) {
    knownCopies.add(request.constructor);
    learnCopies();
  }
  if (!isAwake) return NO_CONTEXT;
  if (dispatching !== undefined) return dispatching;
  const symbol = Object.getOwnPropertySymbols(request).find((each) => {
    return String(each) === 'Symbol(handler)';
  });
  const context = symbol === undefined ? undefined : contextOfHandler(request[symbol]);
  if (context !== undefined) return context;
  // The first request of a copy cannot come from a queue; about later ones nobody knows.
  return isFirst ? current() : NO_CONTEXT;
}

function onUndiciRequest(message) {
  try {
    const request = message.request;
    const context = contextOfUndici(request);
    if (context === NO_CONTEXT || request.method === 'CONNECT') return;
    const origin = String(request.origin);
    if (!origin.startsWith('http:') && !isTrustedHost(new URL(origin).hostname)) return;
    const fields = chooseFields(context, request.headers);
    for (let index = 0; index < fields.length; index += 2) {
      request.addHeader(fields[index], fields[index + 1]);
    }
  } catch (_error) {
    // The request goes out as the application made it.
  }
}

/** A copy inside a bundle is in no module cache; its first connection shows its classes. */
function onUndiciConnected(message) {
  try {
    const socket = message.socket;
    const symbol = Object.getOwnPropertySymbols(socket).find((each) => {
      return String(each) === 'Symbol(client)';
    });
    if (symbol !== undefined) learnDispatcher(Object.getPrototypeOf(socket[symbol]));
  } catch (_error) {
    // Then requests of this copy stay without headers where their caller is in doubt.
  }
}

function watchUndici() {
  const listeners = {
    'undici:request:create': onUndiciRequest,
    'undici:client:connected': onUndiciConnected,
  };
  for (const name of Object.keys(listeners)) {
    const channel = require('node:diagnostics_channel').channel(name);
    channel.subscribe(listeners[name]);
    channels.push(channel);
  }
}

// ---------------------------------------------------------------------------------------------

function start() {
  const major = Number(process.versions.node.split('.')[0]);
  if (!(major >= NODE_MAJOR_MIN)) return;
  if (String(process.env.TRACECAR_PROPAGATE).toLowerCase() === 'off') return;
  const mark = Symbol.for('tracecar.propagate');
  if (global[mark] !== undefined) return;
  Object.defineProperty(global, mark, { value: true });
  settings = readSettings(process.env);
  const hooks = require('node:async_hooks');
  storage = new hooks.AsyncLocalStorage();
  AsyncResource = hooks.AsyncResource;
  http = require('node:http');
  patchHttp(require('node:net'));
  watchUndici();
  watchGrpc();
}

try {
  start();
} catch (_error) {
  // The application starts as if this file were not there.
}
