/**
 * All that runs during a benchmark: backend, collector and generator on one core, arms on the other.
 *
 *     load core                                   proxy core
 *     generator --request--> [ arm ] ----------------------------+
 *     backend   <--------------------forwarded request-----------+
 *     collector <--------------------spans (Tracecar)------------+
 *
 * Arms stay up for the whole run; the idle ones sleep. Each copy of an arm has its own folder and port.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { findPeer } from '../../tools/peers.ts';
import type { Arm, ArmPlace } from '../arms/arm.ts';
import { fillTemplate, nginxArguments } from '../arms/find.ts';
import { waitForFirstAnswer } from '../load/first-answer.ts';
import { LoadGenerator } from '../load/load-generator.ts';
import { benchBody, bodyOf, type LoadOrder } from '../load/load-order.ts';
import type { Child, Children } from './children.ts';
import { CollectorControl } from './collector-control.ts';
import { freePorts } from './free-ports.ts';
import { keepAwake } from './keep-awake.ts';

/** The two cores that a run uses. */
export interface Cores {
  readonly proxy: number;
  readonly load: number;
}

export interface RunningArm {
  readonly name: string;
  readonly port: number;
  /** What the copy was given: its folder, and ports of its own endpoints. undefined for direct. */
  readonly place: ArmPlace | undefined;
  /** undefined for direct, which is the backend's own port. */
  readonly child: Child | undefined;
  /** The arm's further processes; absent where it has none. */
  readonly also?: readonly Child[];
  /** From exec to the first right answer. */
  readonly firstAnswerMs: number;
}

export interface StageOptions {
  readonly children: Children;
  readonly cores: Cores | undefined;
  /** The run's own folder. */
  readonly directory: string;
  /** Idle cores poll instead of halting, where that can be had. */
  readonly keepAwake: boolean;
}

export class Stage {
  readonly generator: LoadGenerator;
  readonly collector: CollectorControl;
  /** Whether idle cores really poll. */
  readonly keptAwake: boolean;
  /** What the backend is, with its version. */
  readonly backend: string;
  readonly cores: Cores | undefined;
  /** For what a scenario starts besides arms; all of it ends with the run. */
  readonly children: Children;
  /** The run's own folder. */
  readonly directory: string;
  /** Processes of the load that others have started on its core. */
  readonly loadBeside = new Set<number>();
  readonly #ports: readonly number[];
  readonly #backend: Child;
  #copies = 0;

  private constructor(
    { children, cores, directory }: StageOptions,
    ports: readonly number[],
    backend: { readonly child: Child; readonly name: string },
    parts: Pick<Stage, 'generator' | 'collector' | 'keptAwake'>,
  ) {
    this.children = children;
    this.cores = cores;
    this.directory = directory;
    this.#ports = ports;
    this.#backend = backend.child;
    this.backend = backend.name;
    this.generator = parts.generator;
    this.collector = parts.collector;
    this.keptAwake = parts.keptAwake;
  }

  /** Starts everything but the arms. */
  static async start(options: StageOptions): Promise<Stage> {
    const { children, cores, directory } = options;
    const ports = (await freePorts(5)) as [number, number, number, number, number];
    const core = cores?.load;
    const backend = await startBackend(children, core, directory, ports);
    const generator = await LoadGenerator.start(children, core, directory);
    for (const order of warmUps(ports[0])) await generator.run(order);
    return new Stage(options, ports, backend, {
      collector: await CollectorControl.start(children, core, directory, ports[2]),
      generator,
      keptAwake: options.keepAwake && keepAwake(),
    });
  }

