/**
 * A mesh whose head sampler chooses nothing: four services behind sidecar processes of their own, and a
 * collector that keeps what comes all the same.
 *
 *   callers ─► web ─┬─► details                 asked first, and done before anything goes wrong
 *                   └─► reviews ─► ratings      where the fault is planted
 *
 * The applications are the test's and pass trace context on as they got it. `web` and `reviews` answer
 * 200 whatever happens below: nobody but the sidecars knows that something went wrong.
 */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import type { KeepReport } from '../../../src/telemetry/keep/keep-report.ts';
import { OtlpSink, type SinkSpan } from '../../telemetry/otlp-sink.ts';
import {
  anyPorts,
  type LogLine,
  SidecarProcess,
  serviceEntryYaml,
  temporaryFolder,
  writeConfig,
} from '../sidecar-process.ts';
import { RawCaller, rawService } from './raw-http.ts';

const services = ['web', 'details', 'reviews', 'ratings'] as const;
export type Service = (typeof services)[number];

/** Whom each calls, in this order. */
const calls: Readonly<Record<Service, readonly Service[]>> = {
  web: ['details', 'reviews'],
  details: [],
  reviews: ['ratings'],
  ratings: [],
};

type Fault = number | 'cut' | undefined;

export interface MeshOptions {
  /** What an application does instead of answering 200, by path: a status, or half an answer. */
  readonly fault: (service: Service, path: string) => Fault | Promise<Fault>;
  /** Whether a service is called for a path; all are by default. */
  readonly isCalled?: (service: Service, path: string) => boolean;
  /** More flags of the sidecar of a service. */
  readonly flags?: (service: Service) => readonly string[];
}

export interface KeptSpan extends SinkSpan {
  readonly service: string;
}

export class KeptMesh {
  readonly sink: OtlpSink;
  readonly #sidecars: ReadonlyMap<Service, SidecarProcess & LogLine>;
  readonly #entry: RawCaller;

  private constructor(
    sink: OtlpSink,
    sidecars: ReadonlyMap<Service, SidecarProcess & LogLine>,
    entry: RawCaller,
  ) {
    this.sink = sink;
    this.#sidecars = sidecars;
    this.#entry = entry;
  }

  static async start(t: TestContext, options: MeshOptions): Promise<KeptMesh> {
    const sink = await OtlpSink.start();
    t.after(() => sink.close());
    const folder = temporaryFolder(t);
    const ports = await freePorts(services.length + 4);
    const inbound = Object.fromEntries(services.map((name, at) => [name, ports[at]!]));
    const outbound = new Map<string, number>();
    const yaml: string[] = [];
    let next = services.length;
    for (const name of services) {
      for (const called of calls[name]) outbound.set(`${name} ${called}`, ports[next++]!);
    }
    for (const name of services) {
      const portTo = (called: Service) => outbound.get(`${name} ${called}`)!;
      const callers = new Map(calls[name].map((each) => [each, new RawCaller(portTo(each))]));
      t.after(() => {
        for (const caller of callers.values()) caller.close();
      });
      const port = await rawService(t, async ({ path, context }) => {
        for (const [called, caller] of callers) {
          if (options.isCalled?.(called, path) ?? true) await caller.ask(path, context);
        }
        return (await options.fault(name, path)) ?? 200;
      });
      yaml.push(`${serviceEntryYaml(name, [inbound[name]!])}      labels: {app: ${name}}\n`);
      yaml.push(sidecar(name, inbound[name]!, port, calls[name], portTo));
    }
    writeConfig(folder, 'mesh.yaml', yaml.join('---\n'));
    const started = services.map(async (name) => {
      const flags = options.flags?.(name) ?? [];
      return [name, await startSidecar(t, name, folder, sink.url, flags)] as const;
    });
    const sidecars = new Map(await Promise.all(started));
    const entry = new RawCaller(inbound.web!);
    t.after(() => entry.close());
    return new KeptMesh(sink, sidecars, entry);
  }

  /** Asks web for a path; resolves with the status. */
  ask(path: string): Promise<number> {
    return this.#entry.ask(path);
  }

  /** Sends the inbound half of web a keep message; resolves with the status. */
  sendKeep(ids: string): Promise<number> {
    return this.#entry.post('/.tracecar/keep', `x-tracecar-keep: ${ids}\r\n`);
  }

