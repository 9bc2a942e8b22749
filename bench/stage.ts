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
import { findPeer } from '../tools/peers.ts';
import { type Arm, type ArmPlace, fillTemplate, nginxArguments } from './arms.ts';
import type { Child, Children } from './children.ts';
import { waitForFirstAnswer } from './first-answer.ts';
import { freePorts } from './free-ports.ts';
import { LoadGenerator } from './load-generator.ts';
import { benchBody } from './load-order.ts';

/** The two cores that a run uses. */
export interface Cores {
  readonly proxy: number;
  readonly load: number;
}

export interface RunningArm {
  readonly name: string;
  readonly port: number;
  /** undefined for direct, which is the backend's own port. */
  readonly child: Child | undefined;
  /** From exec to the first right answer. */
  readonly firstAnswerMs: number;
}

export class Stage {
  readonly generator: LoadGenerator;
  readonly backend: string;
  readonly #children: Children;
  readonly #cores: Cores | undefined;
  readonly #directory: string;
  readonly #ports: readonly number[];
  #copies = 0;

  private constructor(
    children: Children,
    cores: Cores | undefined,
    directory: string,
    ports: readonly number[],
    backend: string,
    generator: LoadGenerator,
  ) {
    this.#children = children;
    this.#cores = cores;
    this.#directory = directory;
    this.#ports = ports;
    this.backend = backend;
    this.generator = generator;
  }

  /** Starts everything but the arms; `directory` is the run's own. */
  static async start(
    children: Children,
    cores: Cores | undefined,
    directory: string,
  ): Promise<Stage> {
    const ports = await freePorts(3);
    const core = cores?.load;
    const backend = await startBackend(children, core, directory, ports);
    children.start({
      command: process.execPath,
      args: [join(import.meta.dirname, 'collector.ts'), String(ports[2])],
      core,
      directory,
    });
    const generator = await LoadGenerator.start(children, core, directory);
    return new Stage(children, cores, directory, ports, backend, generator);
  }

  /** Both direct arms: the backend itself. */
  direct(name: string): RunningArm {
    return { name, port: this.#ports[0]!, child: undefined, firstAnswerMs: 0 };
  }

  /** Starts one more copy of an arm and waits for its first right answer. */
  async startArm(arm: Arm): Promise<RunningArm> {
    const [port] = (await freePorts(1)) as [number];
    const directory = join(this.#directory, `${arm.name}-${this.#copies++}`);
    mkdirSync(directory);
    const place: ArmPlace = {
      port,
      backendPort: this.#ports[0]!,
      secondBackendPort: this.#ports[1]!,
      collectorPort: this.#ports[2]!,
      directory,
    };
    const launch = arm.prepare(place);
    const startedAt = performance.now();
    const child = this.#children.start({ ...launch, core: this.#cores?.proxy, directory });
    await waitForFirstAnswer(port, child, arm.name);
    return { name: arm.name, port, child, firstAnswerMs: performance.now() - startedAt };
  }

  async stopArm(running: RunningArm): Promise<void> {
    if (running.child !== undefined) await this.#children.stop(running.child);
  }

  /** How many spans have reached the collector. */
  async spansCollected(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.#ports[2]}/spans`);
    return Number(await response.text());
  }
}

/** nginx where it is installed, else our own; returns what it is, with its version. */
async function startBackend(
  children: Children,
  core: number | undefined,
  runDirectory: string,
  ports: readonly number[],
): Promise<string> {
  const [port, second] = ports as [number, number];
  const directory = join(runDirectory, 'backend');
  mkdirSync(directory);
  const place = { port, backendPort: port, secondBackendPort: second, collectorPort: 0, directory };
  const nginx = findPeer('nginx');
  const child = children.start({
    command: nginx?.path ?? process.execPath,
    args:
      nginx === undefined
        ? [join(import.meta.dirname, 'raw-backend.ts'), String(port), String(second)]
        : nginxArguments(
            directory,
            fillTemplate('rivals/nginx-backend.conf', place, { BODY: benchBody }),
          ),
    core,
    directory,
  });
  await waitForFirstAnswer(port, child, 'the backend');
  return nginx === undefined ? 'bench/raw-backend.ts' : `nginx ${nginx.version}`;
}
