/**
 * A way for a sidecar's spans to a collector on the machine's loopback, which its network has not.
 *
 * It listens on the machine's end of the link only, and passes bytes on.
 */

import { type AddressInfo, connect, createServer } from 'node:net';
import type { Environment } from './flags.ts';

export interface ExporterRelay {
  /** What the sidecar is told in place of its user's. */
  readonly variables: Readonly<Record<string, string>>;
  close(): void;
}

const generalVariable = 'OTEL_EXPORTER_OTLP_ENDPOINT';
const tracesVariable = 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT';
const usual = 'http://localhost:4318';

/** Opens one where it is needed. */
export async function relayExporter(
  environment: Environment,
  gateway: string,
): Promise<ExporterRelay> {
  const name = environment[tracesVariable] ? tracesVariable : generalVariable;
  const url = URL.parse(environment[name] || usual);
  const isLocal = url !== null && /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  if (url === null || !isLocal) return { variables: {}, close: () => {} };
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const far = connect({ host, port, allowHalfOpen: true });
    socket.on('error', () => far.destroy());
    far.on('error', () => socket.resetAndDestroy());
    socket.pipe(far).pipe(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.listen(0, gateway, resolve);
  });
  url.hostname = gateway;
  url.port = `${(server.address() as AddressInfo).port}`;
  return { variables: { [name]: url.href }, close: () => void server.close() };
}
