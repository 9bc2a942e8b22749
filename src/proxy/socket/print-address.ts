/**
 * IP addresses as people and records want them: no IPv4-mapped form, brackets before a port.
 */

const mapped = '::ffff:';

/** A `[::]` listener names IPv4 peers `::ffff:192.0.2.1`; they are IPv4 all the same. */
export function plainAddress(address: string): string {
  const isMapped = address.startsWith(mapped) && address.includes('.');
  return isMapped ? address.slice(mapped.length) : address;
}

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
export function printAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
