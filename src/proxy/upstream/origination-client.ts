/**
 * TLS to a service outside the mesh (DestinationRule SIMPLE, MUTUAL): who is dialled proves a name.
 *
 * The name is asked for in the ClientHello and has to be in the certificate, unless other names are
 * given; an IP address is never asked for (RFC 6066 section 3), only looked for. No protocol is offered
 * by ALPN: what the application speaks is its own affair, and HTTP/1.1 is what servers take that for.
 */

import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { uriNamesOf } from '../../identity/uri-names.ts';
import { failure } from '../../model/failure.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { SecureSocket } from '../socket/secure-socket.ts';
import { chainProblem, printCertificate, type TlsProblem } from '../tls/tls-problem.ts';
import type { OriginationFiles, OriginationTls } from './origination-files.ts';
import type { TlsClient, TlsDial, TlsSession } from './upstream-tls.ts';

export class OriginationClient implements TlsClient {
  readonly identity = '';
  readonly #scope: ProxyScope;
  readonly #files: OriginationFiles;
  readonly #settings: OriginationTls;
  /** That the certificate has to be for; empty: there is none to ask for. */
  readonly #name: string;
  #dial: TlsDial | undefined;

  /** `service`: full name of the cluster's. */
  constructor(
    scope: ProxyScope,
    files: OriginationFiles,
    settings: OriginationTls,
    service: string,
  ) {
    this.#scope = scope;
    this.#files = files;
    this.#settings = settings;
    const name = settings.serverName || service;
    this.#name = name.startsWith('*') ? '' : name;
  }

  get generation(): number {
    return this.#files.generation;
  }

  dial(): TlsDial | TlsProblem {
    const { context, generation, problem } = this.#files;
    if (context === undefined) return { failure: failure['tls-failed'], detail: problem };
    if (this.#dial?.generation === generation) return this.#dial;
    this.#dial = {
      generation,
      serverName: isIP(this.#name) === 0 ? this.#name : '',
      session: undefined,
      options: {
        secureContext: context,
        requestCert: true,
        rejectUnauthorized: false,
        allowHalfOpen: true,
        highWaterMark: this.#scope.sockets.heldBytesMax,
        noDelay: true,
      },
      judge: (secure, offered) => this.#judge(secure, offered),
    };
    return this.#dial;
  }

  #judge(secure: SecureSocket, offered: TlsSession | undefined): TlsProblem | number {
    if (this.#settings.isUnverified) return Number.POSITIVE_INFINITY;
    if (offered !== undefined && secure.isSessionReused()) return this.#resumed(offered);
    const certificate = secure.getPeerX509Certificate();
    if (certificate === undefined) {
      return { failure: failure['tls-failed'], detail: 'the endpoint has shown no certificate' };
    }
    const error = secure.chainError;
    if (error !== undefined) return chainProblem(error, certificate);
    if (this.#isNamed(certificate)) return certificate.validToDate.getTime();
    const { subjectAltNames } = this.#settings;
    const wanted = subjectAltNames.length > 0 ? subjectAltNames.join(' or ') : this.#name;
    const detail = `expected a certificate for ${wanted}, and got ${printCertificate(certificate)}`;
    return { failure: failure['tls-wrong-identity'], detail };
  }

  #resumed({ notAfterMs }: TlsSession): TlsProblem | number {
    const { clock } = this.#scope;
    if (clock.epochMs + clock.now() < notAfterMs) return notAfterMs;
    this.#dial = undefined;
    const detail = `the endpoint's certificate ended at ${new Date(notAfterMs).toISOString()}`;
    return { failure: failure['tls-expired'], detail };
  }

  #isNamed(certificate: X509Certificate): boolean {
    const { subjectAltNames } = this.#settings;
    if (subjectAltNames.length === 0) return this.#name !== '' && isFor(certificate, this.#name);
    return subjectAltNames.some((name) => isFor(certificate, name));
  }
}

/** A wildcard is the whole left-most label of a subjectAltName (RFC 9525 sections 6.3 and 6.4). */
const exactly = { subject: 'never', partialWildcards: false } as const;

/** Whether a certificate has `name`: a URI letter by letter, an address, or a host (RFC 9525). */
function isFor(certificate: X509Certificate, name: string): boolean {
  if (name.includes('://')) return uriNamesOf(certificate.raw).includes(name);
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name, exactly) !== undefined;
}
