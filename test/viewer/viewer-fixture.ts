/**
 * A viewer on ports of the system's choice, for tests that speak real HTTP to it.
 */

import { ManualClock } from '../../src/base/clock.ts';
import { type ViewerLimits, viewerLimits } from '../../src/model/viewer-limits.ts';
import { ViewerServer } from '../../src/viewer/viewer-server.ts';

export interface RunningViewer {
  readonly otlp: string;
  readonly otlpPort: number;
  readonly grpcPort: number;
  readonly query: string;
  readonly clock: ManualClock;
  close(): Promise<void>;
}

export async function startViewer(limits: Partial<ViewerLimits> = {}): Promise<RunningViewer> {
  const server = new ViewerServer();
  const clock = new ManualClock();
  const at = { address: '127.0.0.1', port: 0 };
  const { otlpPort, grpcPort, queryPort } = await server.start({
    otlpAddress: at,
    grpcAddress: at,
    queryAddress: at,
    clock,
    limits: { ...viewerLimits, ...limits },
  });
  return {
    otlp: `http://127.0.0.1:${otlpPort}`,
    otlpPort,
    grpcPort,
    clock,
    query: `http://127.0.0.1:${queryPort}`,
    close: () => server.close(),
  };
}
