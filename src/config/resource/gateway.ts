/**
 * Gateway: the fields of networking.istio.io that say where the mesh meets the world outside.
 *
 * Every proxy whose labels the selector asks for listens on the servers' ports. Implemented: HTTP with
 * redirects to https, HTTPS that ends here, TLS that is passed through. Everything else of Istio's type is
 * refused by name.
 */

import { didYouMean } from '../syntax/nearest-name.ts';
import {
  checked,
  checkedText,
  list,
  needed,
  optional,
  placed,
  record,
  text,
} from '../syntax/schema.ts';
import { type GatewayTls, gatewayTls } from './gateway-tls.ts';
import { ipAddress, isDnsLabel, isHostPattern, labels, portNumber } from './values.ts';

const later: ReadonlyMap<string, string> = new Map([
  ['HTTP2', 'HTTP/2 is not relayed yet'],
  ['GRPC', 'gRPC needs HTTP/2, which is not relayed yet'],
  ['GRPC-WEB', 'gRPC-Web is not implemented yet'],
  ['TCP', 'gateways for plain TCP are not implemented yet'],
  ['MONGO', 'gateways for plain TCP are not implemented yet'],
  ['UDP', 'UDP is not relayed'],
]);
const protocols = ['HTTP', 'HTTPS', 'TLS'];

const gatewayProtocol = checkedText((written, cursor) => {
  const word = written.toUpperCase();
  if (protocols.includes(word)) return word as 'HTTP' | 'HTTPS' | 'TLS';
  const reason = later.get(word);
  const fix = 'Write `HTTP`, `HTTPS` or `TLS`.';
  if (reason === undefined) {
    const message = `\`${written}\` is not a protocol`;
    return cursor.complain('value-unknown', message, didYouMean(word, protocols, fix));
  }
  return cursor.complain('protocol-not-implemented', `\`${written}\`: ${reason}`, fix);
});

const gatewayPort = record(
  { number: needed(portNumber), protocol: needed(gatewayProtocol), name: optional(text) },
  { targetPort: 'it has no meaning on a listener' },
);

/** `NAMESPACE/HOST` or `HOST` of a server, taken apart. */
export interface GatewayHost {
  /** Of the VirtualServices that may bind it: a name, `.` (the Gateway's own) or `*` (any). */
  readonly namespace: string;
  /** A DNS name, `*.suffix` or `*`. */
  readonly host: string;
}

const gatewayHost = checkedText<GatewayHost>((written, cursor) => {
  const slash = written.indexOf('/');
  const namespace = slash === -1 ? '*' : written.slice(0, slash);
  const host = written
    .slice(slash + 1)
    .toLowerCase()
    .replace(/\.$/, '');
  const isNamespaceGood = ['.', '*'].includes(namespace) || isDnsLabel(namespace);
  if (isNamespaceGood && isHostPattern(host)) return { namespace, host };
  const fix = 'Write a DNS name, `*.SUFFIX` or `*`; or NAMESPACE/HOST.';
  return cursor.complain('bad-name', `\`${written}\` is not a host`, fix);
});

const serverRecord = record(
  {
    port: needed(gatewayPort),
    hosts: needed(list(placed(gatewayHost))),
    tls: optional(gatewayTls),
    bind: optional(ipAddress),
    name: optional(text),
  },
  { defaultEndpoint: 'servers without a VirtualService' },
);

type WrittenServer = NonNullable<ReturnType<typeof serverRecord>>;

const gatewayServer = checked(serverRecord, (server, cursor) => {
  const { complaints } = cursor.reading;
  const { tls, port } = server;
  const place = { ...cursor.at, path: `${cursor.path}.tls` };
  if ('tls' in server.offsets) place.offset = server.offsets.tls!;
  if (tls === undefined) {
    if (port.protocol === 'HTTP' || 'tls' in server.offsets) return;
    const message = `\`tls\` is missing: this server says ${port.protocol}`;
    const fix = 'Add `tls: {mode: SIMPLE, credentialName: NAME}`, or say HTTP.';
    complaints.add('field-missing', place, message, fix);
    return;
  }
  const problem = tlsProblem(server, tls);
  if (problem !== undefined) complaints.add(...problemAt(place, problem));
});

