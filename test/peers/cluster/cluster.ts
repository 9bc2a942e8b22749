/**
 * A real one-node Kubernetes in one network namespace, for tests: started in seconds, ended whole.
 *
 * Nothing reaches it from outside but through `open` and `kubeconfig` (a relay over a Unix socket), and
 * nothing leaves it. Several clusters run side by side: each has its own folder, namespace, cgroup and
 * names, made of the process id. What a killed run left behind is cleared by the next start.
 * It needs root, Linux and `npm run peers`; `whyNoCluster()` says what is missing.
 */

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { goProgram } from '../go-peers.ts';
import { ApiServer } from './api-server.ts';
import { writeCertificates, writeKubeconfig } from './certificates.ts';
import { makeCgroup } from './cgroup.ts';
import { type Ended, type RunOptions, run, runOrThrow } from './command.ts';
import * as components from './components.ts';
import { type ImageName, imageArchive, importImage } from './images.ts';
import { failureOf, hasCondition, isRolledOut, type KubernetesObject } from './objects.ts';
import { abandonedPlaces, clear, makeNamespace, makePlace, type Place } from './place.ts';
import { listenOutside } from './relay.ts';
import { untilConnects, untilSocketConnects } from './until-connects.ts';

export interface ClusterOptions {
  /** Images to build (from the project's own Dockerfile, cached) and load. None by default. */
  readonly images?: readonly ImageName[];
  /** The API server's own spans go to OTLP on 127.0.0.1:4317 in the cluster (Jaeger). */
  readonly apiServerTracing?: boolean;
  /** Progress lines, for people. */
  readonly log?: (line: string) => void;
}

/** A port of the cluster, reachable on the host's loopback: http://127.0.0.1:PORT. */
export interface OpenedPort {
  readonly port: number;
  close(): Promise<void>;
}

/** A long-lived program inside. */
export interface StartedProgram {
  readonly pid: number;
  /** Its output so far. */
  output(): string;
  /** Ends it and waits for its end; by SIGTERM, unless another signal is named. */
  close(signal?: NodeJS.Signals): Promise<void>;
}

