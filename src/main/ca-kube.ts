/**
 * An authority in a pod: its client of the API server, its state there, and the roots for everybody.
 */

import { systemWallTime } from '../base/clock.ts';
import { KubeClient } from '../kube/kube-client.ts';
import { BundlePublisher, KubeStateStore } from './ca-kube-store.ts';
import type { Environment } from './flags.ts';
import { StartError } from './listen-problem.ts';
import { tracecarVersion } from './version.ts';

export interface CaInCluster {
  readonly client: KubeClient;
  readonly store: KubeStateStore;
  /** Keeps the roots published; rejects when that cannot be done now. */
  readonly publish: (roots: string) => Promise<void>;
  /** The name of the object where roots are published already; rejects when nobody can say. */
  readonly published: () => Promise<string | undefined>;
}

/** Throws StartError where this is no pod. */
export function openCluster(environment: Environment, namespace: string): CaInCluster {
  let client: KubeClient;
  try {
    client = KubeClient.inCluster(environment, `tracecar-ca/${tracecarVersion()}`);
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error));
  }
  const publisher = new BundlePublisher(client, namespace, systemWallTime);
  return {
    client,
    store: new KubeStateStore(client, namespace),
    publish: (roots) => publisher.keep(roots),
    published: () => publisher.published(),
  };
}
