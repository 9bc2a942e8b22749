/**
 * The arm `undici`: a proxy as one writes it by hand on Node.js, undici's client behind node:http.
 *
 * In its favour: a pool that keeps upstream connections, `stream` (which makes no body object and needs
 * no promise of ours), no timers of undici's own, no delay of small writes, no header touched but the
 * hop's own. It makes no span and counts no metric. Arguments: PORT BACKEND-PORT.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type * as Undici from 'undici';

type Method = Undici.Dispatcher.HttpMethod;

const [port, backend] = process.argv.slice(2).map(Number);
const { Pool } = createRequire(import.meta.url)('undici') as typeof Undici;
const pool = new Pool(`http://127.0.0.1:${backend}`, {
  // As many connections as there are requests under way, as the other arms have.
  connections: null,
  pipelining: 1,
  keepAliveTimeout: 3_600_000,
  keepAliveMaxTimeout: 3_600_000,
  headersTimeout: 0,
  bodyTimeout: 0,
});

/** Fields of one hop: node:http and undici each write their own. */
const ownFields = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'expect']);

function forward(request: IncomingMessage, response: ServerResponse): void {
  const { method, url = '/', rawHeaders, headers: fields } = request;
  const hasBody = fields['content-length'] !== undefined || 'transfer-encoding' in fields;
  pool.stream<ServerResponse>(
    {
      method: method as Method,
      path: url,
      headers: withoutHop(rawHeaders),
      body: hasBody ? request : null,
      opaque: response,
    },
    answer,
    (error) => {
      if (error !== null) response.destroy();
    },
  );
}

function answer(data: Undici.Dispatcher.StreamFactoryData<ServerResponse>): ServerResponse {
  const { statusCode, headers, opaque: response } = data;
  for (const name in headers) if (ownFields.has(name)) delete headers[name];
  response.writeHead(statusCode, headers);
  return response;
}

/** Names and values in turn, as they came. */
function withoutHop(raw: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!;
    if (!ownFields.has(name.toLowerCase())) kept.push(name, raw[index + 1]!);
  }
  return kept;
}

createServer({ noDelay: true, keepAliveTimeout: 0 }, forward).listen({
  port: port!,
  host: '127.0.0.1',
  backlog: 4096,
});
