'use strict';
/**
 * The second half of the propagation preload: servers and clients of node:http2, and clients of
 * @grpc/grpc-js (docs/propagation.md). tracecar-propagate.cjs loads it when it first meets one of them
 * and hands over its own functions; without this file HTTP/2 goes its way as if it were opaque.
 *
 * Sessions belong to nobody: many requests share one, so what a session does runs outside of any
 * context, and each stream brings the one of its own request.
 */

/** In the header `user-agent` of every call that grpc-js makes, whatever the application prefixed. */
const GRPC_AGENT = 'grpc-node-js/';
/** Where undici notes on a session whose it is; it has added the headers at the request already. */
const UNDICI_OWNER = 'Symbol(client)';

const defineProperty = Object.defineProperty;

module.exports = function makeHttp2Part(core) {
  const { CONTEXT, NO_CONTEXT, callWithin, carryContext, chooseFields, current } = core;
  const { isTrustedHost, isAwake, note, override, readContext, wake } = core;
  const apply = Reflect.apply;
  /** Prototypes whose methods are ours. */
  const known = new WeakSet();

  /** Runs `patch` once a prototype; a frozen one stays as it is. */
  function learn(prototype, patch) {
    if (known.has(prototype)) return;
    known.add(prototype);
    try {
      patch(prototype);
    } catch (_error) {
      // What cannot be patched has no context, hence no headers.
    }
  }

  // -------------------------------------------------------------------------------------------
  // Servers

  /** `session` is what a server emitted as such. Its streams are requests; the first shows their class. */
  function learnServerSession(session) {
    if (typeof session.goaway !== 'function' || typeof session.settings !== 'function') return;
    learn(Object.getPrototypeOf(session), (prototype) => carryContext(prototype, contextOfArrival));
  }

  function contextOfArrival(_session, event, stream, headers) {
    if (event !== 'stream') return undefined;
    const context = readContext(headers);
    if (context === NO_CONTEXT) return context;
    wake();
    note(stream, CONTEXT, context);
    learn(Object.getPrototypeOf(stream), (prototype) =>
      carryContext(prototype, contextOfServerStream),
    );
    return context;
  }

  function contextOfServerStream(stream, event) {
    const context = stream[CONTEXT];
    if (event === 'close' && context !== undefined) {
      context.endedAt = Math.min(context.endedAt, process.uptime());
    }
    return context;
  }

  // -------------------------------------------------------------------------------------------
  // Clients

  /**
   * The class of client sessions is nobody's export, so one session is made over a stream that leads
   * nowhere. It costs 2 to 6 ms, once, in a process that uses HTTP/2.
   */
  function learnClientSessions() {
    const http2 = require('node:http2');
    const { Duplex } = require('node:stream');
    const nowhere = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    const session = http2.connect('http://nowhere', { createConnection: () => nowhere });
    session.on('error', () => {});
    try {
      learn(Object.getPrototypeOf(session), patchClientSession);
    } finally {
      session.destroy();
    }
  }

  function patchClientSession(prototype) {
    override(prototype, 'request', (below) => {
      return function request(...args) {
        if (!isAwake()) return apply(below.request, this, args);
        let context = NO_CONTEXT;
        let given = args;
        try {
          context = contextOfRequest(this, args[0]);
          given = withFields(this, context, args);
        } catch (_error) {
          given = args;
        }
        const stream = callWithin(context, below.request, this, given);
        try {
          note(stream, CONTEXT, context);
          learn(Object.getPrototypeOf(stream), (each) => carryContext(each, contextOfClientStream));
        } catch (_error) {
          // Its events then run in the context of whoever sent it.
        }
        return stream;
      };
    });
    carryContext(prototype, () => (isAwake() ? NO_CONTEXT : undefined));
  }

  /** Pools learn from `close` that a place is free, and send what another request left waiting. */
  function contextOfClientStream(stream, event) {
    return event === 'close' && isAwake() ? NO_CONTEXT : stream[CONTEXT];
  }

  /** Both send from queues, in the context of whichever request made room: there nobody is asked. */
  function contextOfRequest(session, headers) {
    const isUndici = Object.getOwnPropertySymbols(session).some((symbol) => {
      return String(symbol) === UNDICI_OWNER;
    });
    if (isUndici || headerOf(headers, 'user-agent').includes(GRPC_AGENT)) return NO_CONTEXT;
    return current();
  }

  /** The arguments of a request with the headers that are to be added, in a copy. */
  function withFields(session, context, args) {
    if (context === NO_CONTEXT || headerOf(args[0], ':method') === 'CONNECT') return args;
    if (!isTrustedSession(session, args[0])) return args;
    const fields = chooseFields(context, args[0]);
    if (fields.length === 0) return args;
    const [headers, ...rest] = args;
    if (Array.isArray(headers)) return [headers.concat(fields), ...rest];
    if (headers !== undefined && (headers === null || typeof headers !== 'object')) return args;
    const copy = Object.assign({ __proto__: null }, headers);
    for (let index = 0; index < fields.length; index += 2) copy[fields[index]] = fields[index + 1];
    return [copy, ...rest];
  }

  /** A session's scheme and authority are under symbols of node:http2 from its making on. */
  function isTrustedSession(session, headers) {
    const own = {};
    for (const symbol of Object.getOwnPropertySymbols(session)) {
      if (symbol.description === 'protocol') own.scheme = String(session[symbol]).replace(':', '');
      if (symbol.description === 'authority') own.authority = String(session[symbol]);
    }
    if ((headerOf(headers, ':scheme') || own.scheme) === 'http' && own.scheme !== 'https')
      return true;
    const authority = headerOf(headers, ':authority') || headerOf(headers, 'host') || own.authority;
    return authority !== undefined && isTrustedHost(hostOf(authority));
  }

  /** `name:443` and `[::1]:443` without their port. */
  function hostOf(authority) {
    return authority.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  }

  /** A header by its lower-case name, '' when there is none: of a map or of a flat array. */
  function headerOf(headers, name) {
    if (!headers) return '';
    if (Array.isArray(headers)) {
      const at = headers.findIndex((each, index) => {
        return index % 2 === 0 && String(each).toLowerCase() === name;
      });
      return at < 0 ? '' : String(headers[at + 1]);
    }
    const own = headers[name];
    if (own !== undefined) return String(own);
    const key = Object.keys(headers).find((each) => each.toLowerCase() === name);
    return key === undefined ? '' : String(headers[key]);
  }

  // -------------------------------------------------------------------------------------------
  // @grpc/grpc-js: calls wait for a connection, so they get their headers when they are made

  /** `channelClass` is what a copy of the package exports as `Channel`. */
  function learnGrpc(channelClass) {
    if (typeof channelClass !== 'function') return;
    learn(channelClass.prototype, (prototype) => {
      override(prototype, 'createCall', (below) => {
        return function createCall(...args) {
          const call = apply(below.createCall, this, args);
          try {
            if (isAwake()) learnCall(call, this, args[2]);
          } catch (_error) {
            // The call goes out as the application made it.
          }
          return call;
        };
      });
    });
  }

  /** What a call needs to know when it starts. */
  const START = Symbol('tracecar.start');

  function learnCall(call, channel, host) {
    note(call, START, { context: current(), channel, host });
    learn(Object.getPrototypeOf(call), (prototype) => {
      override(prototype, 'start', (below) => {
        return function start(...args) {
          const made = this[START];
          if (made === undefined) return apply(below.start, this, args);
          let given = args;
          try {
            given = [metadataFor(made, args[0]), listenerWithin(made.context, args[1])];
          } catch (_error) {
            given = args;
          }
          // The channel's timers and connections must not remember one call's context.
          return callWithin(NO_CONTEXT, below.start, this, given);
        };
      });
    });
  }

  /** The metadata of a call with our fields, in a copy: applications use one object for many calls. */
  function metadataFor({ context, channel, host }, metadata) {
    if (context === NO_CONTEXT || !isTrustedChannel(channel, host)) return metadata;
    const fields = chooseFields(context, metadata.getMap());
    if (fields.length === 0) return metadata;
    const copy = metadata.clone();
    for (let index = 0; index < fields.length; index += 2) {
      copy.set(fields[index], fields[index + 1]);
    }
    return copy;
  }

  /** What comes back is told to the application in the context of its call. */
  function listenerWithin(context, listener) {
    const within = {};
    for (const name of ['onReceiveMetadata', 'onReceiveMessage', 'onReceiveStatus']) {
      defineProperty(within, name, {
        value: (...args) => callWithin(context, listener[name], listener, args),
      });
    }
    return within;
  }

  function isTrustedChannel(channel, host) {
    const { credentials } = channel.internalChannel;
    if (credentials._isSecure() === false) return true;
    const target =
      host ||
      String(channel.getTarget())
        .replace(/^.*[/]/, '')
        .replace(/^dns:/, '');
    return isTrustedHost(hostOf(target));
  }

  return { learnServerSession, learnClientSessions, learnGrpc };
};
