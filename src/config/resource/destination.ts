/**
 * Destination: where a rule leads to, as all kinds of rules write it: a host, maybe a subset and a port.
 */

import { checkedText, needed, optional, type Reader, record } from '../syntax/schema.ts';
import { hostname, isDnsLabel, portNumber } from './values.ts';

/** A name that refers to a subset; whether it exists is found out when rules are compiled. */
export const subsetName: Reader<string> = checkedText((name, cursor) => {
  if (isDnsLabel(name)) return name;
  const fix = 'Write lower-case letters, digits and `-`, for example `v1`.';
  return cursor.complain('bad-name', `\`${name}\` is not the name of a subset`, fix);
});

export const destination = record({
  host: needed(hostname),
  subset: optional(subsetName),
  port: optional(record({ number: needed(portNumber) })),
});

export type Destination = NonNullable<ReturnType<typeof destination>>;
