/**
 * Two sidecars around a program under test, and the viewer that their spans go to:
 *
 *   we -> [caller's sidecar] program -> [caller's sidecar] -> [upstream's sidecar] an HTTP server of ours
 *
 * Each request has an id of its own in its URL, which the program passes on; so it is known from the
 * spans alone which outbound request belongs to which inbound one.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePorts } from '../../../bench/stage/free-ports.ts';
import { Children } from '../../../examples/ab-rollout/driver/children.ts';
import { tracecar } from '../../../examples/ab-rollout/driver/command.ts';
import { spanVariables, startViewer } from '../../../examples/ab-rollout/driver/mesh.ts';
import { readSpans, type ViewedSpan } from '../../e2e/acceptance/viewed-spans.ts';
import { sidecarYaml } from '../../e2e/sidecar-process.ts';

export interface JoinCounts {
  readonly requests: number;
  /** Outbound requests whose parent is the inbound request that caused them. */
  readonly joined: number;
  /** Outbound requests below another request's span. */
  readonly wrong: number;
  /** What the spans say of the way of the join, with how many said so. */
  readonly ways: Readonly<Record<string, number>>;
}

/** Spans of a slice of requests are asked for at once: what one answer of the viewer holds. */
const sliceRequests = 500;
const pollMs = 100;
const patienceMs = 20_000;

function services(upstreamInbound: number, outbound: number): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata:
  name: upstream
  namespace: default
spec:
  hosts:
    - upstream.default.svc.cluster.local
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
    - number: 80
      name: http
      protocol: HTTP
  endpoints:
    - address: 127.0.0.1
      ports:
        http: ${upstreamInbound}
---
EGRESS
  egress:
    - port:
        number: ${outbound}
        name: http-upstream
        protocol: HTTP
      bind: 127.0.0.1
      captureMode: NONE
      hosts:
        - default/upstream.default.svc.cluster.local
`;
}

export class JoinMesh {
  readonly #children: Children;
  readonly #viewer: string;
  readonly #server: Server;
  readonly #folder: string;
  readonly #inbound: number;
  /** The port that the program listens on. */
  readonly programPort: number;
  /** What the program asks: its sidecar's outbound listener. */
  readonly upstream: string;
  #next = 1;

  private constructor(
    parts: { children: Children; viewer: string; server: Server; folder: string },
    [inbound, programPort, outbound]: readonly number[],
  ) {
    this.#children = parts.children;
    this.#viewer = parts.viewer;
    this.#server = parts.server;
    this.#folder = parts.folder;
    this.#inbound = inbound!;
    this.programPort = programPort!;
    this.upstream = `http://127.0.0.1:${outbound}`;
  }

  static async start(): Promise<JoinMesh> {
    const folder = mkdtempSync(join(tmpdir(), 'tracecar-joins-'));
    const children = new Children((_name, lastWords) => process.stderr.write(`${lastWords}\n`));
    const server = createServer((request, response) => {
      // Answers overtake one another, so that nothing can be told by their order.
      const delayMs = Number(/\d+$/.exec(request.url ?? '')?.[0] ?? 0) % 5;
      setTimeout(() => response.end('answer'), delayMs);
    });
    server.keepAliveTimeout = 0;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const ports = await freePorts(4);
      const [inbound, programPort, outbound, upstreamInbound] = ports as [number, ...number[]];
      const caller = sidecarYaml(inbound, programPort!);
      const text = services(upstreamInbound!, outbound!).replace('EGRESS\n', caller);
      writeFileSync(join(folder, 'caller.yaml'), text);
      const { port } = server.address() as AddressInfo;
      const other = sidecarYaml(upstreamInbound!, port).replaceAll(/: app$/gm, ': upstream');
      writeFileSync(join(folder, 'upstream.yaml'), other);
      const { viewer, receiver } = await startViewer(children, () => {});
      for (const [service, label] of [
        ['caller', 'app'],
        ['upstream', 'upstream'],
      ] as const) {
        await children.start({
          name: `sidecar of ${service}`,
          args: tracecar(
            ...['proxy', '--config', folder, '--labels', `app=${label}`],
            ...['--drain-seconds', '1', '--access-log', 'off'],
            ...['--admin=127.0.0.1:0', '--health=127.0.0.1:0', '--metrics=127.0.0.1:0'],
          ),
          environment: { OTEL_SERVICE_NAME: service, ...spanVariables(receiver) },
          isReady: (line) => (line.includes('"message":"ready"') ? {} : undefined),
        });
      }
      return new JoinMesh({ children, viewer, server, folder }, ports);
    } catch (error) {
      await children.endAll(1_000);
      server.close();
      rmSync(folder, { recursive: true });
      throw error;
    }
  }

  /** Sends `requests` through the program, `inFlight` at a time; throws when one is not answered. */
  async measure(requests: number, inFlight: number): Promise<JoinCounts> {
    const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
    const totals = { requests, joined: 0, wrong: 0, ways: {} as Record<string, number> };
    try {
      for (let sent = 0; sent < requests; sent += sliceRequests) {
        const sinceMs = Date.now();
        const count = Math.min(sliceRequests, requests - sent);
        const ids = Array.from({ length: count }, () => String(this.#next++));
        const left = [...ids];
        const worker = async () => {
          for (let id = left.shift(); id !== undefined; id = left.shift()) {
            await ask(agent, this.#inbound, `/?id=${id}`);
          }
        };
        await Promise.all(Array.from({ length: inFlight }, worker));
        this.#count(await this.#settled(new Set(ids), sinceMs), totals);
      }
      return totals;
    } finally {
      agent.destroy();
    }
  }

  /** The caller's spans of these requests, two of each. */
  async #settled(ids: ReadonlySet<string>, sinceMs: number): Promise<readonly ViewedSpan[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const all = await readSpans(this.#viewer, 'caller', 2 * sliceRequests, sinceMs - 100);
      const spans = all.filter((span) => span.service === 'caller' && ids.has(idOf(span)));
      if (spans.length === 2 * ids.size) return spans;
      if (performance.now() > deadline) {
        throw new Error(`${spans.length} of ${2 * ids.size} spans came`);
      }
      await pause(pollMs);
    }
  }

  #count(
    spans: readonly ViewedSpan[],
    totals: { joined: number; wrong: number; ways: Record<string, number> },
  ): void {
    const servers = new Map(
      spans.filter(({ kind }) => kind === 'SERVER').map((span) => [idOf(span), span]),
    );
    for (const client of spans.filter(({ kind }) => kind === 'CLIENT')) {
      const own = servers.get(idOf(client));
      const isOwn = client.traceId === own?.traceId && client.parentId === own.spanId;
      if (isOwn) totals.joined += 1;
      else if (client.parentId !== '') totals.wrong += 1;
      const way = String(client.attributes['tracecar.join']);
      totals.ways[way] = (totals.ways[way] ?? 0) + 1;
    }
  }

  async close(): Promise<void> {
    await this.#children.endAll(3_000);
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.#folder, { recursive: true });
  }
}

function idOf({ attributes }: ViewedSpan): string {
  const text = String(attributes['url.full'] ?? `?${attributes['url.query']}`);
  return /[?&]id=(\d+)/.exec(text)?.[1] ?? '';
}

function ask(agent: Agent, port: number, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = get({ host: '127.0.0.1', port, path, agent, timeout: 20_000 }, (response) => {
      response.resume();
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`status ${response.statusCode} for ${path}`));
      });
    });
    sent.on('timeout', () => sent.destroy(new Error(`no answer to ${path}`)));
    sent.on('error', reject);
  });
}
