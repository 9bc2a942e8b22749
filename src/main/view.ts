/**
 * `tracecar view`: receives traces, keeps them in memory or in a file and shows them, until a signal
 * ends it.
 *
 * With --trace it is a client instead (view-trace.ts). Status 0 after SIGINT or SIGTERM, whatever
 * connections are open; without --store the traces are gone then.
 */

import { getHeapStatistics } from 'node:v8';
import { systemClock } from '../base/clock.ts';
import { viewerLimits } from '../model/viewer-limits.ts';
import { ListenFailure, printAddress } from '../viewer/http-listener.ts';
import { type Imported, ImportFailure } from '../viewer/otlp-import.ts';
import type { SpanBodies } from '../viewer/span-bodies.ts';
import { StoreFailure } from '../viewer/store-failure.ts';
import { isLoopback, ViewerServer } from '../viewer/viewer-server.ts';
import { StartError } from './listen-problem.ts';
import { tracecarVersion } from './version.ts';
import { readViewSettings, type ServeSettings } from './view-settings.ts';

/**
 * Gives the exit status. Throws UsageError and StartError: their messages are the one line for the
 * person who started it.
 */
export async function runView(args: readonly string[]): Promise<number> {
  const settings = readViewSettings(args, process.env);
  if (settings.kind === 'serve') return serve(settings);
  // Only here, so that a server does not load the HTTP client.
  const { showTrace } = await import('./view-trace.ts');
  return showTrace(settings);
}

async function serve(settings: ServeSettings): Promise<number> {
  const server = new ViewerServer();
  const ended = untilSignal();
  const { otlpPort, grpcPort, queryPort, imported } = await open(server, settings);
  const otlp = printAddress({ address: settings.otlp.address, port: otlpPort });
  const query = printAddress({ address: settings.query.address, port: queryPort });
  const grpc =
    settings.grpc === undefined
      ? undefined
      : printAddress({ address: settings.grpc.address, port: grpcPort });
  process.stdout.write(
    `tracecar view: spans come in at http://${otlp}/v1/traces (OTLP over HTTP, JSON or protobuf)\n` +
      (grpc === undefined ? '' : `tracecar view: spans come in at ${grpc} (OTLP over gRPC)\n`) +
      `tracecar view: traces are shown at http://${query}/ (Jaeger's query API v3 at /api/v3)\n`,
  );
  for (const [at, place] of [
    [otlp, settings.otlp],
    [grpc, settings.grpc],
    [query, settings.query],
  ] as const) {
    if (place === undefined || isLoopback(place.address)) continue;
    process.stderr.write(
      `tracecar view: ${at} is open to the network, and there is no authentication\n`,
    );
  }
  if (imported !== undefined) tellImported(settings.importFile ?? '', imported);
  await ended;
  await server.close();
  return 0;
}

function tellImported(file: string, { rejected, reason }: Imported): void {
  if (rejected === 0) return;
  process.stderr.write(
    `tracecar view: of ${file} ${rejected} spans were not kept; the first one because ${reason}\n`,
  );
}

async function open(server: ViewerServer, settings: ServeSettings) {
  try {
    const { storeFile, storeBytes } = settings;
    const bytesMax = storeFile === undefined ? fittingStoreBytes(storeBytes) : storeBytes;
    return await server.start({
      otlpAddress: settings.otlp,
      grpcAddress: settings.grpc,
      queryAddress: settings.query,
      clock: systemClock,
      version: tracecarVersion(),
      bodies: storeFile === undefined ? undefined : await openStore(storeFile, bytesMax),
      importFile: settings.importFile,
      limits: { ...viewerLimits, storeBytesMax: bytesMax },
    });
  } catch (error) {
    const isExpected = expectedFailures.some((failure) => error instanceof failure);
    throw isExpected ? new StartError((error as Error).message) : error;
  }
}

const expectedFailures = [ListenFailure, ImportFailure, StoreFailure] as const;

/** Only here, so that a viewer in memory does not load SQLite. */
async function openStore(file: string, bytesMax: number): Promise<SpanBodies> {
  const { SqliteBodies } = await import('../viewer/sqlite-bodies.ts');
  return new SqliteBodies(file, bytesMax);
}

/**
 * What was asked for, or less. The store itself is outside of the JavaScript heap, but the heap's limit
 * follows the memory of the machine or container, and what does not fit there would end the process.
 */
function fittingStoreBytes(asked: number): number {
  const { heap_size_limit: heapMax } = getHeapStatistics();
  if (asked <= heapMax) return asked;
  const bytes = Math.floor(heapMax);
  process.stderr.write(
    `tracecar view: the store gets ${bytes} bytes instead of ${asked}: more does not fit beside the ` +
      'room for more (NODE_OPTIONS=--max-old-space-size=MIB raises it)\n',
  );
  return bytes;
}

/** Listens from now on, so that a signal during start is not lost. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}