  /** Asks for `count` paths, 32 at a time. */
  async askAll(count: number, pathOf: (index: number) => string): Promise<void> {
    let next = 0;
    const caller = async () => {
      while (next < count) assert.equal(await this.ask(pathOf(next++)), 200);
    };
    await Promise.all(Array.from({ length: 32 }, caller));
  }

  /** Every span that has come, with the service that sent it. */
  spans(): KeptSpan[] {
    return this.sink.requests.flatMap(({ body }) =>
      body.resourceSpans.flatMap(({ resource, scopeSpans }) => {
        const name = resource.attributes.find(({ key }) => key === 'service.name');
        const service = name?.value.stringValue ?? '';
        return scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...span, service })));
      }),
    );
  }

  /** By trace id. */
  traces(): Map<string, KeptSpan[]> {
    return Map.groupBy(this.spans(), ({ traceId }) => traceId);
  }

  /** Resolves when the collector has a trace with a span for that path, and `count` spans of it. */
  async traceOf(path: string, count: number): Promise<KeptSpan[]> {
    let found: KeptSpan[] = [];
    await this.sink.until(() => {
      const spans = [...this.traces().values()];
      found = spans.find((trace) => trace.some((span) => pathOfSpan(span) === path)) ?? [];
      return found.length >= count;
    });
    return found;
  }

  /** Value of a sample of its metrics page, written as there: `name{label="value"}`. */
  async metric(service: Service, sample: string): Promise<number> {
    const page = await (
      await fetch(`http://${this.#sidecars.get(service)!.metrics}/metrics`)
    ).text();
    const line = page.split('\n').find((each) => each.startsWith(`${sample} `));
    assert.ok(line !== undefined, `${sample} is not in the page`);
    return Number(line.slice(sample.length));
  }

  /** What the sidecar of a service has kept. */
  async keepReport(service: Service): Promise<KeepReport> {
    const response = await fetch(`http://${this.#sidecars.get(service)!.admin}/stats`);
    return ((await response.json()) as { readonly keep: KeepReport }).keep;
  }
}

/** `SERVER web`, `CLIENT web details`: what a span is, in words. */
export function describe(span: KeptSpan): string {
  const kind = span.kind === 2 ? 'SERVER' : 'CLIENT';
  return `${kind} ${span.service}`;
}

export function attributeOf(span: SinkSpan, key: string): unknown {
  const value = span.attributes.find((attribute) => attribute.key === key)?.value;
  return value?.stringValue ?? value?.intValue ?? value?.boolValue ?? value?.doubleValue;
}

function pathOfSpan(span: SinkSpan): unknown {
  const path = attributeOf(span, 'url.path');
  if (path !== undefined) return path;
  const url = attributeOf(span, 'url.full');
  return url === undefined ? undefined : new URL(String(url)).pathname;
}

async function startSidecar(
  t: TestContext,
  name: Service,
  folder: string,
  collector: string,
  flags: readonly string[],
): Promise<SidecarProcess & LogLine> {
  const process = new SidecarProcess(
    ['--config', folder, `--labels=app=${name}`, ...anyPorts, ...flags],
    {
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
      OTEL_TRACES_SAMPLER: 'parentbased_always_off',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_SERVICE_NAME: name,
    },
  );
  t.after(async () => {
    process.child.kill('SIGKILL');
    await process.ended;
  });
  return Object.assign(process, await process.logged(/"message":"ready"/));
}

function sidecar(
  name: Service,
  port: number,
  application: number,
  called: readonly Service[],
  portTo: (called: Service) => number,
): string {
  const egress = called.map(
    (each) => `    - port:
        number: ${portTo(each)}
        name: http-${each}
        protocol: HTTP
      bind: 127.0.0.1
      captureMode: NONE
      hosts:
        - default/${each}.default.svc.cluster.local
`,
  );
  return `apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: ${name}
  namespace: default
spec:
  workloadSelector:
    labels:
      app: ${name}
  ingress:
    - port:
        number: ${port}
        name: http
        protocol: HTTP
      bind: 127.0.0.1
      captureMode: NONE
      defaultEndpoint: 127.0.0.1:${application}
${egress.length === 0 ? '' : '  egress:\n'}${egress.join('')}`;
}
