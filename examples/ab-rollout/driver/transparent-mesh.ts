/**
 * Starts the demo as people meet it on a machine without Kubernetes: `tracecar run` before each program.
 *
 *   people -> 198.18.7.1 web -> 198.18.8.2 reviews (nobody's address) -> 198.18.7.2, .3 -> ...
 *
 * Each program has a network of its own, in which its connections are redirected to its sidecar. It
 * needs root; everything goes when the demo ends.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { startAuthority } from './authority.ts';
import { Children } from './children.ts';
import { tracecar } from './command.ts';
import {
  type AdminConfig,
  accountsOf,
  applicationOf,
  DemoProblem,
  endPatienceMs,
  type Mesh,
  nameOf,
  portVariables,
  spanVariables,
  startViewer,
} from './mesh.ts';
import type { DemoPlan, Workload } from './plan.ts';
import { transparentFiles } from './transparent-plan.ts';

/** Starts everything, or throws and leaves nothing behind. */
export async function startTransparentMesh(
  plan: DemoPlan,
  folder: string,
  say: (line: string) => void,
  onLoss: (lastWords: string) => void,
): Promise<Mesh> {
  const children = new Children((_name, lastWords) => onLoss(lastWords));
  let window: AdminWindow | undefined;
  const end = async () => {
    window?.close();
    await children.endAll(endPatienceMs);
  };
  try {
    const [{ viewer, receiver }, authority] = await Promise.all([
      startViewer(children, say),
      startAuthority(children, accountsOf(plan)),
    ]);
    await Promise.all(
      plan.workloads.map((workload) =>
        startWorkload(children, workload, folder, {
          ...authority.variablesFor(workload.app),
          ...spanVariables(receiver),
        }),
      ),
    );
    window = new AdminWindow(namespaceOf(plan.workloads[0]!.application.address));
    const { generation } = await window.read();
    const sidecars = plan.workloads.map(({ application }) => ({
      generation,
      admin: '127.0.0.1:15000',
      configCommand: `ip netns exec ${namespaceOf(application.address)} curl http://127.0.0.1:15000/config`,
    }));
    const shown = window;
    const readConfig = () => shown.read();
    return { viewer, receiver, authority: authority.address, sidecars, readConfig, end };
  } catch (error) {
    await end();
    throw error instanceof Error ? new DemoProblem(error.message) : error;
  }
}

function startWorkload(
  children: Children,
  workload: Workload,
  folder: string,
  variables: Readonly<Record<string, string>>,
): Promise<object> {
  const { application, app } = workload;
  const flags = [
    ...['--quiet', '--address', application.address, '--labels', workload.labels],
    ...['--service-name', app],
    ...transparentFiles(folder).flatMap((file) => ['--config', file]),
  ];
  return children.start({
    name: nameOf(workload),
    args: tracecar('run', ...flags, '--', process.execPath, applicationOf(app)),
    environment: {
      ...portVariables(workload),
      HOST: '0.0.0.0',
      ...variables,
    },
    isReady: (line) => (line.includes(' listens on ') ? workload : undefined),
  });
}

/** `tracecar run` names link and namespace by one number; the route to the address names the link. */
function namespaceOf(address: string): string {
  const { stdout } = spawnSync('ip', ['route', 'get', address], { encoding: 'utf8' });
  const number = / dev tcar-(\d+) /.exec(stdout)?.[1];
  if (number === undefined) throw new DemoProblem(`no link leads to ${address}: ${stdout.trim()}`);
  return `tracecar-run-${number}`;
}

/** Asks the admin port for its configuration, from where it listens: one line out, one line back. */
class AdminWindow {
  readonly #child: ChildProcess;
  readonly #waiting: ((text: string) => void)[] = [];

  constructor(namespace: string) {
    const script = `const url = 'http://127.0.0.1:15000/config';
    require('node:readline').createInterface(process.stdin).on('line', () =>
      fetch(url).then((answer) => answer.json()).then(JSON.stringify)
        .catch(() => '').then(console.log));`;
    const command = ['netns', 'exec', namespace, process.execPath, '-e', script];
    this.#child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#child.stdin!.on('error', () => {});
    createInterface({ input: this.#child.stdout! })
      .on('line', (line) => this.#waiting.shift()?.(line))
      .on('close', () => {
        for (const settle of this.#waiting) settle('');
      });
  }

  /** Rejects when the sidecar is gone. */
  async read(): Promise<AdminConfig> {
    const text = await new Promise<string>((settle) => {
      this.#waiting.push(settle);
      this.#child.stdin!.write('\n');
    });
    if (text === '') throw new DemoProblem('the admin port of web does not answer');
    return JSON.parse(text) as AdminConfig;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}
