/**
 * The dialling half of the mesh's mutual TLS: TLS 1.3, ALPN `tracecar/1`, both ends with a certificate.
 *
 *   MeshIdentity ──each generation──► one context ──► MeshPeerClient by expected id ──► dial, check
 *
 * A peer is believed when its chain ends at our roots now, it is a workload's certificate, and its id is
 * the expected one, letter by letter. Until then nothing of the application is sent (secure-socket.ts).
 */

import type { SecureContext } from 'node:tls';
import type { MeshMaterial } from '../../identity/mesh-identity.ts';
import { readSvid } from '../../identity/svid.ts';
import { failure } from '../../model/failure.ts';
import { MESH_PROTOCOL, MESH_REQUESTS } from '../../model/security.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { SecureSocket } from '../socket/secure-socket.ts';
import { chainProblem, printCertificate, type TlsProblem } from '../tls/tls-problem.ts';
import type { TlsClient, TlsDial, TlsSession } from '../upstream/upstream-tls.ts';
import { meshContext } from './mesh-context.ts';

interface MeshContext {
  readonly material: MeshMaterial;
  readonly secureContext: SecureContext;
}

export class MeshClient {
  readonly #scope: ProxyScope;
  readonly #unfollow: (() => void) | undefined;
  #context: MeshContext | undefined;

  /** `onGeneration`: connections of older generations are not to be lent any more. */
  constructor(scope: ProxyScope, onGeneration: () => void) {
    this.#scope = scope;
    this.#unfollow = scope.mesh?.follow((material) => {
      this.#context = undefined;
      // Made before the first request needs it; a problem is told to those that do.
      this.context();
      if (material.generation > 1) onGeneration();
    });
  }

  /** For the workload of this id. */
  to(identity: string): TlsClient {
    return new MeshPeerClient(this, identity);
  }

  /** Of the set in force; 0: there is none. */
  get generation(): number {
    return this.#scope.mesh?.current?.generation ?? 0;
  }

  get heldBytesMax(): number {
    return this.#scope.sockets.heldBytesMax;
  }

  /** Milliseconds since the epoch. */
  get wallMs(): number {
    return this.#scope.clock.epochMs + this.#scope.clock.now();
  }

  /** What connections are made with from now on, or why they cannot be made. */
  context(): MeshContext | TlsProblem {
    const { mesh } = this.#scope;
    if (mesh === undefined) return refuse('this sidecar has no identity: start it with --identity');
    const material = mesh.current;
    if (material === undefined) return refuse('this sidecar has no certificate yet');
    if (this.wallMs >= material.notAfterMs) {
      return expired('our certificate', material.notAfterMs);
    }
    try {
      this.#context ??= contextOf(material, this.#scope.limits.meshSessionMs);
      return this.#context;
    } catch (error) {
      return refuse(`our certificate cannot be used: ${(error as Error).message}`);
    }
  }

  close(): void {
    this.#unfollow?.();
  }
}

class MeshPeerClient implements TlsClient {
  readonly identity: string;
  readonly #client: MeshClient;
  /** For connections whose requests we write, and for those that are relayed unread. */
  #dial: TlsDial | undefined;
  #unread: TlsDial | undefined;

  constructor(client: MeshClient, identity: string) {
    this.#client = client;
    this.identity = identity;
  }

  get generation(): number {
    return this.#client.generation;
  }

  dial(carriesRequests: boolean): TlsDial | TlsProblem {
    if (this.identity === '') return refuse('ISTIO_MUTUAL, and the endpoint has no identity');
    const context = this.#client.context();
    if ('failure' in context) return context;
    const known = carriesRequests ? this.#dial : this.#unread;
    if (known?.generation === context.material.generation) return known;
    const dial = this.#dialWith(context, carriesRequests);
    if (carriesRequests) this.#dial = dial;
    else this.#unread = dial;
    return dial;
  }

  #dialWith({ material, secureContext }: MeshContext, carriesRequests: boolean): TlsDial {
    return {
      generation: material.generation,
      serverName: '',
      session: undefined,
      options: {
        secureContext,
        ALPNProtocols: carriesRequests ? [MESH_PROTOCOL, MESH_REQUESTS] : [MESH_PROTOCOL],
        requestCert: true,
        rejectUnauthorized: false,
        allowHalfOpen: true,
        highWaterMark: this.#client.heldBytesMax,
        noDelay: true,
      },
      judge: (secure, offered) => this.#judge(secure, offered),
    };
  }

  #judge(secure: SecureSocket, offered: TlsSession | undefined): TlsProblem | number {
    if (offered !== undefined && secure.isSessionReused()) return this.#resumed(offered);
    const certificate = secure.getPeerX509Certificate();
    if (certificate === undefined) return refuse('the endpoint has shown no certificate');
    const error = secure.chainError;
    if (error !== undefined) return chainProblem(error, certificate);
    const svid = readSvid(certificate.raw);
    if ('problem' in svid) {
      return refuse(`${svid.problem}: ${printCertificate(certificate)}`);
    }
    if (svid.id !== this.identity) {
      const detail = `expected ${this.identity}, and ${svid.id} answered`;
      const stranger = { expected: this.identity, proved: svid.id };
      return { failure: failure['tls-wrong-identity'], detail, stranger };
    }
    if (secure.alpnProtocol !== MESH_PROTOCOL) {
      return refuse(`the endpoint speaks TLS, but not ${MESH_PROTOCOL}`);
    }
    return certificate.validToDate.getTime();
  }

  /** Only who had the certificate then has the session's key; OpenSSL does not look at the clock again. */
  #resumed({ notAfterMs }: TlsSession): TlsProblem | number {
    if (this.#client.wallMs < notAfterMs) return notAfterMs;
    // The next handshake is a whole one, and its certificate perhaps a new one.
    this.#dial = undefined;
    this.#unread = undefined;
    return expired('the certificate of the endpoint', notAfterMs);
  }
}

function refuse(detail: string): TlsProblem {
  return { failure: failure['tls-failed'], detail };
}

function expired(whose: string, atMs: number): TlsProblem {
  const detail = `${whose} ended at ${new Date(atMs).toISOString()}`;
  return { failure: failure['tls-expired'], detail };
}

function contextOf(material: MeshMaterial, sessionMs: number): MeshContext {
  return { material, secureContext: meshContext(material, sessionMs) };
}
