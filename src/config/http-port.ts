/**
 * HTTP port: a named port with its protocol, as ServiceEntries and Sidecars write it.
 *
 * Only HTTP/1.1 is relayed for now, and nothing is detected without capture, so the protocol must be
 * said: by `protocol:` or, as in Kubernetes, by a name that begins with `http-`.
 */

import type { Cursor } from './cursor.ts';
import { didYouMean } from './nearest-name.ts';
import { checked, checkedText, needed, optional, record } from './schema.ts';
import { isDnsLabel, portNumber } from './values.ts';

const later: ReadonlyMap<string, string> = new Map([
  ['HTTP2', 'HTTP/2 is not relayed yet'],
  ['GRPC', 'gRPC needs HTTP/2, which is not relayed yet'],
  ['GRPC-WEB', 'gRPC-Web is not implemented yet'],
  ['HTTP_PROXY', 'forward proxies are not implemented yet'],
  ['HTTPS', 'TLS is not relayed yet'],
  ['TLS', 'TLS is not relayed yet'],
  ['TCP', 'plain TCP is not relayed yet; TCP relay comes with capture'],
  ['UDP', 'UDP is not relayed'],
  ['MONGO', 'plain TCP is not relayed yet; TCP relay comes with capture'],
  ['REDIS', 'plain TCP is not relayed yet; TCP relay comes with capture'],
  ['MYSQL', 'plain TCP is not relayed yet; TCP relay comes with capture'],
]);

const protocol = checkedText((written, cursor) => {
  const word = written.toUpperCase();
  if (word === 'HTTP') return word;
  const reason = later.get(word);
  if (reason === undefined) {
    const fix = didYouMean(word, ['HTTP', ...later.keys()], 'Write `HTTP`.');
    return cursor.complain('value-unknown', `\`${written}\` is not a protocol`, fix);
  }
  const fix = 'Write `HTTP` if it is HTTP/1.1, else remove this port.';
  return cursor.complain('protocol-not-implemented', `\`${written}\`: ${reason}`, fix);
});

const portName = checkedText((name, cursor) => {
  if (isDnsLabel(name)) return name;
  const fix = 'Write lower-case letters, digits and `-`, for example `http`.';
  return cursor.complain('bad-name', `\`${name}\` is not the name of a port`, fix);
});

interface PortShape {
  readonly name: string | undefined;
  readonly offsets: Readonly<Record<string, number>>;
}

function checkProtocol(port: PortShape, cursor: Cursor): void {
  if ('protocol' in port.offsets) return;
  if (port.name !== undefined && /^http(?:-|$)/.test(port.name)) return;
  const message = 'The protocol of this port is not said, and nothing is detected yet';
  cursor.complain('protocol-not-implemented', message, 'Add `protocol: HTTP`.');
}

const fields = { number: needed(portNumber), protocol: optional(protocol) };

/** A port of a ServiceEntry; endpoints refer to it by name. */
export const servicePort = checked(
  record({ ...fields, name: needed(portName), targetPort: optional(portNumber) }),
  checkProtocol,
);

/** A port of a Sidecar's listener. */
export const listenerPort = checked(
  record(
    { ...fields, name: optional(portName) },
    { targetPort: 'it has no meaning on a listener' },
  ),
  checkProtocol,
);
