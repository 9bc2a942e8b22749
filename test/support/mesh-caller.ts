/**
 * A workload with an identity whose inbound half is called, plain or by mutual TLS of the mesh as a
 * sidecar speaks it; the caller is written with node:tls alone.
 */

import type { TestContext } from 'node:test';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import type { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import type { TrafficLimits } from '../../src/model/limits.ts';
import type { RoutingTable } from '../../src/model/routing-table.ts';
import { type ClientCertMode, type PeerMode, usualSecurity } from '../../src/model/security.ts';
import { type CaptureFixture, startCapture } from './capture-fixture.ts';
import { idOf, type MeshLeaf, makeIdentity, makeLeaf, makeRoot } from './mesh-material.ts';
import { getOf, type ProxyFixture, startProxy } from './proxy-fixture.ts';
import { RawConnection } from './raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from './raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from './tables.ts';

export const root = makeRoot();
const cartNames = { namespace: 'shop', serviceAccount: 'cart' };
/** Of the usual caller. */
export const cart = makeLeaf(root, cartNames);
export const cartId = idOf(cartNames);
/** Of the workload that is called. */
export const webId = idOf({ serviceAccount: 'web' });

export interface InboundOptions {
  readonly mode?: PeerMode;
  readonly script?: OriginScript;
  readonly mesh?: MeshIdentity;
  readonly limits?: Partial<TrafficLimits>;
  /** Of an ingress listener. */
  readonly clientCertMode?: ClientCertMode;
  /** Of an ingress listener: bugs that are planted. */
  readonly bugsExpected?: number;
}

export interface MeshCall {
  readonly secure: TLSSocket;
  readonly downstream: RawConnection;
}

export interface InboundFixture extends ProxyFixture {
  readonly origin: RawOrigin;
  readonly table: RoutingTable;
  /** A plain connection to the workload. */
  call(): Promise<RawConnection>;
  /** Resolves when both ends have proved who they are. `over`: a connection that is there already. */
  speakMesh(options?: ConnectionOptions, leaf?: MeshLeaf, over?: RawConnection): Promise<MeshCall>;
}

/** An ingress listener before an application. */
export async function startBound(
  t: TestContext,
  options: InboundOptions = {},
): Promise<InboundFixture> {
  const origin = await startOrigin(t, options);
  const table = {
    ...tableOf([listenerOf([ruleOf()], { direction: 'inbound' })], [clusterOf([origin.port])]),
    security: securityOf(options),
  };
  const proxy = await startProxy(t, {
    table,
    mesh: meshOf(options),
    limits: options.limits ?? {},
    bugsExpected: options.bugsExpected ?? 0,
    clientCertMode: options.clientCertMode ?? 'append',
  });
  const call = () => proxy.connect();
  return { ...proxy, table, origin, call, speakMesh: speaking(t, call) };
}

/** A captured port of an application. */
export async function startCaptured(
  t: TestContext,
  options: InboundOptions = {},
): Promise<InboundFixture & CaptureFixture> {
  const origin = await startOrigin(t, options);
  const proxy = await startCapture(t, {
    mesh: meshOf(options),
    security: securityOf(options),
    limits: options.limits ?? {},
  });
  const call = () => proxy.inbound(origin.port);
  return { ...proxy, origin, call, speakMesh: speaking(t, call) };
}

async function startOrigin(t: TestContext, { script }: InboundOptions): Promise<RawOrigin> {
  const origin = await RawOrigin.start(script ?? answering(() => okWith('application')));
  t.after(() => origin.close());
  return origin;
}

function meshOf({ mesh }: InboundOptions): MeshIdentity {
  return mesh ?? makeIdentity(root, { serviceAccount: 'web' });
}

function securityOf({ mode = 'permissive' }: InboundOptions) {
  return { ...usualSecurity, mode };
}

/** For `tls.connect`, to call as a sidecar with this leaf does. */
export function callerOptions(leaf: MeshLeaf): ConnectionOptions {
  return {
    cert: leaf.certificates,
    key: leaf.privateKey,
    ca: root.roots,
    ALPNProtocols: ['tracecar/1'],
    minVersion: 'TLSv1.3',
    checkServerIdentity: () => undefined,
  };
}

/**
 * Calls `call` with a leaf that ends soon; when a machine that stands still has let it end meanwhile, again
 * with one that lives longer.
 */
export async function withBriefLeaf<T>(call: (leaf: MeshLeaf) => Promise<T>): Promise<T> {
  for (let lifeMs = 1_500; ; lifeMs *= 3) {
    const leaf = makeLeaf(root, { serviceAccount: 'brief', lifeMs });
    try {
      return await call(leaf);
    } catch (error) {
      if (Date.now() < leaf.notAfterMs) throw error;
    }
  }
}

/** Says a request as soon as it may; what comes of it, until something does or it is cut: '' then. */
export async function heardBy(
  proxy: InboundFixture,
  leaf = cart,
  options: ConnectionOptions = {},
): Promise<string> {
  const { socket } = await proxy.call();
  return new Promise((resolve) => {
    let heard = '';
    const secure = connect({ socket, ...callerOptions(leaf), ...options });
    secure.on('error', () => undefined);
    secure.on('data', (chunk) => {
      heard += chunk;
      secure.destroy();
    });
    secure.on('end', () => secure.destroy());
    secure.on('close', () => resolve(heard));
    secure.write(getOf('/a'));
  });
}

function speaking(t: TestContext, call: () => Promise<RawConnection>) {
  return async (
    options: ConnectionOptions = {},
    leaf: MeshLeaf = cart,
    over?: RawConnection,
  ): Promise<MeshCall> => {
    const { socket } = over ?? (await call());
    const secure = connect({ socket, ...callerOptions(leaf), ...options });
    t.after(() => secure.destroy());
    return new Promise((resolve, reject) => {
      secure.once('error', reject);
      secure.once('secureConnect', () => {
        resolve({ secure, downstream: new RawConnection(secure) });
      });
    });
  };
}
