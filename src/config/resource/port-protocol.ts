/**
 * Port protocol: what a port of a service speaks, as somebody said it, or `detect` where nobody did.
 *
 * Said by `protocol:` or `appProtocol:`, else by the port's name up to its first `-`, else by a number
 * that has belonged to one protocol for ages: servers that speak first are heard at once there.
 */

import { hasKnownProtocol } from '../../model/known-ports.ts';
import type { DeclaredProtocol } from '../../model/routing-table.ts';

const byWord: ReadonlyMap<string, DeclaredProtocol> = new Map([
  ['http', 'http'],
  ['ws', 'http'],
  ['http2', 'http2'],
  ['h2c', 'http2'],
  ['grpc', 'http2'],
  ['https', 'tls'],
  ['tls', 'tls'],
  ['wss', 'tls'],
  ['tcp', 'tcp'],
  ['mongo', 'tcp'],
  ['mysql', 'tcp'],
  ['redis', 'tcp'],
]);

/** A word that is not known (`appProtocol: postgresql`) says nothing; names and numbers may. */
export function declaredProtocol(
  said: string | undefined,
  name: string,
  port: number,
): DeclaredProtocol {
  const word = said?.toLowerCase().replace(/^kubernetes\.io\//, '') ?? '';
  return byWord.get(word) ?? byName(name) ?? (hasKnownProtocol(port) ? 'tcp' : 'detect');
}

/** Whether rules for requests may hold on a port. */
export function mayBeHttp({ protocol }: { readonly protocol: DeclaredProtocol }): boolean {
  return protocol === 'http' || protocol === 'detect';
}

/** gRPC-Web is HTTP of any version, and not gRPC. */
function byName(name: string): DeclaredProtocol | undefined {
  return /^grpc-web(?:-|$)/.test(name) ? undefined : byWord.get(name.split('-', 1)[0]!);
}
