/**
 * WorkloadEntry: one workload outside Kubernetes, an endpoint of the ServiceEntries that select it.
 *
 * Implemented: address, ports by name, labels, `serviceAccount` for the identity of who answers, and
 * `locality` for bytes by zone. Everything else of Istio's type is refused by name.
 */

import { isIP } from 'node:net';
import type { Cursor } from '../syntax/cursor.ts';
import {
  checked,
  checkedText,
  type Located,
  mapping,
  needed,
  optional,
  placed,
  record,
} from '../syntax/schema.ts';
import { hasSidecar, sidecarLabel } from './labels.ts';
import { isDnsName, type Labels, labels, portNumber } from './values.ts';

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

export const serviceAccount = checkedText((written, cursor) => {
  if (isDnsName(written)) return written;
  const fix = 'Write the name of the service account alone, as `reviews`, without its namespace.';
  return cursor.complain('bad-name', `\`${written}\` is not a service account`, fix);
});

/** What a workload and an endpoint of a ServiceEntry, which Istio defines as one, have in common. */
export const workloadFields = {
  ports: optional(mapping(portNumber, () => true)),
  labels: optional(labels),
  locality: optional(locality),
  serviceAccount: optional(serviceAccount),
};

/** What Istio has there, and we do not: refused by name. */
export const workloadFieldsLater = {
  weight: 'weights of single endpoints',
  network: 'several networks',
};

/** For a workload that names a service account and lacks the label that gives it a meaning. */
export function checkAccount(
  { serviceAccount: account, labels: own, at, offsets }: WorkloadFields,
  { reading }: Cursor,
): void {
  if (account === undefined || hasSidecar(own ?? {})) return;
  const offset = offsets.serviceAccount!;
  const place = { ...at, path: `${at.path}.serviceAccount`, offset };
  const message = '`serviceAccount` has no effect: no label says that a sidecar answers there';
  const fix = `Add the label \`${sidecarLabel}: istio\` once it has one, or remove the field.`;
  reading.complaints.add('field-ignored', place, message, fix);
}

interface WorkloadFields extends Located {
  readonly serviceAccount: string | undefined;
  readonly labels: Labels | undefined;
}

export const workloadEntrySpec = checked(
  record({ address: needed(placed(address)), ...workloadFields }, workloadFieldsLater),
  checkAccount,
);

export type WorkloadEntrySpec = NonNullable<ReturnType<typeof workloadEntrySpec>>;
