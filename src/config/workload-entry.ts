/**
 * WorkloadEntry: one workload outside Kubernetes, an endpoint of the ServiceEntries that select it.
 *
 * Implemented: address, ports by name, labels, and `locality` for bytes by zone. Everything else of Istio's type is refused by name.
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

/** `REGION/ZONE/SUBZONE`: where bytes are counted. Balancing does not look at it yet, and says so. */
const locality = checkedText((written, cursor) => {
  const parts = written.split('/');
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9][\w.-]{0,62}$/.test(part))) {
    const fix = 'Write REGION/ZONE/SUBZONE or less of it, as `eu-west-1/eu-west-1a`.';
    return cursor.complain('bad-name', `\`${written}\` is not a locality`, fix);
  }
  const message = '`locality` is for bytes by zone only: endpoints are not chosen by it yet';
  cursor.complain('field-ignored', message, 'Remove it, or leave it for that.');
  return written;
});

/** What a workload and an endpoint of a ServiceEntry, which Istio defines as one, have in common. */
export const workloadFields = {
  ports: optional(mapping(portNumber, () => true)),
  labels: optional(labels),
  locality: optional(locality),
};

/** What Istio has there, and we do not: refused by name. */
export const workloadFieldsLater = {
  weight: 'weights of single endpoints',
  network: 'several networks',
  serviceAccount: 'identities',
};

export const workloadEntrySpec = record(
  { address: needed(placed(address)), ...workloadFields },
  workloadFieldsLater,
);

export type WorkloadEntrySpec = NonNullable<ReturnType<typeof workloadEntrySpec>>;
