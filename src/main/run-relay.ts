/**
 * Ways to what a sidecar needs on the machine's loopback, which its network has not: the collector, and
 * the authority that signs its certificates.
 *
 * Each listens on the machine's end of the link only, and passes bytes on: uncompressed ones to the
 * collector unless somebody says otherwise, because they stay on the machine.
 */

import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import type { Environment } from './flags.ts';

export interface LocalRelay {
  /** What the sidecar is told in place of its user's. */
  readonly variables: Readonly<Record<string, string>>;
  close(): void;
}

const prefix = 'OTEL_EXPORTER_OTLP_';
/** Of all signals, and of each. */
const signals = ['', 'TRACES_', 'METRICS_'] as const;
const usual = 'http://localhost:4318';
const authorityVariable = 'TRACECAR_IDENTITY';
/** Of this machine alone. */
const loopback = /^(localhost|127\.[\d.]+|\[::1\])$/;

interface LocalPlace {
  readonly host: string;
  readonly port: number;
}

/** Opens one for each place that needs it. `environment` is what the sidecar would be told. */
export async function relayLocal(environment: Environment, gateway: string): Promise<LocalRelay> {
  const variables: Record<string, string> = {};
  const servers: Server[] = [];
  const close = () => {
    for (const server of servers) server.close();
  };
  try {
    for (const signal of signals) {
      const url = localUrl(environment, signal);
      if (url === undefined) continue;
      const { server, port } = await relay(placeOf(url), gateway);
      servers.push(server);
      url.hostname = gateway;
      url.port = `${port}`;
      variables[`${prefix}${signal}ENDPOINT`] = url.href;
      const isSaid =
        environment[`${prefix}COMPRESSION`] || environment[`${prefix}${signal}COMPRESSION`];
      if (!isSaid) variables[`${prefix}${signal}COMPRESSION`] = 'none';
    }
    const authority = localAuthority(environment[authorityVariable] ?? '');
    if (authority !== undefined) {
      const { server, port } = await relay(authority, gateway);
      servers.push(server);
      variables[authorityVariable] = `${gateway}:${port}`;
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
  return url !== null && loopback.test(url.hostname) ? url : undefined;
}

/** Of `HOST:PORT`; who is there its certificate says, whatever address it is dialled at. */
function localAuthority(text: string): LocalPlace | undefined {
  const url = URL.parse(`https://${text}`);
  return url !== null && loopback.test(url.hostname) ? placeOf(url) : undefined;
}

function placeOf(url: URL): LocalPlace {
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port };
}

async function relay(
  { host, port }: LocalPlace,
  gateway: string,
): Promise<{ server: Server; port: number }> {
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