type Problem = readonly ['field-missing' | 'one-of' | 'protocol-not-implemented', string, string];
type WrittenPlace = WrittenServer['at'];

function problemAt(place: WrittenPlace, [kind, message, fix]: Problem) {
  return [kind, place, message, fix] as const;
}

/** What does not fit together in the TLS of one server. */
function tlsProblem({ port: { protocol } }: WrittenServer, tls: GatewayTls): Problem | undefined {
  if (protocol === 'HTTP') {
    const isRedirect = tls.httpsRedirect !== undefined && !('mode' in tls.offsets);
    if (isRedirect) return undefined;
    const fix = 'Write `protocol: HTTPS`, or only `httpsRedirect: true` here.';
    return ['one-of', 'This server says HTTP, and `tls` says that TLS ends here', fix];
  }
  if (tls.httpsRedirect === true) {
    const fix = 'Write it at the server of HTTP; this one is where it leads to.';
    return ['one-of', '`httpsRedirect` means nothing where TLS is spoken already', fix];
  }
  const { mode } = tls;
  if (mode === undefined) {
    if ('mode' in tls.offsets) return undefined;
    return ['field-missing', '`mode` is missing', 'Add `mode: SIMPLE` (or `mode: PASSTHROUGH`).'];
  }
  if (mode === 'passthrough') return undefined;
  if (protocol === 'TLS') {
    const message = 'TLS that ends here and holds no HTTP is not implemented yet';
    return ['protocol-not-implemented', message, 'Write `protocol: HTTPS`, or `PASSTHROUGH`.'];
  }
  return pairProblem(tls);
}

/** Whether there is one way to a certificate, and one to the roots that its mode needs. */
function pairProblem(tls: GatewayTls): Problem | undefined {
  const { offsets } = tls;
  const ways = ['credentialName', 'credentialNames', 'serverCertificate', 'tlsCertificates'];
  const written = ways.filter((way) => way in offsets);
  if (written.length === 0) {
    const fix = 'Add `credentialName: NAME`, or `serverCertificate: FILE` and `privateKey: FILE`.';
    return ['field-missing', 'This server has no certificate', fix];
  }
  if (written.length > 1) {
    const fix = 'Keep one; `credentialNames` and `tlsCertificates` take two of different keys.';
    return ['one-of', `\`${written.join('` and `')}\` exclude each other`, fix];
  }
  if ('serverCertificate' in offsets !== 'privateKey' in offsets) {
    const fix = 'Add the one that is missing.';
    return ['field-missing', '`serverCertificate` and `privateKey` need each other', fix];
  }
  const hasRoots = 'caCertificates' in offsets || 'caCertCredentialName' in offsets;
  const usesFiles = written[0] === 'serverCertificate' || written[0] === 'tlsCertificates';
  if (tls.mode === 'simple') {
    if (!hasRoots && !('subjectAltNames' in offsets)) return undefined;
    const what = hasRoots ? 'Roots mean' : '`subjectAltNames` means';
    const fix = 'Remove that, or write `mode: MUTUAL`.';
    return ['one-of', `${what} nothing with SIMPLE: downstream shows no certificate`, fix];
  }
  if (hasRoots || !usesFiles) return undefined;
  return ['field-missing', '`caCertificates` is missing', 'Add `caCertificates: FILE`.'];
}

export const gatewaySpec = record({
  selector: needed(
    checked(labels, (wanted, cursor) => {
      if (Object.keys(wanted).length > 0) return;
      const fix = 'Write the labels of the gateway, for example `app: ingress`.';
      cursor.complain('field-missing', 'A selector without labels would take every sidecar', fix);
    }),
  ),
  servers: needed(list(gatewayServer)),
});

export type GatewaySpec = NonNullable<ReturnType<typeof gatewaySpec>>;
export type GatewayServerSpec = GatewaySpec['servers'][number];
