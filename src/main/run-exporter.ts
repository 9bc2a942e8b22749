/**
 * A way for what a sidecar exports to a collector on the machine's loopback, which its network has not.
 *
 * It listens on the machine's end of the link only, and passes bytes on: uncompressed ones unless
 * somebody says otherwise, because they stay on the machine.
 */

import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import type { Environment } from './flags.ts';

export interface ExporterRelay {
  /** What the sidecar is told in place of its user's. */
  readonly variables: Readonly<Record<string, string>>;
  close(): void;
}

const prefix = 'OTEL_EXPORTER_OTLP_';
/** Of all signals, and of each. */
const signals = ['', 'TRACES_', 'METRICS_'] as const;
const usual = 'http://localhost:4318';

/** Opens one for each endpoint that needs it. */
export async function relayExporter(
  environment: Environment,
  gateway: string,
): Promise<ExporterRelay> {
  const variables: Record<string, string> = {};
  const servers: Server[] = [];
  const close = () => {
    for (const server of servers) server.close();
  };
  try {
    for (const signal of signals) {
      const url = localUrl(environment, signal);
      if (url === undefined) continue;
      const { server, port } = await relay(url, gateway);
      servers.push(server);
      url.hostname = gateway;
      url.port = `${port}`;
      variables[`${prefix}${signal}ENDPOINT`] = url.href;
      const isSaid =
        environment[`${prefix}COMPRESSION`] || environment[`${prefix}${signal}COMPRESSION`];
      if (!isSaid) variables[`${prefix}${signal}COMPRESSION`] = 'none';
    }
  } catch (error) {
    close();
    throw error;
  }
  return { variables, close };
}

/** Where the signal goes, if that is said for it and on this machine. */
function localUrl(environment: Environment, signal: (typeof signals)[number]): URL | undefined {
  const isUsual = signal === '' && !environment[`${prefix}TRACES_ENDPOINT`];
  const url = URL.parse(environment[`${prefix}${signal}ENDPOINT`] || (isUsual ? usual : ''));
  const isLocal = url !== null && /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  return isLocal ? url : undefined;
}

async function relay(url: URL, gateway: string): Promise<{ server: Server; port: number }> {
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
  return { server, port: (server.address() as AddressInfo).port };
}
