/**
 * Starts the demo's ten processes: the viewer, the authority, four applications, and a sidecar beside
 * each.
 *
 *   people -> [sidecar] web -> [sidecar] -> [sidecar] reviews v1, v2 -> [sidecar] -> [sidecar] ratings
 *
 * The applications get the propagation preload through NODE_OPTIONS, as the injector would do it, and
 * nothing else. Everything is waited for by what it says, never by time.
 */

import { createServer } from 'node:net';
import { resolve } from 'node:path';
import { type DemoAuthority, startAuthority } from './authority.ts';
import { Children } from './children.ts';
import { tracecar } from './command.ts';
import { getJson } from './load.ts';
import type { DemoPlan, Place, readShares, Workload } from './plan.ts';

const root = resolve(import.meta.dirname, '../../..');
const preload = resolve(root, 'injector/preload/tracecar-propagate.cjs');
const applications = resolve(import.meta.dirname, '../apps');

/** What a sidecar says when it is ready; ports are ADDR:PORT. */
export interface SidecarPorts {
  /** Of the configuration that it began with. */
  readonly generation: number;
  readonly admin: string;
  /** What a person types to see what it runs with. */
  readonly configCommand: string;
}

/** What a sidecar runs with, as its admin port tells it. */
export interface AdminConfig {
  readonly generation: number;
  readonly table: Parameters<typeof readShares>[0];
  readonly diagnostics: readonly {
    readonly severity: string;
    readonly file: string;
    readonly line: number;
    readonly message: string;
    readonly fix: string;
  }[];
}

export interface Mesh {
  /** Address of the viewer's query API and pages, `http://127.0.0.1:16686`. */
  readonly viewer: string;
  /** Its OTLP receiver. */
  readonly receiver: string;
  /** Where sidecars have their certificates from, ADDR:PORT. */
  readonly authority: string;
  /** In the order of the plan's workloads. */
  readonly sidecars: readonly SidecarPorts[];
  /** Of web. Rejects when its sidecar is gone. */
  readConfig(): Promise<AdminConfig>;
  end(): Promise<void>;
}

/** The demo cannot start; the message is for the person at the terminal. */
export class DemoProblem extends Error {
  override readonly name = 'DemoProblem';
}

export const endPatienceMs = 8_000;

/** Starts everything, or throws and leaves nothing behind. */
export async function startMesh(
  plan: DemoPlan,
  folder: string,
  say: (line: string) => void,
  onLoss: (lastWords: string) => void,
): Promise<Mesh> {
  await checkPorts(plan);
  const children = new Children((_name, lastWords) => onLoss(lastWords));
  try {
    const [{ viewer, receiver }, authority] = await Promise.all([
      startViewer(children, say),
      startAuthority(children, accountsOf(plan)),
    ]);
    const started = plan.workloads.map(async (workload) => {
      const application = startApplication(children, workload, plan);
      const sidecar = startSidecar(children, workload, folder, receiver, authority);
      await application;
      return sidecar;
    });
    const sidecars = await Promise.all(started);
    const readConfig = () => getJson<AdminConfig>(`http://${sidecars[0]!.admin}/config`);
    const end = () => children.endAll(endPatienceMs);
    return { viewer, receiver, authority: authority.address, sidecars, readConfig, end };
  } catch (error) {
    await children.endAll(endPatienceMs);
    throw error instanceof Error ? new DemoProblem(error.message) : error;
  }
}

/** One for each service: the versions of reviews share theirs. */
export function accountsOf({ workloads }: DemoPlan): readonly string[] {
  return [...new Set(workloads.map(({ app }) => app))];
}

export async function startViewer(children: Children, say: (line: string) => void) {
  const otlp = await portOrAny(4318);
  const query = await portOrAny(16_686);
  for (const [wanted, got] of [
    [4318, otlp],
    [16_686, query],
  ]) {
    if (got === 0) say(`port ${wanted} is in use, perhaps by Jaeger; the viewer takes another one`);
  }
  const addresses: string[] = [];
  await children.start({
    name: 'viewer',
    // Sidecars that end still have spans for it.
    endsLast: true,
    args: tracecar('view', '--otlp', `127.0.0.1:${otlp}`, '--query', `127.0.0.1:${query}`),
    environment: {},
    isReady: (line) => {
      const address = /^tracecar view: .*(http:\/\/[^/\s]+)\/\S* /.exec(line)?.[1];
      if (address !== undefined) addresses.push(address);
      return addresses.length === 2 ? addresses : undefined;
    },
  });
  return { receiver: addresses[0]!, viewer: addresses[1]! };
}

