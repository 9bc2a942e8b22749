/**
 * A proxy that captures, without a kernel that redirects: the original destination is what the test
 * says, and downstreams dial the capture ports themselves.
 */

import type { TestContext } from 'node:test';
import type { MeshIdentity } from '../../src/identity/mesh-identity.ts';
import type { TrafficLimits } from '../../src/model/limits.ts';
import type {
  CapturePlan,
  Cluster,
  Listener,
  RoutingTable,
} from '../../src/model/routing-table.ts';
import type { InboundSecurity } from '../../src/model/security.ts';
import type { OriginalDestination } from '../../src/proxy/socket/original-destination.ts';
import type { ManualTime } from './manual-time.ts';
import { type ProxyFixture, startProxy } from './proxy-fixture.ts';
import type { RawConnection } from './raw-connection.ts';
import { capturePlanOf, tableOf } from './tables.ts';

/** What the proxy takes for an address of its pod. */
export const ownAddress = '10.0.0.1';

export interface CaptureFixture extends ProxyFixture {
  readonly table: RoutingTable;
  /** A new connection that was going to `to` (a port of 127.0.0.1, or undefined: unreadable). */
  outbound(to: number | OriginalDestination | undefined): Promise<RawConnection>;
  inbound(to: number | OriginalDestination | undefined): Promise<RawConnection>;
  readonly outboundPort: number;
  readonly inboundPort: number;
}

export interface CaptureFixtureOptions {
  readonly capture?: Partial<CapturePlan>;
  readonly listeners?: readonly Listener[];
  readonly clusters?: readonly Cluster[];
  readonly limits?: Partial<TrafficLimits>;
  readonly time?: ManualTime;
  /** Who the workload is, and what its inbound ports take. */
  readonly mesh?: MeshIdentity;
  readonly security?: InboundSecurity;
  /** Of the pod; otherwise `ownAddress`. */
  readonly ownAddresses?: readonly string[];
  /** The table is not applied: the test does it, or not. */
  readonly isParking?: boolean;
}

export async function startCapture(
  t: TestContext,
  options: CaptureFixtureOptions = {},
): Promise<CaptureFixture> {
  let destination: OriginalDestination | undefined;
  let onRead = () => {};
  const table = {
    ...tableOf(options.listeners ?? [], options.clusters ?? []),
    capture: capturePlanOf(options.capture),
    ...(options.security === undefined ? {} : { security: options.security }),
  };
  const fixture = await startProxy(t, {
    table,
    limits: options.limits ?? {},
    isParking: options.isParking ?? false,
    ...(options.time === undefined ? {} : { time: options.time }),
    ...(options.mesh === undefined ? {} : { mesh: options.mesh }),
    capture: {
      originalDestination: {
        read() {
          onRead();
          return destination;
        },
      },
      ownAddresses: options.ownAddresses ?? [ownAddress],
      ports: { outbound: 0, inbound: 0 },
    },
  });
  const portOf = (name: string) => {
    const found = fixture.proxy.addresses().find((each) => each.name === name);
    return found?.port ?? 0;
  };
  const [outboundPort, inboundPort] = [portOf('capture|outbound'), portOf('capture|inbound')];
  const through = (port: number) => async (to: number | OriginalDestination | undefined) => {
    destination = typeof to === 'number' ? { address: '127.0.0.1', port: to } : to;
    // It is read when the connection is accepted: until then it must not change.
    const accepted = new Promise<void>((resolve) => {
      onRead = resolve;
    });
    const downstream = await fixture.connect(port);
    await accepted;
    return downstream;
  };
  return {
    ...fixture,
    table,
    outboundPort,
    inboundPort,
    outbound: through(outboundPort),
    inbound: through(inboundPort),
  };
}
