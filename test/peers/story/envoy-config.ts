/**
 * Envoy's configuration as a sidecar of the shop: a listener in front of the application, one for what
 * it calls, and its OpenTelemetry tracer on both. What the mesh of the example does, by hand.
 *
 * In Envoy's favour: no access log, no extra filter, connections kept, and one span a hop and no more.
 */

const types = 'type.googleapis.com/envoy';
const hcm = `${types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const router = `${types}.extensions.filters.http.router.v3.Router`;
const openTelemetry = `${types}.config.trace.v3.OpenTelemetryConfig`;
const downstreamTls = `${types}.extensions.transport_sockets.tls.v3.DownstreamTlsContext`;
const httpOptions = `${types}.extensions.upstreams.http.v3.HttpProtocolOptions`;

export const envoyPorts = { inbound: 9081, inboundTls: 9443, outbound: 10_001 } as const;

export interface EnvoySidecar {
  /** `service.name` of its spans. */
  readonly service: string;
  /** The inbound listener ends TLS with /etc/tls/tls.crt and tls.key. */
  readonly hasTls: boolean;
  /** What the application calls: host names with weights; none when it calls nobody. */
  readonly upstreams: readonly { readonly host: string; readonly weight: number }[];
  /** Share of new traces that it exports, in percent. */
  readonly samplingPercent: number;
  /** Where spans go: OTLP over gRPC. */
  readonly collector: { readonly address: string; readonly port: number };
}

/** A bootstrap as JSON, which Envoy reads like YAML. */
export function envoyConfig(sidecar: EnvoySidecar): string {
  const { hasTls, upstreams, collector } = sidecar;
  const inbound = listener(sidecar, {
    name: 'inbound',
    address: '0.0.0.0',
    port: hasTls ? envoyPorts.inboundTls : envoyPorts.inbound,
    direction: 'INBOUND',
    route: { cluster: 'application', timeout: '15s' },
  });
  const outbound = listener(sidecar, {
    name: 'outbound',
    address: '127.0.0.1',
    port: envoyPorts.outbound,
    direction: 'OUTBOUND',
    route: {
      weighted_clusters: {
        clusters: upstreams.map(({ host, weight }) => ({ name: host, weight })),
      },
      timeout: '15s',
    },
  });
  return JSON.stringify(
    {
      static_resources: {
        listeners: upstreams.length === 0 ? [inbound] : [inbound, outbound],
        clusters: [
          cluster('application', 'STATIC', '127.0.0.1', 9080),
          ...upstreams.map(({ host }) => cluster(host, 'STRICT_DNS', host, 9080)),
          {
            ...cluster('collector', 'STATIC', collector.address, collector.port),
            typed_extension_protocol_options: {
              'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
                '@type': httpOptions,
                explicit_http_config: { http2_protocol_options: {} },
              },
            },
          },
        ],
      },
    },
    null,
    2,
  );
}

interface ListenerPlan {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly direction: 'INBOUND' | 'OUTBOUND';
  readonly route: object;
}

function listener({ service, hasTls, samplingPercent }: EnvoySidecar, plan: ListenerPlan): object {
  const { name, address, port, direction, route } = plan;
  const file = (path: string) => ({ filename: `/etc/tls/${path}` });
  const tls = {
    name: 'tls',
    typed_config: {
      '@type': downstreamTls,
      common_tls_context: {
        alpn_protocols: ['http/1.1'],
        tls_certificates: [{ certificate_chain: file('tls.crt'), private_key: file('tls.key') }],
      },
    },
  };
  const filters = [
    {
      name: 'http',
      typed_config: {
        '@type': hcm,
        stat_prefix: name,
        codec_type: 'HTTP1',
        tracing: {
          random_sampling: { value: samplingPercent },
          provider: {
            name: 'envoy.tracers.opentelemetry',
            typed_config: {
              '@type': openTelemetry,
              grpc_service: { envoy_grpc: { cluster_name: 'collector' }, timeout: '1s' },
              service_name: service,
            },
          },
        },
        route_config: {
          virtual_hosts: [{ name, domains: ['*'], routes: [{ match: { prefix: '/' }, route }] }],
        },
        http_filters: [{ name: 'router', typed_config: { '@type': router } }],
      },
    },
  ];
  const isTls = hasTls && direction === 'INBOUND';
  return {
    name,
    traffic_direction: direction,
    address: { socket_address: { address, port_value: port } },
    filter_chains: [{ filters, ...(isTls ? { transport_socket: tls } : {}) }],
  };
}

function cluster(name: string, type: string, address: string, port: number): object {
  const socket = { socket_address: { address, port_value: port } };
  return {
    name,
    type,
    connect_timeout: '1s',
    dns_lookup_family: 'V4_ONLY',
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: socket } }] }],
    },
  };
}
