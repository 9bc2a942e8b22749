/**
 * What http-proxy forwards for well-formed requests, over real sockets, compared with what we write.
 *
 * A raw recorder stands behind http-proxy. Documented differences, all http-proxy's: it adds its own
 * Connection, passes hop-by-hop and nominated fields on, joins duplicates, and writes names in lower
 * case; so fields are compared as a map without those. Bodies are compared as data, since it may
 * change a length to chunks. Targets are ones that `url.parse` leaves alone.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { drive, whole } from './drive.ts';
import { type GeneratedMessage, printMessage, request } from './generate.ts';
import { llhttp, type OracleMessage } from './oracle.ts';

/** The part of http-proxy that is used; it has no types of its own. */
interface HttpProxy {
  web(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    options: { target: string },
    onError: (error: Error) => void,
  ): void;
  close(): void;
}

const load = createRequire(import.meta.url);
const httpProxy: { createProxyServer(options: object): HttpProxy } = load('http-proxy');

const sockets = new Set<Socket>();
const recorder = createServer(record);
let received: Buffer[] = [];
const proxy = httpProxy.createProxyServer({});
const front = createHttpServer((incoming, outgoing) => {
  const port = (recorder.address() as AddressInfo).port;
  proxy.web(incoming, outgoing, { target: `http://127.0.0.1:${port}` }, (error) => {
    outgoing.destroy(error);
  });
});

/** Keeps what comes and answers each complete request. */
function record(socket: Socket): void {
  received = [];
  sockets.add(socket);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    const { messages, error } = llhttp(Buffer.concat(received), 'request');
    // Incomplete is an error at the end of the stream; anything else would be http-proxy's.
    if (error === undefined && messages.length === 1) {
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    }
  });
}

async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

before(async () => {
  await listen(recorder);
  await listen(front);
});

after(() => {
  for (const socket of sockets) socket.destroy();
  recorder.close();
  front.close();
  front.closeAllConnections();
  proxy.close();
});

/** Sends the bytes to http-proxy and returns what arrived behind it. */
async function forward(bytes: Buffer): Promise<OracleMessage> {
  const socket = connect((front.address() as AddressInfo).port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  socket.write(bytes);
  // A request that http-proxy swallows fails the test instead of stopping it.
  socket.setTimeout(5_000, () => socket.destroy());
  const answered = Promise.withResolvers<Buffer>();
  socket.once('data', answered.resolve);
  socket.once('close', () => answered.reject(new Error('closed without an answer')));
  const answer = await answered.promise;
  socket.destroy();
  assert.match(answer.toString('latin1'), /^HTTP\/1\.1 200 /);
  return llhttp(Buffer.concat(received), 'request').messages[0]!;
}

const ownOfHop = new Set(['connection', 'keep-alive', 'te', 'transfer-encoding', 'content-length']);

function fieldMap(message: OracleMessage, left: ReadonlySet<string>): Record<string, string> {
  const map = new Map<string, string>();
  for (const [name, value] of message.fields) {
    const lower = name.toLowerCase();
    if (left.has(lower)) continue;
    const earlier = map.get(lower);
    map.set(lower, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return Object.fromEntries([...map].sort());
}

/** Requests that http-proxy can forward without changing them: no odd targets, no odd duplicates. */
const plainRequest: fc.Arbitrary<GeneratedMessage> = request
  .filter(({ target }) => /^\/[a-z0-9/=&?.-]*$/i.test(target) && !/\/\.|\/\/|\?.*\?/.test(target))
  // It sets `Content-Length: 0` on a DELETE or OPTIONS in chunks, and then cannot send the body.
  .filter(({ method, framing }) => framing !== 'chunked' || !/DELETE|OPTIONS/.test(method))
  .map((message) => {
    const seen = new Set<string>();
    const fields = message.fields.filter(([name]) => {
      const lower = name.toLowerCase();
      const isNew = !seen.has(lower);
      seen.add(lower);
      // A Trailer without chunks makes node:http throw inside http-proxy.
      return isNew && lower !== 'x-a' && lower !== 'trailer';
    });
    return { ...message, fields, trailers: [], extension: '' };
  });

test('http-proxy and we forward the same well-formed request', async () => {
  await fc.assert(
    fc.asyncProperty(plainRequest, async (sent) => {
      const bytes = Buffer.from(printMessage(sent), 'latin1');
      const theirs = await forward(bytes);
      const { head, body } = drive(whole(bytes)).messages[0]!;
      const ours = llhttp(Buffer.from(head, 'latin1'), 'request').messages[0]!;
      assert.equal(ours.method, theirs.method);
      assert.equal(ours.target, theirs.target);
      assert.equal(body, theirs.body);
      assert.deepEqual(fieldMap(ours, ownOfHop), fieldMap(theirs, ownOfHop));
    }),
    { numRuns: 100 },
  );
});
