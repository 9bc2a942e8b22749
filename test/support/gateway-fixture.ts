/**
 * A proxy with one Gateway port in front of one upstream, and downstreams that speak TLS to it.
 */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import type {
  ConnectionRule,
  GatewayServer,
  Listener,
  ListenerTls,
} from '../../src/model/routing-table.ts';
import type { Certificate, CertificateAuthority } from './certificates.ts';
import { type FixtureOptions, type PairFixture, startProxy } from './proxy-fixture.ts';
import { RawConnection } from './raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from './raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from './tables.ts';

/** Files with `certificate`, in a folder of their own below `folder`. */
export function filesOf(folder: string, { cert, key }: Certificate): ListenerTls {
  const path = mkdtempSync(join(folder, 'files-'));
  const [certificateFile, keyFile] = [join(path, 'tls.crt'), join(path, 'tls.key')];
  writeFileSync(certificateFile, cert);
  writeFileSync(keyFile, key);
  return { mode: 'simple', certificateFile, keyFile, caFile: '', minVersion: 'TLSv1.2' };
}

/** A server that routes what it gets, but for `over`. */
export function serverOf(hosts: readonly string[], over: Partial<GatewayServer> = {}) {
  const server: GatewayServer = {
    name: `default/shop/${hosts[0]}`,
    origin: 'gateway.yaml:1:1',
    hosts,
    action: 'forward',
    tls: undefined,
    ...over,
  };
  return server;
}

/** A port of `servers`, each of whose hosts leads to the one upstream. */
export function gatewayOf(
  servers: readonly GatewayServer[],
  isSecure = true,
  connectionRules: readonly ConnectionRule[] = [],
): Listener {
  const hosts = servers.flatMap((server) => server.hosts);
  return listenerOf([], {
    name: 'gateway|127.0.0.1|0',
    virtualHosts: hosts.map((host) => ({ name: host, domains: [host], rules: [ruleOf()] })),
    defaultHost: -1,
    gateway: { isSecure, servers, connectionRules },
  });
}

export async function startGateway(
  t: TestContext,
  listener: Listener,
  options: Omit<FixtureOptions, 'table'> & { readonly script?: OriginScript } = {},
): Promise<PairFixture> {
  const { script = answering(() => okWith('application')), ...others } = options;
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  const table = tableOf([listener], [clusterOf([origin.port])]);
  const limits = { tlsPollMs: 20, ...options.limits };
  const proxy = await startProxy(t, { ...others, table, limits });
  return { ...proxy, origin };
}

export interface SecureDownstream {
  readonly peer: TLSSocket;
  readonly downstream: RawConnection;
}

/** A secure connection that asks for `name`, '' for none; rejects when the handshake fails. */
export function connectSecure(
  t: TestContext,
  port: number,
  authority: CertificateAuthority,
  name: string,
  options: ConnectionOptions = {},
): Promise<SecureDownstream> {
  const to = { host: '127.0.0.1', port, ca: authority.cert, servername: name };
  const checks = { checkServerIdentity: () => undefined, ALPNProtocols: ['http/1.1'] };
  const peer = connectTls({ ...to, ...checks, ...options });
  t.after(() => peer.destroy());
  return new Promise((resolve, reject) => {
    peer.once('error', reject);
    peer.once('close', () => reject(new Error('closed before the handshake was over')));
    peer.once('secureConnect', () => resolve({ peer, downstream: new RawConnection(peer) }));
  });
}

/** The common name of what was served. */
export function servedName(peer: TLSSocket): string | undefined {
  const { CN } = peer.getPeerCertificate().subject;
  return Array.isArray(CN) ? CN[0] : CN;
}
