/**
 * HTTP port: a named port with its protocol, as ServiceEntries and Sidecars write it.
 *
 * Listeners are for HTTP/1.1 only for now, so theirs must be said: by `protocol:` or, as in
 * Kubernetes, by a name that begins with `http-`. HTTPS is said where TLS ends in the sidecar. A port
 * of a service may speak anything over TCP, and what it speaks is detected where it is not said.
 */

import type { Cursor } from '../syntax/cursor.ts';
import { didYouMean, listOfNames } from '../syntax/nearest-name.ts';
import { checked, checkedText, needed, optional, type Reader, record } from '../syntax/schema.ts';
import { isDnsLabel, portNumber } from './values.ts';

const tlsReason = 'listeners for TLS are not implemented yet; capture relays it';
const tcpReason = 'listeners for plain TCP are not implemented yet; capture relays it';

const later: ReadonlyMap<string, string> = new Map([
  ['HTTP2', 'HTTP/2 is not relayed yet'],
  ['GRPC', 'gRPC needs HTTP/2, which is not relayed yet'],
  ['GRPC-WEB', 'gRPC-Web is not implemented yet'],
  ['HTTP_PROXY', 'forward proxies are not implemented yet'],
  ['HTTPS', tlsReason],
  ['TLS', tlsReason],
  ['TCP', tcpReason],
  ['UDP', 'UDP is not relayed'],
  ['MONGO', tcpReason],
  ['REDIS', tcpReason],
  ['MYSQL', tcpReason],
]);

/** HTTP, or HTTPS where `takesTls`. */
function protocolOf(takesTls: boolean): Reader<'HTTP' | 'HTTPS'> {
  return checkedText((written, cursor) => {
    const word = written.toUpperCase();
    if (word === 'HTTP' || (takesTls && word === 'HTTPS')) return word;
    const reason = later.get(word);
    if (reason === undefined) {
      const fix = didYouMean(word, ['HTTP', ...later.keys()], 'Write `HTTP`.');
      return cursor.complain('value-unknown', `\`${written}\` is not a protocol`, fix);
    }
    const fix = 'Write `HTTP` if it is HTTP/1.1, else remove this port.';
    return cursor.complain('protocol-not-implemented', `\`${written}\`: ${reason}`, fix);
  });
}

const serviceProtocols = [
  'HTTP',
  'HTTP2',
  'GRPC',
  'HTTPS',
  'TLS',
  'TCP',
  'MONGO',
  'REDIS',
  'MYSQL',
];
const opaqueProtocols = new Set(['HTTP2', 'GRPC']);

/** What a port of a service speaks; `declaredProtocol` says what that means. */
const serviceProtocol = checkedText((written, cursor) => {
  const word = written.toUpperCase();
  if (opaqueProtocols.has(word)) {
    const message = `\`${written}\` is balanced by connection: rules for its requests do not hold yet`;
    cursor.complain('protocol-opaque', message, 'Write `HTTP` if it is HTTP/1.1.');
  }
  if (serviceProtocols.includes(word)) return word;
  const reason = later.get(word);
  if (reason !== undefined) {
    const fix = `Write ${listOfNames(serviceProtocols, 20)}.`;
    return cursor.complain('protocol-not-implemented', `\`${written}\`: ${reason}`, fix);
  }
  const fix = didYouMean(word, serviceProtocols, `Write ${listOfNames(serviceProtocols, 20)}.`);
  return cursor.complain('value-unknown', `\`${written}\` is not a protocol`, fix);
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
  const message = 'The protocol of this port is not said';
  cursor.complain('protocol-not-implemented', message, 'Add `protocol: HTTP`.');
}

const fields = { number: needed(portNumber), protocol: optional(protocolOf(false)) };
const noTargetPort = { targetPort: 'it has no meaning on a listener' };

/** A port of a ServiceEntry; endpoints refer to it by name. */
export const servicePort = record({
  ...fields,
  protocol: optional(serviceProtocol),
  name: needed(portName),
  targetPort: optional(portNumber),
});

/** A port of an egress listener. */
export const egressPort = checked(
  record({ ...fields, name: optional(portName) }, noTargetPort),
  checkProtocol,
);

/** A port of an ingress listener; `isHttps` asks whether TLS is expected there. */
export const ingressPort = checked(
  record(
    { ...fields, protocol: optional(protocolOf(true)), name: optional(portName) },
    noTargetPort,
  ),
  (port, cursor) => {
    if (!isHttps(port)) checkProtocol(port, cursor);
  },
);

/** Whether a port says HTTPS, by its protocol or else by its name. */
export function isHttps(port: NonNullable<ReturnType<typeof ingressPort>>): boolean {
  if ('protocol' in port.offsets) return port.protocol === 'HTTPS';
  return port.name !== undefined && /^https(?:-|$)/.test(port.name);
}
