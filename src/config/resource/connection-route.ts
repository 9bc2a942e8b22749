/**
 * Connection routes: `tls` and `tcp` of a VirtualService, rules for connections that are not read.
 *
 * Implemented: names of a ClientHello, ports, ranges of original destinations; weighted routes with
 * subsets. Everything else of Istio's types is refused by name.
 */

import type { Cursor } from '../syntax/cursor.ts';
import { checked, judged, list, needed, optional, placed, record } from '../syntax/schema.ts';
import { destination } from './destination.ts';
import { covers, fullName } from './host-names.ts';
import { checkWeights } from './http-rule-checks.ts';
import { addressRange, hostPattern, portNumber, weight } from './values.ts';

const notInMatches = {
  sourceLabels: 'rules for some callers only',
  sourceNamespace: 'rules for some callers only',
  sourceSubnet: 'rules for some callers only',
  gateways: 'rules for some gateways only',
};

const shared = {
  port: optional(portNumber),
  destinationSubnets: optional(list(addressRange)),
};

const routes = needed(
  list(judged(record({ destination: needed(destination), weight: optional(weight) }))),
);

const tlsMatch = record({ ...shared, sniHosts: needed(list(placed(hostPattern))) }, notInMatches);

export const tlsRoutes = list(
  checked(record({ match: needed(list(tlsMatch)), route: routes }), checkWeights),
);

export const tcpRoutes = list(
  checked(
    record({ match: optional(list(record(shared, notInMatches))), route: routes }),
    checkWeights,
  ),
);

type TlsRoute = NonNullable<ReturnType<typeof tlsRoutes>>[number];
type TcpRoute = NonNullable<ReturnType<typeof tcpRoutes>>[number];
export type ConnectionRoute = TlsRoute | TcpRoute;

/** As in Istio: what a rule takes must be a name that its VirtualService is for. */
export function checkSniHosts(
  hosts: readonly { readonly value: string }[],
  tls: readonly TlsRoute[] | undefined,
  cursor: Cursor,
): void {
  const { complaints, resource } = cursor.reading;
  const names = hosts.flatMap(({ value }) => [value, fullName(value, resource.namespace)]);
  const taken = (tls ?? []).flatMap(({ match }) => match.flatMap(({ sniHosts }) => sniHosts));
  for (const { value, at } of taken) {
    if (names.some((name) => covers(name, value))) continue;
    const message = `\`${value}\` is not one of this VirtualService's \`hosts\`, nor within one`;
    complaints.add('sni-not-covered', at, message, 'Add it to `hosts`, or remove it here.');
  }
}
