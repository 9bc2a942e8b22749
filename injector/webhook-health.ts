/**
 * The health port of the injector: /healthz/ready and /healthz/live over plain HTTP.
 *
 * Ready means that the API server can ask us and will trust us: a certificate is loaded and published
 * and the namespaces are known. It opens first and answers while the rest is still missing, with the
 * reasons, one a line.
 */

import { createServer, type Server } from 'node:http';

export class InjectorHealth {
  readonly #server: Server;

  /** `whyNotReady` gives the reasons; none when ready. */
  constructor(whyNotReady: () => readonly string[]) {
    this.#server = createServer(
      {
        keepAliveTimeout: 15_000,
        headersTimeout: 5_000,
        requestTimeout: 5_000,
        maxHeaderSize: 8_192,
      },
      (request, response) => {
        request.on('error', () => {});
        response.on('error', () => {});
        const { status, text } = pageOf(request.method ?? '', request.url ?? '', whyNotReady);
        response.writeHead(status, {
          'content-type': 'text/plain; charset=utf-8',
          'content-length': Buffer.byteLength(text),
          'cache-control': 'no-store',
        });
        response.end(request.method === 'HEAD' ? '' : text);
      },
    );
    this.#server.maxConnections = 256;
  }

  /** Rejects with the system's error. */
  listen(address: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {});
        resolve();
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}

function pageOf(method: string, url: string, whyNotReady: () => readonly string[]) {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, text: 'only GET is served\n' };
  const path = url.split('?', 1)[0];
  if (path === '/healthz/live') return { status: 200, text: 'live\n' };
  if (path !== '/healthz/ready') {
    return { status: 404, text: 'pages: /healthz/ready and /healthz/live\n' };
  }
  const reasons = whyNotReady();
  if (reasons.length === 0) return { status: 200, text: 'ready\n' };
  return { status: 503, text: `not ready:\n${reasons.join('\n')}\n` };
}
