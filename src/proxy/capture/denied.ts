/**
 * Denied: what to say about a call to something that REGISTRY_ONLY does not know, and what allows it.
 *
 * The text holds a ServiceEntry to paste, because whoever meets it mostly wants just that. One line, as
 * YAML may be: it stands in the log too.
 */

import type { OriginalDestination } from '../socket/original-destination.ts';
import { printAddress } from '../socket/print-address.ts';

/** What the caller speaks, as a ServiceEntry says it. */
export type SpokenProtocol = 'HTTP' | 'TLS' | 'TCP';

const NAME_LENGTH_MAX = 253;
const RESOURCE_NAME_LENGTH_MAX = 63;
const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * The host, where it was called, and the resource that allows it.
 *
 * @param hostname of the authority or the ClientHello, lower-case and without a port; may be anything
 */
export function printDenial(
  hostname: string,
  { address, port }: OriginalDestination,
  protocol: SpokenProtocol,
): string {
  const isName = isHostname(hostname);
  const where = printAddress(address, port);
  // Whoever pastes this meets the next port tomorrow: neither name nor host may be taken by then.
  const name = resourceName(isName ? hostname : `address-${address}`, port);
  const host = isName ? hostname : `${name}.internal`;
  const word = protocol.toLowerCase();
  const ports = `[{number: ${port}, name: ${word}-${port}, protocol: ${protocol}}]`;
  const there = isName
    ? 'resolution: DNS'
    : `addresses: ["${address}"], resolution: STATIC, endpoints: [{address: "${address}"}]`;
  const spec = `{hosts: [${host}], location: MESH_EXTERNAL, ${there}, ports: ${ports}}`;
  return (
    `${isName ? `${host} at ${where}` : where} is not known here and may not be called; this allows ` +
    `it: {apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: ${name}}, ` +
    `spec: ${spec}}`
  );
}

/** What a denial is about, whatever addresses DNS gives for it: `api.example.com:443`. */
export function denialSubject(hostname: string, { address, port }: OriginalDestination): string {
  return isHostname(hostname) ? `${hostname}:${port}` : printAddress(address, port);
}

/** A DNS name of several labels that is no IPv4 address. */
function isHostname(text: string): boolean {
  if (text.length > NAME_LENGTH_MAX || /^[\d.]+$/.test(text)) return false;
  const labels = text.split('.');
  return labels.length > 1 && labels.every((each) => label.test(each));
}

/** `api.example.com` and 443 to `api-example-com-443`: a label of DNS. */
function resourceName(host: string, port: number): string {
  const end = `-${port}`;
  return host.replaceAll(/[.:]/g, '-').slice(0, RESOURCE_NAME_LENGTH_MAX - end.length) + end;
}
