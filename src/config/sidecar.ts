/**
 * Sidecar: the fields of networking.istio.io that say where a proxy listens and what it can reach.
 *
 * Without capture every listener is explicit: `ingress` in front of the application, `egress` for what
 * the application calls. Everything that needs capture or TLS is refused by name.
 */

import { isIP } from 'node:net';
import { listenerPort } from './http-port.ts';
import { checked, checkedText, choice, list, needed, optional, placed, record } from './schema.ts';
import { ipAddress, isDnsLabel, isHostPattern, labels } from './values.ts';

const captureMode = optional(
  choice({ NONE: 'none', DEFAULT: 'none' }, { IPTABLES: 'it needs capture' }),
);

/** Where an inbound listener forwards to: always the own machine. */
export interface LocalEndpoint {
  readonly address: string;
  readonly port: number;
}

const endpointFix = 'Write `127.0.0.1:PORT` (the port that the application opens).';

const defaultEndpoint = checkedText<LocalEndpoint>((written, cursor) => {
  if (written.startsWith('unix:')) {
    const message = '`unix:` is not implemented yet (applications on Unix sockets)';
    return cursor.complain('value-not-implemented', message, endpointFix);
  }
  const parts = /^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d{1,5})$/.exec(written);
  const port = Number(parts?.[2]);
  if (parts === null || port < 1 || port > 65_535) {
    return cursor.complain('bad-endpoint', `\`${written}\` is not a local endpoint`, endpointFix);
  }
  // The unspecified address means the workload's own; here that is the loopback interface.
  return { address: parts[1]!.startsWith('[') ? '::1' : '127.0.0.1', port };
});

const ingressListener = record(
  {
    port: needed(listenerPort),
    bind: optional(ipAddress),
    captureMode,
    defaultEndpoint: needed(defaultEndpoint),
  },
  { tls: 'TLS of single listeners', connectionPool: 'limits of single listeners' },
);

/** `NAMESPACE/HOST` of an egress listener, taken apart. */
export interface EgressHost {
  /** A namespace, `.` (the Sidecar's own), `*` (every one) or `~` (none). */
  readonly namespace: string;
  /** A full name, `*.suffix` or `*`. */
  readonly host: string;
}

const egressHost = checkedText<EgressHost>((written, cursor) => {
  const slash = written.indexOf('/');
  const fix =
    'Write NAMESPACE/HOST, for example `./*` or `default/reviews.default.svc.cluster.local`.';
  if (slash === -1) {
    const message = `\`${written}\` names no namespace`;
    return cursor.complain(
      'bad-egress-host',
      message,
      `${fix} \`./${written}\` is this namespace.`,
    );
  }
  const namespace = written.slice(0, slash);
  const host = written.slice(slash + 1).toLowerCase();
  const isNamespaceGood = ['.', '*', '~'].includes(namespace) || isDnsLabel(namespace);
  if (!isNamespaceGood || !isHostPattern(host)) {
    return cursor.complain('bad-egress-host', `\`${written}\` is not NAMESPACE/HOST`, fix);
  }
  return { namespace, host };
});

const egressRecord = record({
  port: optional(listenerPort),
  bind: optional(ipAddress),
  captureMode,
  hosts: needed(list(placed(egressHost))),
});

const egressListener = checked(egressRecord, (listener, cursor) => {
  if ('port' in listener.offsets) return;
  const message = 'This listener has no port: it can only be reached with capture';
  const fix = 'Add `port: {number: PORT, protocol: HTTP}`; the application calls 127.0.0.1:PORT.';
  cursor.complain('listener-without-port', message, fix);
});

const outboundTrafficPolicy = record(
  {
    mode: optional(
      choice(
        { REGISTRY_ONLY: 'registry-only' },
        {
          ALLOW_ANY: 'it needs capture; unknown hosts are answered with 404',
          ALLOW_ANY_DYNAMIC_DNS: 'DNS for unknown hosts',
        },
      ),
    ),
  },
  { egressProxy: 'egress gateways' },
);

const workloadSelector = record({ labels: optional(labels) });

const ingress = checked(list(ingressListener), (all, cursor) => {
  for (const { port, bind, defaultEndpoint: endpoint, at, offsets } of all) {
    if (endpoint.port !== port.number) continue;
    if (bind !== undefined && isIP(bind) !== 0 && !overlaps(bind, endpoint.address)) continue;
    const place = {
      ...at,
      path: `${at.path}.defaultEndpoint`,
      offset: offsets.defaultEndpoint!,
    };
    const message = 'This listener forwards to itself';
    const fix = 'Give the listener another port than the application.';
    cursor.reading.complaints.add('listener-loop', place, message, fix);
  }
});

/** Whether a listener on `bind` takes connections to `address` (same port). */
export function overlaps(bind: string, address: string): boolean {
  return bind === address || bind === '::' || address === '::' || anyVersion4(bind, address);
}

function anyVersion4(first: string, second: string): boolean {
  if (isIP(first) !== 4 || isIP(second) !== 4) return false;
  return first === '0.0.0.0' || second === '0.0.0.0';
}

export const sidecarSpec = record(
  {
    workloadSelector: optional(workloadSelector),
    ingress: optional(ingress),
    egress: optional(list(egressListener)),
    outboundTrafficPolicy: optional(outboundTrafficPolicy),
  },
  { inboundConnectionPool: 'limits of inbound connections' },
);

export type SidecarSpec = NonNullable<ReturnType<typeof sidecarSpec>>;