  /** Throws when a part of the stage is gone: then no arm can be measured any more. */
  assertUp(): void {
    this.generator.assertUp();
    this.collector.assertUp();
    if (this.#backend.hasEnded) throw new Error(`the backend: ${this.#backend.describeEnd()}`);
  }

  /** All that we run on the load's core, this process too; empty where nothing is pinned. */
  loadProcesses(): readonly number[] {
    if (this.cores === undefined) return [];
    return [process.pid, ...this.children.pidsOn(this.cores.load), ...this.loadBeside];
  }

  /** Both direct arms: the backend itself. */
  direct(name: string): RunningArm {
    return { name, port: this.#ports[0]!, place: undefined, child: undefined, firstAnswerMs: 0 };
  }

  /** Where the second upstream listens once it is started; direct, for what goes to it. */
  get besidePort(): number {
    return this.#ports[3]!;
  }

  /** Starts the second upstream; resolves when it takes connections. */
  async startBeside(): Promise<Child> {
    const program = join(import.meta.dirname, '../load/stream-backend.ts');
    const child = this.children.start({
      command: process.execPath,
      args: [program, ...this.#ports.slice(3).map(String)],
      core: this.cores?.load,
      directory: this.directory,
    });
    await child.says('open');
    return child;
  }

  /** Starts one more copy of an arm and waits for its first right answer. */
  async startArm(arm: Arm): Promise<RunningArm> {
    const ports = (await freePorts(4)) as [number, number, number, number];
    const [port, adminPort, metricsPort, pairPort] = ports;
    const directory = join(this.directory, `${arm.name}-${this.#copies++}`);
    mkdirSync(directory);
    const place: ArmPlace = {
      port,
      backendPort: this.#ports[0]!,
      secondBackendPort: this.#ports[1]!,
      collectorPort: this.#ports[2]!,
      besidePort: this.besidePort,
      pairPort,
      adminPort,
      metricsPort,
      directory,
    };
    const { also: others = [], ...launch } = arm.prepare(place);
    const core = this.cores?.proxy;
    const startedAt = performance.now();
    const also = others.map((each) => this.children.start({ ...each, core, directory }));
    const child = this.children.start({ ...launch, core, directory });
    await waitForFirstAnswer(port, child, arm.name);
    const firstAnswerMs = performance.now() - startedAt;
    return { name: arm.name, port, place, child, also, firstAnswerMs };
  }

  /** SIGTERM; resolves when it has ended. */
  async stopArm(running: RunningArm): Promise<void> {
    const { child, also = [] } = running;
    const all = child === undefined ? also : [child, ...also];
    await Promise.all(all.map((each) => this.children.stop(each)));
  }
}

/** The generator's own code, compiled before it measures anybody: cold, it is 400 to 800 us late. */
function warmUps(port: number): readonly LoadOrder[] {
  const common = { kind: 'open', port, warmSeconds: 0, seed: 1, arrivals: 'poisson' } as const;
  return [
    { ...common, connections: 16, ratePerSecond: 4000, seconds: 0.5 },
    { ...common, connections: 1, ratePerSecond: 2000, seconds: 0.2 },
  ];
}

/** nginx where it is installed, else our own; and what it is, with its version. */
async function startBackend(
  children: Children,
  core: number | undefined,
  runDirectory: string,
  ports: readonly number[],
): Promise<{ readonly child: Child; readonly name: string }> {
  const [port, second] = ports as [number, number];
  const directory = join(runDirectory, 'backend');
  mkdirSync(directory);
  const place = {
    port,
    backendPort: port,
    secondBackendPort: second,
    collectorPort: 0,
    besidePort: 0,
    pairPort: 0,
    adminPort: 0,
    metricsPort: 0,
    directory,
  };
  const nginx = findPeer('nginx');
  const child = children.start({
    command: nginx?.path ?? process.execPath,
    args:
      nginx === undefined
        ? [join(import.meta.dirname, '../load/raw-backend.ts'), String(port), String(second)]
        : nginxArguments(
            directory,
            fillTemplate('rivals/nginx-backend.conf', place, {
              BODY: benchBody,
              KIB: bodyOf(1024),
            }),
          ),
    core,
    directory,
  });
  await waitForFirstAnswer(port, child, 'the backend');
  const name = nginx === undefined ? 'bench/load/raw-backend.ts' : `nginx ${nginx.version}`;
  return { child, name };
}
