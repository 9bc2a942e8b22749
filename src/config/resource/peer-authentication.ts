/**
 * PeerAuthentication: the fields of security.istio.io that say who has to prove an identity to call.
 *
 * All of Istio's type. One with a mistake anywhere says STRICT, and where its selector cannot be read it
 * selects the whole namespace: a mistake must never open what somebody meant to close.
 */

import type { PeerMode } from '../../model/security.ts';
import type { Place } from '../syntax/complaints.ts';
import type { Cursor } from '../syntax/cursor.ts';
import { checked, choice, mapping, optional, record } from '../syntax/schema.ts';
import { labels } from './values.ts';

const mutualTls = record({
  mode: optional(
    choice<PeerMode | 'unset'>({
      UNSET: 'unset',
      DISABLE: 'disable',
      PERMISSIVE: 'permissive',
      STRICT: 'strict',
    }),
  ),
});

type MutualTls = NonNullable<ReturnType<typeof mutualTls>>;

function checkPort(written: string, at: Place, cursor: Cursor): boolean {
  if (/^[1-9]\d{0,4}$/.test(written) && Number(written) <= 65_535) return true;
  const fix = 'Write a whole number from 1 to 65535, the port of the workload.';
  cursor.reading.complaints.add('bad-port', at, `\`${written}\` is not a port`, fix);
  return false;
}

export const peerAuthenticationSpec = checked(
  record({
    selector: optional(record({ matchLabels: optional(labels) })),
    mtls: optional(mutualTls),
    portLevelMtls: optional(mapping(mutualTls, checkPort)),
  }),
  (spec, cursor) => {
    const isGeneral = Object.keys(spec.selector?.matchLabels ?? {}).length === 0;
    if (spec.portLevelMtls === undefined || !isGeneral) return;
    const offset = spec.offsets.portLevelMtls!;
    const place = { ...cursor.at, path: `${cursor.path}.portLevelMtls`, offset };
    const message = '`portLevelMtls` is for the workloads that `selector` names, and there is none';
    const fix = 'Add `selector: {matchLabels: {app: NAME}}`, or write `mtls` for all ports.';
    cursor.reading.complaints.add('field-missing', place, message, fix);
  },
);

export type PeerAuthenticationSpec = NonNullable<ReturnType<typeof peerAuthenticationSpec>>;

/** Of one that is no mapping at all: it has complained, and stays as one with a mistake. */
export function unreadPeers({ at }: Cursor): PeerAuthenticationSpec {
  return { selector: undefined, mtls: undefined, portLevelMtls: undefined, at, offsets: {} };
}

/** What a part of it says of all ports or of one; undefined: what is more general says it. */
export function modeOf(part: MutualTls | undefined): PeerMode | undefined {
  return part?.mode === 'unset' ? undefined : part?.mode;
}
