/**
 * Jaeger, the real one, for tests. All in memory; it ends with close() or with its cluster.
 *
 * In a cluster's network namespace it has its usual ports: OTLP on 4317 (gRPC) and 4318 (HTTP), query
 * API v3 on 16686, and pods reach it at the node's address. Without one it is on free loopback ports
 * of this machine, by a configuration of its own (`--set` only overrides a file).
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { freePorts } from '../../bench/stage/free-ports.ts';
import type { Cluster } from './cluster/cluster.ts';
import { goProgram } from './go-peers.ts';

export interface JaegerSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** '' for a root. */
  readonly parentSpanId: string;
  readonly name: string;
  /** OTLP's number: 2 server, 3 client. */
  readonly kind: number;
  /** `service.name` of the resource. */
  readonly service: string;
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface JaegerTrace {
  readonly traceId: string;
  readonly spans: readonly JaegerSpan[];
}

/**
 * Starts it and waits until both OTLP and the query API answer. About 1 s. `prometheus`: the URL of
 * what its Monitor tab asks, not in a cluster.
 */
export async function startJaeger(
  options: { readonly inNamespaceOf?: Cluster; readonly prometheus?: string } = {},
): Promise<Jaeger> {
  const cluster = options.inNamespaceOf;
  return cluster === undefined ? startHere(options.prometheus) : startInCluster(cluster);
}

async function startInCluster(cluster: Cluster): Promise<Jaeger> {
  const program = cluster.start('jaeger', [goProgram('jaeger')], {
    JAEGER_LISTEN_HOST: '0.0.0.0',
    GOMEMLIMIT: '1GiB',
  });
  const ports = [4317, 4318, 16686];
  await Promise.all(ports.map((port) => cluster.untilListening('127.0.0.1', port, 20_000)));
  const query = await cluster.open('127.0.0.1', 16686);
  return new Jaeger(`http://${cluster.nodeAddress}:4318`, `http://127.0.0.1:${query.port}`, {
    close: async () => {
      await query.close();
      // It keeps nothing, and waits for open connections when it is asked to end.
      await program.close('SIGKILL');
    },
  });
}

/** Between finding free ports and listening on them another process may take one. */
const tries = 3;

async function startHere(prometheus?: string): Promise<Jaeger> {
  for (let left = tries - 1; ; left--) {
    try {
      return await startOn(await freePorts(4), prometheus);
    } catch (error) {
      if (left === 0 || !String(error).includes('address already in use')) throw error;
    }
  }
}

async function startOn(ports: readonly number[], prometheus?: string): Promise<Jaeger> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-jaeger-'));
  const file = join(folder, 'jaeger.yaml');
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(configuration(ports, prometheus)));
  const child = spawn(goProgram('jaeger'), ['--config', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, GOMEMLIMIT: '1GiB' },
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = once(child, 'close').finally(() => {
    process.removeListener('exit', kill);
    rmSync(folder, { recursive: true, force: true });
  });
  const [query, , grpc, http] = ports;
  await untilReady(child);
  child.stderr.resume();
  const jaeger = new Jaeger(`http://127.0.0.1:${http}`, `http://127.0.0.1:${query}`, {
    close: async () => {
      kill();
      await ended;
    },
  });
  jaeger.grpcUrl = `http://127.0.0.1:${grpc}`;
  return jaeger;
}

/** Until it says that it is ready; rejects with its last lines when it ends before. */
async function untilReady(child: ChildProcessByStdio<null, null, Readable>): Promise<void> {
  let said = '';
  await new Promise<void>((ready, failed) => {
    const guard = setTimeout(() => {
      child.kill('SIGKILL');
      failed(new Error(`Jaeger is not ready after 30 s:\n${said.slice(-2000)}`));
    }, 30_000);
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk).slice(-20_000);
      if (!said.includes('Everything is ready')) return;
      clearTimeout(guard);
      ready();
    });
    child.once('error', failed);
    child.once('close', () => {
      clearTimeout(guard);
      failed(new Error(`Jaeger did not start:\n${said.slice(-2000)}`));
    });
  });
}

function configuration(
  [query, queryGrpc, grpc, http]: readonly number[],
  prometheus: string | undefined,
) {
  const counts = { endpoint: prometheus, normalize_calls: true, normalize_duration: true };
  const monitor = prometheus === undefined ? {} : { metrics: 'counts' };
  const at = (port: number | undefined) => ({ endpoint: `127.0.0.1:${port}` });
  return {
    service: {
      extensions: ['jaeger_storage', 'jaeger_query'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { metrics: { level: 'none' } },
    },
    extensions: {
      jaeger_query: {
        storage: { traces: 'memory', ...monitor },
        http: at(query),
        grpc: at(queryGrpc),
      },
      jaeger_storage: {
        backends: { memory: { memory: { max_traces: 100_000 } } },
        ...(prometheus === undefined
          ? {}
          : { metric_backends: { counts: { prometheus: counts } } }),
      },
    },
    receivers: { otlp: { protocols: { grpc: at(grpc), http: at(http) } } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'memory' } },
  };
}

