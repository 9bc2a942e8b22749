/**
 * One application behind a real sidecar process, in the middle of a call: who asks and what is asked are
 * the test's, and so is the collector.
 *
 *   test ─► [ sidecar ] ─► application ─► [ sidecar ] ─► origin      both are one process
 *              SERVER                        CLIENT
 *
 * The application asks the origin for what it was asked, with the trace context as it got it, and
 * answers what it is answered; where it is cut off it cuts off.
 */

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createSocketServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { OtlpSink, type SinkSpan } from '../../telemetry/otlp-sink.ts';
import {
  type RunningSidecar,
  serviceEntryYaml,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from '../sidecar-process.ts';

export interface PairOptions {
  /** Ports of the endpoints of each service, `origin` among them: that the application asks. */
  readonly services: Readonly<Record<string, readonly number[]>>;
  /** Flags and variables of the sidecar. */
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** More YAML, each document ending in a line feed. */
  readonly yaml?: string;
}

export interface TracedPair {
  readonly sink: OtlpSink;
  readonly sidecar: RunningSidecar;
  /** Where the sidecar takes requests for the application, and those to the origin. */
  readonly inbound: number;
  readonly outbound: number;
  /** Resolves when the collector has `count` spans whose path or URL has `path` in it. */
  spansOf(path: string, count: number): Promise<readonly SinkSpan[]>;
}

/** The host of a service. */
export function hostOf(service: string): string {
  return `${service}.default.svc.cluster.local`;
}

export async function startPair(t: TestContext, options: PairOptions): Promise<TracedPair> {
  const sink = await OtlpSink.start();
  t.after(() => sink.close());
  const [inbound, outbound] = await freePorts(2);
  const application = await startServer(t, (asked, response) => relay(asked, response, outbound!));
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', meshYaml(inbound!, application, outbound!, options.services));
  if (options.yaml !== undefined) writeConfig(folder, 'routes.yaml', options.yaml);
  const sidecar = await startSidecar(t, folder, options.args, {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_METRICS_EXPORTER: 'none',
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_TRACES_SAMPLER: 'parentbased_always_on',
    OTEL_BSP_SCHEDULE_DELAY: '50',
    OTEL_SERVICE_NAME: 'app',
    ...options.environment,
  });
  const spansOf = async (path: string, count: number) => {
    const found = () => sink.spans.filter((span) => placeOf(span).includes(path));
    await sink.until(() => found().length >= count);
    return found();
  };
  return { sink, sidecar, inbound: inbound!, outbound: outbound!, spansOf };
}

/** A server of the test's that ends with it; its port. */
export async function startServer(
  t: TestContext,
  answer: (asked: IncomingMessage, response: ServerResponse) => void,
): Promise<number> {
  const server = createServer(answer);
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return (server.address() as AddressInfo).port;
}

/** An endpoint that does with each connection as it is told; its port. */
export async function startEndpoint(
  t: TestContext,
  take: (socket: Socket) => void,
): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createSocketServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    take(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  return (server.address() as AddressInfo).port;
}

/** The value of a span's attribute in its own type; undefined when it has none. */
export function attributeIn(span: SinkSpan, key: string): unknown {
  const value = span.attributes.find((each) => each.key === key)?.value;
  if (value === undefined) return undefined;
  if (value.arrayValue !== undefined)
    return value.arrayValue.values.map((each) => each.stringValue);
  return value.stringValue ?? value.intValue ?? value.boolValue ?? value.doubleValue;
}

function placeOf(span: SinkSpan): string {
  return `${attributeIn(span, 'url.path') ?? ''}?${attributeIn(span, 'url.query') ?? ''} ${attributeIn(span, 'url.full') ?? ''}`;
}

function relay(asked: IncomingMessage, response: ServerResponse, outbound: number): void {
  const { method = 'GET', url = '/', headers } = asked;
  const { traceparent, tracestate } = headers;
  const sent = request({
    host: '127.0.0.1',
    port: outbound,
    method,
    path: url,
    agent: false,
    headers: {
      host: `${hostOf('origin')}:9080`,
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(tracestate === undefined ? {} : { tracestate: String(tracestate) }),
    },
  });
  sent.on('response', (answered) => {
    response.writeHead(answered.statusCode ?? 500, answered.headers);
    response.flushHeaders();
    answered.on('error', () => response.destroy());
    answered.pipe(response);
  });
  sent.on('error', () => response.destroy());
  // A FIN would leave the answer wanted (half-close).
  response.on('close', () => {
    if (!response.writableFinished) sent.socket?.resetAndDestroy();
  });
  asked.pipe(sent);
}

function meshYaml(
  inbound: number,
  application: number,
  outbound: number,
  services: PairOptions['services'],
): string {
  const entries = Object.entries(services).map(
    ([name, ports]) => `${serviceEntryYaml(name, ports)}---\n`,
  );
  return `${entries.join('')}${sidecarYaml(inbound, application)}  egress:
    - port:
        number: ${outbound}
        protocol: HTTP
        name: http-out
      bind: 127.0.0.1
      captureMode: NONE
      hosts:
        - default/*
`;
}
