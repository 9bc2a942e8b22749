/**
 * `npm run cluster`: a real one-node Kubernetes with Jaeger, to try Tracecar on; up until Ctrl-C.
 *
 * It builds the project's image and loads it with the sample applications' image. Everything lives in
 * a network namespace of its own; `npm run cluster open ADDRESS:PORT` in another terminal makes a pod,
 * a Service or the node reachable from this machine. Nothing is left when it ends.
 */

import { parseArgs } from 'node:util';
import { whyNoCluster } from '../test/peers/cluster/availability.ts';
import { startCluster } from '../test/peers/cluster/cluster.ts';
import { imageReferences } from '../test/peers/cluster/images.ts';
import { livingPlaces } from '../test/peers/cluster/place.ts';
import { listenOutside } from '../test/peers/cluster/relay.ts';
import { startJaeger } from '../test/peers/jaeger.ts';

const help = `npm run cluster [-- OPTIONS]                          start a node; Ctrl-C ends it
npm run cluster open ADDRESS:PORT [LOCAL_PORT]        reach an address of the running node

  --no-images   load neither Tracecar's image nor the sample applications'
  --no-jaeger   start no Jaeger
  --help        this text

It needs root and, once, \`npm run peers cluster\`.
`;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

async function up(withImages: boolean, withJaeger: boolean): Promise<void> {
  const started = performance.now();
  const reason = whyNoCluster();
  if (reason !== undefined) throw new Error(reason);
  const cluster = await startCluster({
    images: withImages ? ['tracecar', 'sample'] : [],
    log: say,
  });
  const jaeger = withJaeger ? await startJaeger({ inNamespaceOf: cluster }) : undefined;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  say(`
A Kubernetes node is ready after ${seconds} s. In another terminal:

  export KUBECONFIG=${cluster.kubeconfig}
  alias kubectl=${cluster.folder}/kubectl
  kubectl get pods --all-namespaces

Reach something inside:        npm run cluster open ADDRESS:PORT    (a pod's or a Service's address)
Run a program in its network:  ${cluster.folder}/inside curl ADDRESS:PORT
Logs of its components:        ${cluster.folder}/*.log`);
  if (withImages) {
    say(`Images (imagePullPolicy: Never): ${imageReferences.tracecar} ${imageReferences.sample}`);
  }
  if (jaeger !== undefined) {
    say(`Jaeger: pods send to ${jaeger.otlpUrl}; query API ${jaeger.queryUrl}/api/v3/services`);
  }
  say('\nCtrl-C ends it and leaves nothing.');
  // The sockets of the opened ports keep this process alive; a signal ends it (cluster.ts).
}

async function open(target: string, localPort: number): Promise<void> {
  const match = /^\[?([^\]]+)\]?:(\d+)$/.exec(target);
  if (match === null) throw new UsageError(`"${target}" is no ADDRESS:PORT`);
  const places = livingPlaces();
  if (places.length === 0) throw new Error('no cluster runs; start one with: npm run cluster');
  const relay = places.at(-1)!.path('relay.sock');
  const opened = await listenOutside(relay, match[1]!, Number(match[2]), localPort);
  say(`http://127.0.0.1:${opened.port} leads to ${target}; Ctrl-C closes it.`);
}

/** A mistake of the caller: status 2. */
class UsageError extends Error {}

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      allowNegative: true,
      options: {
        images: { type: 'boolean', default: true },
        jaeger: { type: 'boolean', default: true },
        help: { type: 'boolean', short: 'h' },
      },
    });
    const [command, target, local] = positionals;
    if (values.help) process.stdout.write(help);
    else if (command === undefined) await up(values.images, values.jaeger);
    else if (command !== 'open' || target === undefined) throw new UsageError(`see --help`);
    else await open(target, Number(local ?? 0));
    return 0;
  } catch (error) {
    const { message, code } = error as Error & { code?: string };
    process.stderr.write(`cluster: ${message}\n`);
    return error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS') ? 2 : 1;
  }
}

if (import.meta.main) process.exitCode = await main();
