/** A caller that speaks mutual TLS of the mesh as a sidecar does, written with node:tls alone. */

import type { TestContext } from 'node:test';
import { connect } from 'node:tls';
import type { MeshLeaf, MeshSigner } from './mesh-material.ts';
import { RawConnection } from './raw-connection.ts';

/** Over `to`, or to a port of 127.0.0.1; resolves when both ends have proved who they are. */
export function callMesh(
  t: TestContext,
  to: number | RawConnection,
  root: MeshSigner,
  leaf: MeshLeaf,
): Promise<RawConnection> {
  const over = typeof to === 'number' ? { host: '127.0.0.1', port: to } : { socket: to.socket };
  const secure = connect({
    ...over,
    cert: leaf.certificates,
    key: leaf.privateKey,
    ca: root.roots,
    ALPNProtocols: ['tracecar/1'],
    minVersion: 'TLSv1.3',
    checkServerIdentity: () => undefined,
  });
  t.after(() => secure.destroy());
  return new Promise((resolve, reject) => {
    secure.once('error', reject);
    secure.once('secureConnect', () => resolve(new RawConnection(secure)));
  });
}
