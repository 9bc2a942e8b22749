/**
 * WorkloadEntry: one workload outside Kubernetes, an endpoint of the ServiceEntries that select it.
 *
 * Implemented: address, ports by name, labels. Everything else of Istio's type is refused by name.
 */

import { isIP } from 'node:net';
import { checkedText, mapping, needed, optional, placed, record } from './schema.ts';
import { isDnsName, labels, portNumber } from './values.ts';

const address = checkedText((written, cursor) => {
  const name = written.toLowerCase();
  if (isIP(written) !== 0 || isDnsName(name)) return name;
  const fix = 'Write an IP address or a DNS name, without a port.';
  return cursor.complain('bad-address', `\`${written}\` is not an address`, fix);
});

/** What a workload and an endpoint of a ServiceEntry, which Istio defines as one, have in common. */
export const workloadFields = {
  ports: optional(mapping(portNumber, () => true)),
  labels: optional(labels),
};

/** What Istio has there, and we do not: refused by name. */
export const workloadFieldsLater = {
  weight: 'weights of single endpoints',
  locality: 'balancing by locality',
  network: 'several networks',
  serviceAccount: 'identities',
};

export const workloadEntrySpec = record(
  { address: needed(placed(address)), ...workloadFields },
  workloadFieldsLater,
);

export type WorkloadEntrySpec = NonNullable<ReturnType<typeof workloadEntrySpec>>;
