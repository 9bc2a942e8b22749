/**
 * An upstream of the mesh, scripted: ends TLS as a sidecar would and lets a script speak inside.
 *
 * It is node:tls alone, nothing of src/proxy: what it accepts and refuses is OpenSSL's judgement.
 */

import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { MeshLeaf, MeshSigner } from './mesh-material.ts';
import { RawConnection } from './raw-connection.ts';
import type { OriginScript } from './raw-origin.ts';

const GUARD_MS = 20_000;

/** What a sidecar with this leaf shows and asks for. */
export function sidecarTls(root: MeshSigner, leaf: MeshLeaf): TlsOptions {
  return {
    cert: leaf.certificates,
    key: leaf.privateKey,
    ca: root.roots,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['tracecar/1'],
    requestCert: true,
    rejectUnauthorized: true,
  };
}

export class SecureOrigin {
  /** Those whose handshake succeeded here. */
  readonly connections: RawConnection[] = [];
  readonly secured: TLSSocket[] = [];
  /** Of the same ones: whether they resumed a session. */
  readonly resumed: boolean[] = [];
  /** Codes of handshakes that failed. */
  readonly refused: string[] = [];
  /** TCP connections of every kind. */
  accepted = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: TlsOptions, script: OriginScript) {
    this.#server = createServer({ ...options, allowHalfOpen: true } as TlsOptions, (secure) => {
      const connection = new RawConnection(secure);
      this.secured.push(secure);
      this.resumed.push(secure.isSessionReused());
      const index = this.connections.push(connection) - 1;
      Promise.resolve(script(connection, index)).catch((error: unknown) => {
        if (connection.ending === 'open' && !connection.isClosed) throw error;
      });
    });
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException) => {
      this.refused.push(error.code ?? error.message);
    });
    this.#server.on('connection', (socket: Socket) => {
      this.accepted++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(options: TlsOptions, script: OriginScript): Promise<SecureOrigin> {
    const origin = new SecureOrigin(options, script);
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve));
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Looks with every handshake that is over; rejects after a time that only a hang takes. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const guard = setTimeout(() => reject(new Error('waited for a handshake')), GUARD_MS);
      const check = () => {
        if (!holds()) return;
        clearTimeout(guard);
        this.#server.removeListener('secureConnection', check);
        resolve();
      };
      this.#server.on('secureConnection', check);
      check();
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
