/**
 * Which hosts a server's certificate is not for: callers of those would refuse it.
 *
 *   host                  a certificate is for it by
 *   shop.example.com      the name, or *.example.com (RFC 9525 section 6.3)
 *   *.example.com         any name of it, *.example.com too: the others may never be asked for
 *   *                     whatever it says
 */

import type { X509Certificate } from 'node:crypto';
import { dnsNamesOf } from './uri-names.ts';

/** Wildcard names below one of `hosts` that `before` has and `certificate` has not: whoever they are for loses. */
export function wildcardsLost(
  before: X509Certificate,
  certificate: X509Certificate,
  hosts: readonly string[],
): string[] {
  const names = dnsNamesOf(certificate.raw).map((name) => name.toLowerCase());
  return dnsNamesOf(before.raw)
    .map((name) => name.toLowerCase())
    .filter((name) => name.startsWith('*.') && !names.includes(name))
    .filter((name) => hosts.some((host) => host.startsWith('*.') && name.endsWith(host.slice(1))));
}

/** Those of `hosts`, lower-case names and wildcards, for which `certificate` has no name. */
export function hostsWithout(certificate: X509Certificate, hosts: readonly string[]): string[] {
  const names = dnsNamesOf(certificate.raw).map((name) => name.toLowerCase());
  return hosts.filter((host) => {
    if (host === '*') return false;
    if (host.startsWith('*')) return !names.some((name) => name.endsWith(host.slice(1)));
    return certificate.checkHost(host, { subject: 'never', partialWildcards: false }) === undefined;
  });
}