export class Jaeger {
  /** Where pods send OTLP/HTTP: `http://10.99.0.1:4318`; without a cluster a loopback address. */
  readonly otlpUrl: string;
  /** OTLP/gRPC. */
  grpcUrl: string;
  /** Reaches the query API from this process. */
  readonly queryUrl: string;
  private readonly owned: { close(): Promise<void> };

  constructor(otlpUrl: string, queryUrl: string, owned: { close(): Promise<void> }) {
    this.otlpUrl = otlpUrl;
    this.grpcUrl = otlpUrl.replace(/:4318$/, ':4317');
    this.queryUrl = queryUrl;
    this.owned = owned;
  }

  /** Names of the services that sent spans, sorted. */
  async services(): Promise<readonly string[]> {
    const answer = (await this.ask('/api/v3/services')) as { services?: string[] } | undefined;
    return (answer?.services ?? []).sort();
  }

  /** A trace by its 32 hexadecimal digits; undefined while no span of it is there. */
  async trace(traceId: string): Promise<JaegerTrace | undefined> {
    return tracesOf(await this.ask(`/api/v3/traces/${traceId}`))[0];
  }

  /** Traces since `sinceMs` (epoch) that have a span of `service`, at most `limit`. */
  async traces(
    service: string,
    limit: number,
    sinceMs: number = Date.now() - 3_600_000,
  ): Promise<readonly JaegerTrace[]> {
    const query = new URLSearchParams({
      'query.service_name': service,
      'query.start_time_min': new Date(sinceMs).toISOString(),
      'query.start_time_max': new Date(Date.now() + 60_000).toISOString(),
      'query.num_traces': String(limit),
    });
    return tracesOf(await this.ask(`/api/v3/traces?${query}`));
  }

  /**
   * Asks until `holds` is true of a trace: spans arrive in batches and Jaeger tells nobody of them.
   * Throws after `timeoutMs` with what has come.
   */
  async waitForTrace(
    traceId: string,
    holds: (trace: JaegerTrace) => boolean,
    timeoutMs = 15_000,
  ): Promise<JaegerTrace> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const trace = await this.trace(traceId);
      if (trace !== undefined && holds(trace)) return trace;
      if (performance.now() > deadline) {
        const spans = trace?.spans.map((span) => `${span.service} ${span.name}`) ?? [];
        throw new Error(`trace ${traceId}: ${spans.length} spans came: ${spans.join(', ')}`);
      }
      await wait(50);
    }
  }

  async close(): Promise<void> {
    await this.owned.close();
  }

  private async ask(path: string): Promise<unknown> {
    const response = await fetch(`${this.queryUrl}${path}`);
    const text = await response.text();
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`Jaeger: ${path}: ${response.status} ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }
}

/** OTLP in JSON, as API v3 wraps it: https://www.jaegertracing.io/docs/2.13/architecture/apis/ */
interface Answer {
  readonly result?: { readonly resourceSpans?: readonly ResourceSpans[] };
}

interface ResourceSpans {
  readonly resource?: { readonly attributes?: readonly Attribute[] };
  readonly scopeSpans?: readonly { readonly spans?: readonly Span[] }[];
}

interface Attribute {
  readonly key: string;
  readonly value?: Readonly<Record<string, unknown>>;
}

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name?: string;
  readonly kind?: number | string;
  readonly startTimeUnixNano?: string;
  readonly endTimeUnixNano?: string;
  readonly attributes?: readonly Attribute[];
}

const kinds = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];

function tracesOf(answer: unknown): JaegerTrace[] {
  const spans = new Map<string, JaegerSpan[]>();
  for (const resource of (answer as Answer | undefined)?.result?.resourceSpans ?? []) {
    const service = attributesOf(resource.resource?.attributes)['service.name'] ?? '';
    for (const span of (resource.scopeSpans ?? []).flatMap((scope) => scope.spans ?? [])) {
      const found = spans.get(span.traceId) ?? [];
      spans.set(span.traceId, found);
      found.push(readSpan(span, service));
    }
  }
  return [...spans].map(([traceId, each]) => ({ traceId, spans: each }));
}

function readSpan(span: Span, service: string): JaegerSpan {
  const { kind } = span;
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId ?? '',
    name: span.name ?? '',
    kind: typeof kind === 'string' ? kinds.indexOf(kind.replace('SPAN_KIND_', '')) : (kind ?? 0),
    service,
    startNs: BigInt(span.startTimeUnixNano ?? 0),
    endNs: BigInt(span.endTimeUnixNano ?? 0),
    attributes: attributesOf(span.attributes),
  };
}

/** Values as text, whatever their type. */
function attributesOf(attributes: readonly Attribute[] = []): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const inner = Object.values(value ?? {})[0];
      return [key, typeof inner === 'object' ? JSON.stringify(inner) : String(inner ?? '')];
    }),
  );
}
