/**
 * Pods with rules and a sidecar each, as the injector would make them: for tests that bring their own
 * applications. The access log and the log of a sidecar are lines of one process.
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { type Pod, type PodProcess, type RunResult, users } from './namespace-pods.ts';

const root = resolve(import.meta.dirname, '../..');
const tracecar = resolve(root, 'src/cli/tracecar.ts');
const initModule = resolve(root, 'injector/init/main.ts');
const script = `import('${initModule}').then(async (init) => process.exit(await init.runInit(process.argv.slice(1))))`;

const ready = /"message":"ready"/;

/** `tracecar init` as the init container runs it. */
export function runInit(pod: Pod, args: readonly string[] = []): RunResult {
  return pod.run(users.init, [process.execPath, '-e', script, '--', ...args]);
}

/** A sidecar for the pod; it is not awaited. It is not warmed unless `args` say so: most tests count nothing. */
export function startSidecar(
  pod: Pod,
  app: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): PodProcess {
  const isDrainGiven = args.some((arg) => arg.startsWith('--drain-seconds='));
  const own = [
    '--capture=redirect',
    '--access-log=json',
    ...(isDrainGiven ? [] : ['--drain-seconds=2']),
    `--labels=app=${app}`,
  ];
  return pod.start(users.proxy, [process.execPath, tracecar, 'proxy', ...own, ...args], {
    POD_IPS: `${pod.v4},${pod.v6}`,
    POD_NAMESPACE: 'default',
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_SERVICE_NAME: app,
    TRACECAR_WARM_UP_MS: '0',
    ...environment,
  });
}

/** Rules and a sidecar that is ready. */
export async function mesh(
  pod: Pod,
  app: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
) {
  const { status, errors } = runInit(pod);
  assert.equal(status, 0, errors);
  const sidecar = startSidecar(pod, app, args, environment);
  await sidecar.says(ready);
  return sidecar;
}
