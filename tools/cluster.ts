/**
 * `npm run cluster`: a real one-node Kubernetes with Jaeger, to try Tracecar on; up until Ctrl-C.
 *
 * It builds the project's image and loads it with the sample applications' image. Everything lives in
 * a network namespace of its own; `npm run cluster open TARGET:PORT` in another terminal makes a pod
 * or a Service reachable from this machine. Nothing is left when it ends.
 */

import { parseArgs } from 'node:util';
import { whyNoCluster } from '../test/peers/cluster/availability.ts';
import { startCluster } from '../test/peers/cluster/cluster.ts';
import { imageReferences } from '../test/peers/cluster/images.ts';
import { livingPlaces } from '../test/peers/cluster/place.ts';
import { listenOutside } from '../test/peers/cluster/relay.ts';
import { startJaeger } from '../test/peers/jaeger.ts';

const help = `npm run cluster [-- OPTIONS]                    start a node; Ctrl-C ends it
npm run cluster open TARGET:PORT [LOCAL_PORT]   reach SERVICE[.NAMESPACE] or an address inside

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

Reach something inside:        npm run cluster open SERVICE.NAMESPACE:PORT
Run a program in its network:  ${cluster.folder}/inside curl ADDRESS:PORT
Logs of its components:        ${cluster.folder}/*.log`);
  if (withImages) {
    say(`Images (imagePullPolicy: Never): ${imageReferences.tracecar} ${imageReferences.sample}`);
  }
  if (jaeger !== undefined) {
    say(`Jaeger: pods send to ${jaeger.otlpUrl}; query API ${jaeger.queryUrl}/api/v3/services`);
  }
  say('\nCtrl-C ends it and leaves nothing.');
  // The components are children: as long as they run, so does this process.
  process.once('SIGINT', async () => {
    process.on('SIGINT', () => {});
    await cluster.close();
    say('ended');
    process.exit(0);
  });
}

async function open(target: string, localPort: number): Promise<void> {
  const match = /^\[?([^\]]+)\]?:(\d+)$/.exec(target);
  if (match === null) throw new UsageError(`"${target}" is no TARGET:PORT`);
  const places = livingPlaces();
  if (places.length === 0) throw new Error('no cluster runs; start one with: npm run cluster');
  // `web:80` and `web.shop:80` name Services, as a pod of `default` would.
  const [host, namespace = 'default'] = match[1]!.split('.') as [string, string?];
  const isName = /^[a-z][a-z0-9-]*(\.[a-z0-9-]+)?$/.test(match[1]!);
  const address = isName ? `${host}.${namespace}.svc.cluster.local` : match[1]!;
  const relay = places.at(-1)!.path('relay.sock');
  const opened = await listenOutside(relay, address, Number(match[2]), localPort);
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
