/**
 * The caller of the preload's tests: sends one request to a server kind of an application and says what
 * that application's own upstream received.
 *
 * Connections are kept and shared by all requests of a kind, as a sidecar does it.
 */

import { Agent, request as httpRequest } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import grpc from '@grpc/grpc-js';
import type { Application, Seen } from './application.ts';

const agents = {
  http: new Agent({ keepAlive: true, maxSockets: 20 }),
  https: new TlsAgent({ keepAlive: true, maxSockets: 20, rejectUnauthorized: false }),
};
const sessions = new Map<string, ClientHttp2Session>();
const clients = new Map<string, grpc.Client>();
const patienceMs = 60_000;

/** Lets go of the driver's own connections. */
export function closeDriver(): void {
  agents.http.destroy();
  agents.https.destroy();
  for (const session of sessions.values()) session.destroy();
  for (const client of clients.values()) client.close();
  sessions.clear();
  clients.clear();
}

/** Runs one client path behind one server kind; resolves to what the upstream received. */
export function callPath(
  application: Application,
  server: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Seen> {
  const port = application.ports[server]!;
  const target = `/?path=${encodeURIComponent(path)}`;
  if (server === 'grpc') return callGrpc(`127.0.0.1:${port}`, path, headers);
  if (server.startsWith('http2')) {
    const scheme = server.endsWith('TLS') ? 'https' : 'http';
    return callHttp2(`${scheme}://127.0.0.1:${port}`, target, headers);
  }
  return callHttp(server === 'node:https', port, target, headers);
}

function parsed(text: string): Seen {
  try {
    return JSON.parse(text) as Seen;
  } catch {
    return { failed: text };
  }
}

function callHttp(
  isTls: boolean,
  port: number,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Seen> {
  const send = isTls ? tlsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(
      {
        host: '127.0.0.1',
        port,
        path,
        method: 'POST',
        agent: isTls ? agents.https : agents.http,
        headers: { ...headers, 'content-type': 'text/plain' },
        timeout: patienceMs,
      },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve(parsed(text)));
      },
    );
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error(`no answer: ${path}`)));
    // The body follows its head in a second packet, as a body of any size does.
    request.flushHeaders();
    setImmediate(() => request.end('body'));
  });
}

function callHttp2(
  origin: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Seen> {
  let session = sessions.get(origin);
  if (session === undefined || session.closed || session.destroyed) {
    session = connect(origin, { rejectUnauthorized: false });
    session.on('error', () => {});
    sessions.set(origin, session);
  }
  const shared = session;
  return new Promise((resolve, reject) => {
    const stream = shared.request({ ...headers, ':method': 'POST', ':path': path });
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    stream.on('end', () => resolve(parsed(text))).on('error', reject);
    stream.setTimeout(patienceMs, () => stream.destroy(new Error(`no answer: ${path}`)));
    setImmediate(() => stream.end('body'));
  });
}

function callGrpc(
  address: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<Seen> {
  let client = clients.get(address);
  if (client === undefined) {
    client = new grpc.Client(address, grpc.credentials.createInsecure());
    clients.set(address, client);
  }
  const shared = client;
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const deadline = Date.now() + patienceMs;
  return new Promise((resolve, reject) => {
    const write = (message: string) => Buffer.from(message);
    shared.makeUnaryRequest(
      '/app/Run',
      write,
      String,
      path,
      metadata,
      { deadline },
      (error, text) => (error === null ? resolve(parsed(text ?? '')) : reject(error)),
    );
  });
}