/** Starts one; throws an Error with the failed component's last log lines. About 6 s. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const log = options.log ?? (() => {});
  for (const place of abandonedPlaces()) {
    log(`clearing what process ${place.id} left behind`);
    await clear(place);
  }
  const cluster = new Cluster(makePlace());
  try {
    await cluster.begin(options, log);
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

export class Cluster {
  /** State, logs (`NAME.log` for each component), the wrapper scripts `kubectl` and `inside`. */
  readonly folder: string;
  /** The node's address inside, where the cluster's DNS answers too. */
  readonly nodeAddress = components.nodeAddress;
  private readonly place: Place;
  private readonly programs: StartedProgram[] = [];
  private readonly opened: OpenedPort[] = [];
  private api: ApiServer | undefined;
  private kubeconfigPath = '';
  private closing: Promise<void> | undefined;
  /** Set when a component has ended by itself while the cluster starts. */
  private broken: ((error: Error) => void) | undefined;

  constructor(place: Place) {
    this.place = place;
    this.folder = place.folder;
    openClusters.add(this);
    listenForSignals();
  }

  /** Reaches the API server from outside the namespace, as cluster administrator. */
  get kubeconfig(): string {
    return this.kubeconfigPath;
  }

  /** kubectl remembers by host and port what a server can do, and another cluster may get the port. */
  private get kubectlEnvironment(): { readonly KUBECACHEDIR: string } {
    return { KUBECACHEDIR: this.place.path('kubectl-cache') };
  }

  /** kubectl's stdout; throws with its own words when it fails. */
  async kubectl(args: readonly string[], stdin?: string): Promise<string> {
    return await runOrThrow([goProgram('kubectl'), `--kubeconfig=${this.kubeconfig}`, ...args], {
      timeoutMs: 60_000,
      env: this.kubectlEnvironment,
      ...(stdin === undefined ? {} : { stdin }),
    });
  }

  /** Server-side apply of objects, or of YAML text with one or more documents. */
  async apply(what: readonly object[] | string): Promise<void> {
    const text =
      typeof what === 'string'
        ? what
        : JSON.stringify({ apiVersion: 'v1', kind: 'List', items: what });
    await this.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], text);
  }

  /** The object at a path of the API (`/api/v1/namespaces/NAMESPACE/pods/NAME`), if there is one. */
  async get(path: string): Promise<KubernetesObject | undefined> {
    return await this.api!.get(path);
  }

  /**
   * Waits, by watching, until `holds` is true of the object at `path`; undefined stands for an object
   * that is not there. Throws what `holds` throws, and after `timeoutMs` with the last state seen.
   */
  async waitFor(
    path: string,
    holds: (object: KubernetesObject | undefined) => boolean,
    timeoutMs = 30_000,
  ): Promise<KubernetesObject | undefined> {
    return await this.api!.waitFor(path, holds, timeoutMs);
  }

  /** Waits until a pod is Ready; throws at once, with its logs, when a container cannot run. */
  async waitForPod(namespace: string, name: string, timeoutMs?: number): Promise<KubernetesObject> {
    const isReady = (pod: KubernetesObject | undefined): boolean => {
      const failure = failureOf(pod);
      if (failure !== undefined) throw new Error(`${namespace}/${name}: ${failure}`);
      return hasCondition(pod, 'Ready');
    };
    try {
      const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
      return (await this.waitFor(path, isReady, timeoutMs))!;
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${await this.describe(namespace, name)}`);
    }
  }

  /** Waits until every replica of the newest template is ready and none of an older one is left. */
  async waitForDeployment(
    namespace: string,
    name: string,
    timeoutMs?: number,
  ): Promise<KubernetesObject> {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
    try {
      return (await this.waitFor(path, isRolledOut, timeoutMs))!;
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${await this.describe(namespace, name)}`);
    }
  }

  /** Runs a command of this machine inside the cluster's network namespace, to its end. */
  async run(command: readonly string[], options?: RunOptions): Promise<Ended> {
    return await run(this.place.inside(command), options);
  }

  /** Starts a long-lived program inside; its output goes to `NAME.log` in the folder. */
  start(
    name: string,
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): StartedProgram {
    const path = join(this.folder, `${name}.log`);
    const file = openSync(path, 'a');
    const [program, ...args] = this.place.inside(command) as [string, ...string[]];
    const child = spawn(program, args, {
      cwd: this.folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', file, file],
      // Not in the terminal's group: Ctrl-C asks this process, and it ends them in order.
      detached: true,
    });
    closeSync(file);
    const ended = new Promise<void>((done) => {
      child.on('error', () => done());
      child.on('exit', (status) => {
        done();
        if (this.broken === undefined) return;
        const tail = readFileSync(path, 'utf8').trim().split('\n').slice(-8).join('\n');
        this.broken(new Error(`${name} ended with status ${status}:\n${tail}`));
      });
    });
    const started = {
      pid: child.pid ?? 0,
      output: () => readFileSync(path, 'utf8'),
      close: async (signal: NodeJS.Signals = 'SIGTERM') => {
        child.kill(signal);
        await ended;
      },
    };
    this.programs.push(started);
    return started;
  }

  /**
   * Opens an address inside on this machine's loopback: a pod's, a Service's, `127.0.0.1`, or a name
   * like `web.default.svc.cluster.local`.
   */
  async open(address: string, port: number): Promise<OpenedPort> {
    const opened = await listenOutside(this.place.path('relay.sock'), address, port);
    this.opened.push(opened);
    return opened;
  }

  /** Waits until something inside accepts connections at an address. */
  async untilListening(address: string, port: number, timeoutMs = 10_000): Promise<void> {
    await untilConnects(this.place.path('relay.sock'), address, port, timeoutMs);
  }

  /** Ends everything: no process, namespace, mount, cgroup or file is left. */
  async close(): Promise<void> {
    this.closing ??= this.end();
    await this.closing;
  }

  /** Called once, by startCluster. */
  async begin(options: ClusterOptions, log: (line: string) => void): Promise<void> {
    const isBroken = new Promise<never>((_, failed) => {
      this.broken = failed;
    });
    // Nobody listens to it once the start has failed in another way.
    isBroken.catch(() => {});
    await Promise.race([this.startAll(options, log), isBroken]);
    this.broken = undefined;
  }

  private async startAll(options: ClusterOptions, log: (line: string) => void): Promise<void> {
    const { place } = this;
    const archives = Promise.all(
      (['pause', ...(options.images ?? [])] as const).map((name) => imageArchive(name, log)),
    );
    archives.catch(() => {});
    log(`starting a cluster in ${this.folder}`);
    makeCgroup(place.name);
    await Promise.all([
      makeNamespace(place, this.nodeAddress),
      writeCertificates(place, this.nodeAddress),
    ]);
    const relay = join(import.meta.dirname, 'relay.ts');
    this.start('relay', [process.execPath, relay, 'relay.sock', this.nodeAddress]);
    this.start('containerd', components.containerdCommand(place));
    this.start('etcd', components.etcdCommand(place));
    await this.untilListening('127.0.0.1', 2379);
    this.start('api', components.apiServerCommand(place, options.apiServerTracing === true));
    await this.openApiServer();
    const images = archives.then(async (files) => {
      await untilSocketConnects(place.path('containerd.sock'), 20_000);
      for (const file of files) await importImage(place, file);
      log(`${files.length} images loaded`);
    });
    images.catch(() => {});
    await this.api!.ready(60_000);
    this.start('controller', components.controllerCommand(place));
    this.start('scheduler', components.schedulerCommand(place));
    this.start('proxy', components.proxyCommand(place));
    this.start('dns', components.dnsCommand(place));
    this.start('kubelet', components.kubeletCommand(place));
    await Promise.all([
      images,
      this.waitFor('/api/v1/nodes/node-1', (node) => hasCondition(node, 'Ready')),
      // Pods are refused before this account exists.
      this.waitFor('/api/v1/namespaces/default/serviceaccounts/default', (found) => !!found),
      this.untilListening(this.nodeAddress, 53),
    ]);
    log('the node is ready');
  }

  private async openApiServer(): Promise<void> {
    const { port } = await this.open('127.0.0.1', 6443);
    const url = `https://127.0.0.1:${port}`;
    this.kubeconfigPath = writeKubeconfig(this.place, 'admin', 'kubeconfig', url);
    this.api = new ApiServer(this.place, port);
    const enter = `exec nsenter --net=${this.place.namespacePath} --`;
    const cache = `KUBECACHEDIR=${this.kubectlEnvironment.KUBECACHEDIR}`;
    const kubectl = `${cache} exec ${goProgram('kubectl')} --kubeconfig=${this.kubeconfig}`;
    writeFileSync(this.place.path('inside'), `#!/bin/sh\n${enter} "$@"\n`, { mode: 0o755 });
    writeFileSync(this.place.path('kubectl'), `#!/bin/sh\n${kubectl} "$@"\n`, { mode: 0o755 });
  }

  /** What people would look at when a workload does not come up. */
  private async describe(namespace: string, name: string): Promise<string> {
    const quietly = async (args: readonly string[]): Promise<string> => {
      try {
        return await this.kubectl(['-n', namespace, ...args]);
      } catch (error) {
        return (error as Error).message;
      }
    };
    const events = await quietly(['get', 'events', '--sort-by=.lastTimestamp']);
    const pods = (await quietly(['get', 'pods', '-o', 'name'])).split('\n');
    const ours = pods.filter((pod) => pod.startsWith(`pod/${name}`)).slice(0, 2);
    const flags = ['--all-containers', '--prefix', '--tail=15'];
    const logs = await Promise.all(ours.map((pod) => quietly(['logs', pod, ...flags])));
    return [...events.split('\n').slice(-12), ...logs].join('\n');
  }

  private async end(): Promise<void> {
    this.broken = undefined;
    openClusters.delete(this);
    this.api?.close();
    for (const opened of this.opened) await opened.close();
    await clear(this.place);
  }
}

const openClusters = new Set<Cluster>();
let isListening = false;

/** A test runner ends a test by SIGTERM, people end a node by Ctrl-C: neither may leave a cluster. */
function listenForSignals(): void {
  if (isListening) return;
  isListening = true;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, async () => {
      await Promise.all([...openClusters].map((cluster) => cluster.close()));
      process.kill(process.pid, signal);
    });
  }
}
