/**
 * Sidecar: the fields of networking.istio.io that say where a proxy listens and what it can reach.
 *
 * Without capture every listener has a socket of its own: `ingress` in front of the application,
 * `egress` for what it calls. Whether something captures connections is a matter of the sidecar, not
 * of the files: what depends on it is complained of in `check-capture.ts`.
 */

import { isIP } from 'node:net';
import {
  checked,
  checkedText,
  choice,
  list,
  needed,
  optional,
  placed,
  record,
} from '../syntax/schema.ts';
import { egressPort, ingressPort, isHttps } from './http-port.ts';
import { listenerTls } from './listener-tls.ts';
import { ipAddress, isDnsLabel, isHostPattern, labels } from './values.ts';

const captureMode = optional(
  choice<'none' | 'default' | 'iptables'>({
    NONE: 'none',
    DEFAULT: 'default',
    IPTABLES: 'iptables',
  }),
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

const ingressRecord = record(
  {
    port: needed(ingressPort),
    bind: optional(ipAddress),
    captureMode,
    defaultEndpoint: needed(defaultEndpoint),
    tls: optional(listenerTls),
  },
  { connectionPool: 'limits of single listeners' },
);

const ingressListener = checked(ingressRecord, (listener, cursor) => {
  if (!isHttps(listener.port) || 'tls' in listener.offsets) return;
  const place = { ...cursor.at, path: `${cursor.path}.tls` };
  const message = '`tls` is missing: this listener says HTTPS';
  const fix = 'Add `tls: {mode: SIMPLE, serverCertificate: FILE, privateKey: FILE}`, or say HTTP.';
  cursor.reading.complaints.add('field-missing', place, message, fix);
});

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

const egressListener = record({
  port: optional(egressPort),
  bind: optional(ipAddress),
  captureMode,
  hosts: needed(list(placed(egressHost))),
});

const outboundTrafficPolicy = record(
  {
    mode: optional(
      choice<'registry-only' | 'allow-any'>(
        { REGISTRY_ONLY: 'registry-only', ALLOW_ANY: 'allow-any' },
        { ALLOW_ANY_DYNAMIC_DNS: 'DNS for unknown hosts' },
      ),
    ),
  },
  { egressProxy: 'egress gateways' },
);

const workloadSelector = record({ labels: optional(labels) });

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
    ingress: optional(list(ingressListener)),
    egress: optional(list(egressListener)),
    outboundTrafficPolicy: optional(outboundTrafficPolicy),
  },
  { inboundConnectionPool: 'limits of inbound connections' },
);

export type SidecarSpec = NonNullable<ReturnType<typeof sidecarSpec>>;
export type IngressListener = NonNullable<SidecarSpec['ingress']>[number];
export type EgressListener = NonNullable<SidecarSpec['egress']>[number];
