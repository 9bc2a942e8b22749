/**
 * A real sidecar process as users run it, with its backends, its collector and its callers.
 *
 * Everything is on that a default outbound sidecar has, in the bench's own configuration
 * (bench/arms/tracecar.yaml): a rule with a weighted split, metrics, a record and a traceparent for each
 * request, 1 % of the spans exported. What the process did for the requests is asked of work-probe.ts
 * inside it, or of strace; what came of them, of whom they reached. All of it ends with the test.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fillText, readTemplate } from '../../bench/arms/find.ts';
import { type RequestCalls, traceRequests } from '../../bench/rounds/system-calls.ts';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { launcherEnvironment, sidecarFlags } from '../../tools/launcher.ts';
import { Backends, Caller, Collector, type RequestKind, requests } from './measured-peers.ts';
import type { Answers, Question } from './work-probe.ts';

const root = resolve(import.meta.dirname, '../..');

/** What has come of all requests since the start. */
export interface Tally {
  /** That reached each subset. */
  readonly subsets: readonly [number, number];
  /** Traceparents that reached one, each different. */
  readonly spans: number;
  /** Answered with 200 by each subset, in the sidecar's own metrics. */
  readonly counted: readonly [number, number];
}

export class MeasuredSidecar {
  readonly backends: Backends;
  readonly collector: Collector;
  readonly #child: ChildProcess;
  readonly #callers: Caller[] = [];
  readonly #port: number;
  readonly #metricsPort: number;

  private constructor(
    child: ChildProcess,
    [port, metricsPort]: readonly [number, number],
    backends: Backends,
    collector: Collector,
  ) {
    this.#child = child;
    this.#port = port;
    this.#metricsPort = metricsPort;
    this.backends = backends;
    this.collector = collector;
  }

  /** Starts all of it; the sidecar has answered nothing yet. */
  static async start(t: TestContext): Promise<MeasuredSidecar> {
    const folder = mkdtempSync(join(tmpdir(), 'tracecar-work-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const backends = await Backends.start(t);
    const collector = await Collector.start(t);
    const ports = (await freePorts(2)) as [number, number];
    // A folder of its own: the sidecar watches it and the one above.
    const directory = join(folder, 'mesh', 'config');
    mkdirSync(directory, { recursive: true });
    fillText(readTemplate('arms/tracecar.yaml'), 'mesh.yaml', {
      port: ports[0],
      backendPort: backends.ports[0]!,
      secondBackendPort: backends.ports[1]!,
      collectorPort: collector.port,
      besidePort: 0,
      pairPort: 0,
      adminPort: 0,
      metricsPort: ports[1],
      directory,
    });
    const child = startProxy(directory, ports[1], collector.port);
    const ended = once(child, 'close');
    t.after(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const sidecar = new MeasuredSidecar(child, ports, backends, collector);
    t.after(() => sidecar.#disconnect());
    await sidecar.#untilReady();
    return sidecar;
  }

  /** Sends `count` requests over `connections` kept connections, each after its last answer. */
  async load(count: number, connections: number, kind: RequestKind = 'plain'): Promise<void> {
    while (this.#callers.length < connections) {
      this.#callers.push(await Caller.open(this.#port));
    }
    const shared = { left: count };
    const using = this.#callers.slice(0, connections);
    await Promise.all(using.map((caller) => caller.run(shared, requests[kind])));
  }

  /** What the probe inside the sidecar says. */
  async ask<Asked extends Question>(question: Asked): Promise<Answers[Asked]> {
    const answered = once(this.#child, 'message');
    this.#child.send(question);
    const [message] = (await answered) as [{ readonly answer: Answers[Asked] }];
    return message.answer;
  }

  async tally(): Promise<Tally> {
    const page = await fetch(`http://127.0.0.1:${this.#metricsPort}/metrics`);
    const text = await page.text();
    return {
      subsets: [...this.backends.requests],
      spans: this.backends.spans.size,
      counted: [readCount(text, 'v1'), readCount(text, 'v2')],
    };
  }

  /** The hot thread's system calls for so many requests on one connection; or why they are not known. */
  systemCalls(count: number, kind: RequestKind = 'plain'): Promise<RequestCalls | string> {
    const traced = { strace: 'strace', pid: this.#child.pid! };
    return traceRequests(traced, count, (each) => this.load(each, 1, kind));
  }

  async #untilReady(): Promise<void> {
    const lines: string[] = [];
    for await (const line of createInterface({ input: this.#child.stderr! })) {
      lines.push(line);
      if (!line.includes('"message":"ready"')) continue;
      this.#child.stderr!.resume();
      return;
    }
    throw new Error(`the sidecar ended:\n${lines.join('\n')}`);
  }

  #disconnect(): void {
    for (const { socket } of this.#callers) socket.destroy();
  }
}

function readCount(page: string, subset: string): number {
  const sample = `^tracecar_requests_total\\{.*subset="${subset}".*status="200"\\} (\\d+)$`;
  return Number(new RegExp(sample, 'm').exec(page)?.[1] ?? 0);
}

function startProxy(directory: string, metricsPort: number, collectorPort: number): ChildProcess {
  const probe = join(import.meta.dirname, 'work-probe.ts');
  return spawn(
    process.execPath,
    [
      // As users run it: what a scavenge is depends on the size of the young generation.
      ...[...sidecarFlags, '--import', probe],
      ...[join(root, 'src/cli/tracecar.ts'), 'proxy', '--config', directory],
      ...['--namespace', 'bench', '--access-log', 'off', '--admin', '127.0.0.1:0'],
      ...['--health', '127.0.0.1:0', '--metrics', `127.0.0.1:${metricsPort}`],
    ],
    {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: {
        // Nothing inherited may switch off what is to be counted.
        ...Object.fromEntries(Object.entries(process.env).filter(([key]) => !/^OTEL_/.test(key))),
        ...launcherEnvironment,
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
      },
    },
  );
}
