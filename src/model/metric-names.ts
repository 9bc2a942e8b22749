/**
 * Metrics that sidecars send by OTLP and that the viewer understands, with their attributes.
 *
 * Telemetry writes them, the viewer reads them: the list is here so that neither copies the other.
 * Names without `tracecar` are those of semantic conventions 1.44 (reference/tracing.md 2.3). All
 * are cumulative and monotonic since the process began; their resource is that of its spans.
 */

export const metricNames = {
  /** Histogram in seconds, `latencyBoundsUs` as bounds: exchanges that came in, sampled or not. */
  serverDuration: 'http.server.request.duration',
  /** The same of attempts that went out, one each, also those that never connected. */
  clientDuration: 'http.client.request.duration',
  /** Sum in `By`: bytes of bodies, by zone. */
  zoneBytes: 'tracecar.bytes',
} as const;

/** Attributes of their points. An absent one does not apply; unknown further ones are ignored. */
export const metricAttributes = {
  /** Text, both: as on spans. */
  method: 'http.request.method',
  /** Integer, both: absent when no status was sent or received. */
  status: 'http.response.status_code',
  /** Text, both: the status as text where it is an error, else the cause's word; absent: good. */
  errorType: 'error.type',
  /** Text, both: `1.0`, `1.1`, `2`. */
  protocolVersion: 'network.protocol.version',
  /** Text, server only. */
  scheme: 'url.scheme',
  /** Text and integer, client only: of the cluster, never of a request. */
  serverAddress: 'server.address',
  serverPort: 'server.port',
  /** Text, client only: whom the cluster stands for, as on spans. */
  peerService: 'service.peer.name',
  /** Text, both: name of the route, as on spans. */
  route: 'tracecar.route',
  /** Text, client only: `Rule.identity`; on spans `tracecar.rule` is its index. */
  ruleId: 'tracecar.rule.id',
  /** Text, client only: subset that the rule chose; absent: no subset. */
  subset: 'tracecar.subset',
  /** Text, of `zoneBytes`: `inbound` or `outbound`. */
  direction: 'tracecar.direction',
  /** Text, of `zoneBytes`: '' where it is not known. */
  sourceZone: 'tracecar.zone.source',
  destinationZone: 'tracecar.zone.destination',
} as const;