function startApplication(children: Children, workload: Workload, plan: DemoPlan) {
  const given = process.env.NODE_OPTIONS ?? '';
  return children.start({
    name: nameOf(workload),
    args: [applicationOf(workload.app)],
    environment: {
      NODE_OPTIONS: `--require "${preload}" ${given}`.trim(),
      ...portVariables(workload),
    },
    isReady: (line) => (line.includes(' listens on ') ? plan : undefined),
  });
}

export function applicationOf(app: Workload['app']): string {
  return resolve(applications, `${app}.cjs`);
}

/** What every application is told: its port, its version, whom it calls. */
export function portVariables({ app, version, application, outbound }: Workload) {
  const upstreamVariable = app === 'web' ? 'REVIEWS_URL' : 'RATINGS_URL';
  return {
    PORT: String(application.port),
    ...(version === '' ? {} : { VERSION: version }),
    ...(outbound === undefined ? {} : { [upstreamVariable]: urlOf(outbound) }),
  };
}

function startSidecar(
  children: Children,
  workload: Workload,
  folder: string,
  receiver: string,
  authority: DemoAuthority,
) {
  const any = '127.0.0.1:0';
  return children.start<SidecarPorts>({
    name: `sidecar of ${nameOf(workload)}`,
    args: tracecar(
      ...['proxy', '--config', folder, '--labels', workload.labels],
      // Nobody calls any more when the demo ends: there is no endpoint list to wait for.
      ...['--drain-seconds', '2'],
      ...['--admin', any, '--health', any, '--metrics', any],
    ),
    environment: {
      OTEL_SERVICE_NAME: workload.app,
      ...authority.variablesFor(workload.app),
      ...spanVariables(receiver),
    },
    isReady: (line) => {
      if (!line.includes('"message":"ready"')) return undefined;
      const { generation, admin } = JSON.parse(line) as SidecarPorts;
      return { generation, admin, configCommand: `curl http://${admin}/config` };
    },
  });
}

/** Every request is traced, and spans are looked for right after the requests, all of them. */
export function spanVariables(receiver: string) {
  return {
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver,
    OTEL_BSP_SCHEDULE_DELAY: '200',
    OTEL_BSP_MAX_QUEUE_SIZE: '50000',
  };
}

export function nameOf({ app, version }: Workload): string {
  return `${app} ${version}`.trim();
}

export function urlOf({ address, port }: Place): string {
  return `http://${address}:${port}`;
}

/** Every port of the plan is free, or one line says which is not and who could hold it. */
async function checkPorts(plan: DemoPlan): Promise<void> {
  const wanted = plan.workloads.flatMap((workload) => [
    { at: workload.application, what: `the application ${nameOf(workload)}` },
    { at: workload.inbound, what: `the sidecar of ${nameOf(workload)}` },
    ...(workload.outbound === undefined
      ? []
      : [{ at: workload.outbound, what: `the sidecar of ${nameOf(workload)}` }]),
  ]);
  for (const { at, what } of wanted) {
    if (await isFree(at)) continue;
    throw new DemoProblem(
      `port ${at.port} of ${at.address}, for ${what}, is in use, perhaps by another demo that still runs; \`ss -ltnp 'sport = :${at.port}'\` names it`,
    );
  }
}

async function portOrAny(port: number): Promise<number> {
  return (await isFree({ address: '127.0.0.1', port })) ? port : 0;
}

function isFree({ address, port }: Place): Promise<boolean> {
  return new Promise((settle) => {
    const probe = createServer();
    probe.once('error', () => settle(false));
    probe.listen(port, address, () => probe.close(() => settle(true)));
  });
}
