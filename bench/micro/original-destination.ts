/**
 * What it costs to learn where a redirected connection was going, and what is known of that address.
 *
 *   node bench/micro/original-destination.ts           as root: makes a pod, measures in it, prints
 *   node bench/micro/original-destination.ts listen    in a pod, in the sidecar's place (scenario interception)
 *
 * 64 redirected connections in turn, so that no answer is the one before. Node.js remembers a socket's own
 * address; a sidecar asks once for each connection, and so the memory is taken away before each asking.
 */

import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import type { DestinationPlan } from '../../src/proxy/plan/capture-lookup.ts';
import { CaptureLookup } from '../../src/proxy/plan/capture-lookup.ts';
import {
  type OriginalDestination,
  openOriginalDestination,
} from '../../src/proxy/socket/original-destination.ts';
import { makePods, users, whyNoPods } from '../../test/support/namespace-pods.ts';
import { measureOne } from './measure.ts';

/** Redirected connections that are asked of. */
export const lookupConnections = 64;
const knownDestinations = 1000;
/** Where `tracecar init` redirects to. */
const outboundPort = 15_001;

/** The last line that `listen` prints, as JSON: nanoseconds of CPU, medians. */
export interface LookupFigures {
  /** getsockopt, with the socket's own address before it and the printed one after it. */
  readonly askNs: number;
  /** What the table knows of it. */
  readonly findNs: number;
  readonly bothNs: number;
  readonly by: string;
}

function listen(): void {
  const opened = openOriginalDestination();
  if ('problem' in opened) throw new Error(opened.problem);
  const { reader, by } = opened;
  const sockets: Socket[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    // The caller holds a connection when it has its byte back.
    socket.once('data', (chunk) => {
      socket.write(chunk);
      if (sockets.push(socket) === lookupConnections) say(measureAll(sockets, reader.read), by);
    });
  });
  server.listen({ port: outboundPort, host: '0.0.0.0' }, () => process.stdout.write('open\n'));
}

type Ask = (socket: Socket) => OriginalDestination | undefined;

function measureAll(sockets: readonly Socket[], ask: Ask): Omit<LookupFigures, 'by'> {
  const askFresh = (socket: Socket) => {
    (socket as unknown as { _sockname: unknown })._sockname = undefined;
    return ask(socket);
  };
  const found = sockets.map((socket) => {
    const destination = askFresh(socket);
    if (destination === undefined) throw new Error('a connection was not redirected');
    return destination;
  });
  const lookup = lookupOf(found[0]!.address, new Set(found.map(({ port }) => port)));
  let known = 0;
  const inTurn = (operation: (place: number) => unknown) => {
    let place = 0;
    return measureOne(() => {
      place = place + 1 === sockets.length ? 0 : place + 1;
      if (operation(place) !== undefined) known++;
    }).median;
  };
  const find = ({ address, port }: OriginalDestination) => lookup.find(address, port);
  const figures = {
    askNs: inTurn((place) => askFresh(sockets[place]!)),
    findNs: inTurn((place) => find(found[place]!)),
    bothNs: inTurn((place) => find(askFresh(sockets[place]!)!)),
  };
  if (known === 0) throw new Error('nothing was measured');
  return figures;
}

/** A table of many addresses, and of the one that was dialled on each of its ports. */
function lookupOf(dialled: string, ports: ReadonlySet<number>): CaptureLookup {
  const plans: DestinationPlan[] = [];
  for (const port of ports) {
    for (let index = 0; index < knownDestinations; index++) {
      const address = index === 0 ? dialled : `10.96.${index >> 8}.${index & 255}`;
      const destination = { address, prefix: 32, port };
      // The lookup reads nothing else of a plan.
      plans.push({ destination, isAnyAddress: false } as unknown as DestinationPlan);
    }
  }
  return new CaptureLookup(plans);
}

function say(figures: Omit<LookupFigures, 'by'>, by: string): void {
  process.stdout.write(`${JSON.stringify({ ...figures, by })}\n`);
}

/** By itself: one pod, whose destination is nobody's and never reached. */
async function measureInPod(): Promise<void> {
  const why = whyNoPods();
  if (why !== undefined) throw new Error(why);
  const root = join(import.meta.dirname, '../..');
  const network = makePods(1);
  try {
    const pod = network.pods[0]!;
    const init = [process.execPath, join(root, 'src/cli/tracecar.ts'), 'init'];
    const { status, errors } = pod.run(users.init, init);
    if (status !== 0) throw new Error(`tracecar init: ${errors}`);
    const listener = pod.start(users.proxy, [process.execPath, import.meta.filename, 'listen']);
    await listener.says(/^open$/);
    const load = join(root, 'bench/interception-load.ts');
    const count = String(lookupConnections);
    pod.start(users.app, [process.execPath, load, 'hold', '10.7.0.99', count, '0']);
    const { askNs, findNs, bothNs, by } = JSON.parse(await listener.says(/^\{/)) as LookupFigures;
    process.stdout.write(
      `original destination by ${by}, ns of CPU, medians: asked ${askNs.toFixed(0)}, ` +
        `found among ${knownDestinations} ${findNs.toFixed(0)}, both ${bothNs.toFixed(0)}\n`,
    );
  } finally {
    await network.close();
  }
}

if (import.meta.main) {
  try {
    if (process.argv[2] === 'listen') listen();
    else await measureInPod();
  } catch (error) {
    process.stderr.write(`original destination: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
