/**
 * The application's own probes, as the injector moved them out of the pod's specification.
 *
 *   TRACECAR_PROBES = {"/app-health/app/readyz": {"httpGet": {"path": "/ok", "port": 8080},
 *                      "timeoutSeconds": 1}, ...}
 *
 * Kubernetes' Probe fields, ports already numbers. Read once at start; what is wrong in it ends the
 * start with one line, because a probe that answers by chance is worse than none.
 */

/** One probe; the field names are Kubernetes'. */
export interface Probe {
  /** `/app-health/<container>/<readyz|livez|startupz|poststart|prestop>`. */
  readonly path: string;
  /** A hook, which may do more than ask: only who knows the drain secret may run it. */
  readonly isHook: boolean;
  readonly timeoutMs: number;
  readonly action: HttpAction | TcpAction | GrpcAction;
}

export interface HttpAction {
  readonly kind: 'http';
  /** With its query. */
  readonly path: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface TcpAction {
  readonly kind: 'tcp';
  readonly port: number;
}

export interface GrpcAction {
  readonly kind: 'grpc';
  readonly port: number;
  /** Empty: the server as a whole. */
  readonly service: string;
}

export type ProbesResult = { readonly probes: readonly Probe[] } | { readonly problem: string };

type Fields = Readonly<Record<string, unknown>>;

const pathPattern =
  /^\/app-health\/[a-z0-9]([-a-z0-9]*[a-z0-9])?\/(readyz|livez|startupz|poststart|prestop)$/;

/** Reads the variable's text; empty is no probe. */
export function readProbes(text: string): ProbesResult {
  if (text.trim() === '') return { probes: [] };
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { problem: 'TRACECAR_PROBES is not JSON' };
  }
  if (!isFields(parsed)) return { problem: 'TRACECAR_PROBES is no JSON object' };
  const probes: Probe[] = [];
  for (const [path, value] of Object.entries(parsed)) {
    if (!pathPattern.test(path)) {
      return { problem: `TRACECAR_PROBES: ${JSON.stringify(path)} is not the path of a probe` };
    }
    const probe = isFields(value) ? readProbe(path, value) : 'it is no JSON object';
    if (typeof probe === 'string') return { problem: `TRACECAR_PROBES: ${path}: ${probe}` };
    probes.push(probe);
  }
  return { probes };
}

function readProbe(path: string, fields: Fields): Probe | string {
  const seconds = fields.timeoutSeconds ?? 1;
  if (typeof seconds !== 'number' || !(seconds > 0 && seconds <= 3_600)) {
    return 'timeoutSeconds is a number of seconds';
  }
  const action = readAction(fields);
  if (typeof action === 'string') return action;
  return { path, isHook: /\/(poststart|prestop)$/.test(path), timeoutMs: seconds * 1_000, action };
}

function readAction(fields: Fields): Probe['action'] | string {
  const { httpGet, tcpSocket, grpc } = fields;
  const given = [httpGet, tcpSocket, grpc].find((each) => each !== undefined);
  if (!isFields(given)) return 'it has one of httpGet, tcpSocket and grpc';
  const { port } = given;
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return 'port is a number from 1 to 65535';
  }
  if (httpGet !== undefined) return readHttp(given, port);
  if (tcpSocket !== undefined) return { kind: 'tcp', port };
  const { service } = given;
  return { kind: 'grpc', port, service: typeof service === 'string' ? service : '' };
}

function readHttp(fields: Fields, port: number): HttpAction | string {
  const { path, scheme, httpHeaders } = fields;
  const text = typeof path === 'string' && path !== '' ? path : '/';
  const headers: [string, string][] = [];
  for (const each of Array.isArray(httpHeaders) ? httpHeaders : []) {
    const { name, value } = isFields(each) ? each : {};
    if (typeof name !== 'string' || typeof value !== 'string') {
      return 'httpHeaders is a list of {name, value}';
    }
    headers.push([name, value]);
  }
  return {
    kind: 'http',
    path: text.startsWith('/') ? text : `/${text}`,
    port,
    isTls: typeof scheme === 'string' && scheme.toUpperCase() === 'HTTPS',
    headers,
  };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
