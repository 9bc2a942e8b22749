/**
 * The PROXY protocol, versions 1 and 2: where a connection comes from that a load balancer has passed on.
 * Sans-IO. (haproxy.org, proxy-protocol.txt)
 *
 *   1   PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n                        at most 107 bytes
 *   2   12 bytes of signature | version, command | family | length:2 | addresses, more
 *
 * It is the first that comes and is never optional: whoever may leave it out may also forge it. `LOCAL` and
 * `UNKNOWN` say that the balancer itself is the caller (a health check). What follows the addresses in
 * version 2 is passed over.
 */

import { isIPv4, isIPv6 } from 'node:net';
import { parseAddress, printBytes } from '../base/ip-address.ts';

export const ProxyHeaderState = { More: 0, Done: 1, Refused: 2 } as const;

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const LINE_BYTES_MAX = 107;
const HEAD_BYTES = 16;
/** Of version 2 behind its head. Balancers send a few hundred; the protocol allows 64 KiB. */
const BODY_BYTES_MAX = 4_096;
const [INET, INET6] = [1, 2] as const;

export class ProxyHeaderReader {
  /** Bytes of it, once it is Done. */
  length = 0;
  /** As `node:net` prints it; '' when the balancer itself is the caller. */
  address = '';
  port = 0;

  /** Looks at all that has come so far; returns `ProxyHeaderState`. */
  read(bytes: Buffer): number {
    const first = Math.min(bytes.length, signature.length);
    if (bytes.compare(signature, 0, first, 0, first) === 0) return this.#readBinary(bytes);
    return this.#readLine(bytes);
  }

  #readLine(bytes: Buffer): number {
    const begin = bytes.toString('latin1', 0, 6);
    if (!'PROXY '.startsWith(begin)) return ProxyHeaderState.Refused;
    const end = bytes.subarray(0, LINE_BYTES_MAX).indexOf('\r\n');
    if (end === -1) {
      return bytes.length < LINE_BYTES_MAX ? ProxyHeaderState.More : ProxyHeaderState.Refused;
    }
    const [, family, source = '', destination = '', port = '', other = '', ...more] = bytes
      .toString('latin1', 0, end)
      .split(' ');
    this.length = end + 2;
    if (family === 'UNKNOWN') return ProxyHeaderState.Done;
    const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined;
    if (isAddress?.(source) !== true || !isAddress(destination) || more.length > 0) {
      return ProxyHeaderState.Refused;
    }
    if (![port, other].every(isPort)) return ProxyHeaderState.Refused;
    const address = parseAddress(source);
    if (address === undefined) return ProxyHeaderState.Refused;
    return this.#done(address, Number(port));
  }

  #readBinary(bytes: Buffer): number {
    if (bytes.length < HEAD_BYTES) return ProxyHeaderState.More;
    const length = bytes.readUInt16BE(14);
    const command = bytes[12]!;
    if (command !== 0x20 && command !== 0x21) return ProxyHeaderState.Refused;
    if (length > BODY_BYTES_MAX) return ProxyHeaderState.Refused;
    if (bytes.length < HEAD_BYTES + length) return ProxyHeaderState.More;
    this.length = HEAD_BYTES + length;
    const family = bytes[13]! >> 4;
    // LOCAL, or addresses of a family that is none of ours.
    if (command === 0x20 || (family !== INET && family !== INET6)) return ProxyHeaderState.Done;
    const size = family === INET ? 4 : 16;
    if (length < 2 * size + 4) return ProxyHeaderState.Refused;
    const address = bytes.subarray(HEAD_BYTES, HEAD_BYTES + size);
    return this.#done(address, bytes.readUInt16BE(HEAD_BYTES + 2 * size));
  }

  #done(address: Uint8Array, port: number): number {
    this.address = printBytes(isMapped(address) ? address.subarray(12) : address);
    this.port = port;
    return ProxyHeaderState.Done;
  }
}

/** IPv4 in the form of RFC 4291 2.5.5.2; `::ffff:0:0.0.0.0/96`, translated IPv4, is not. */
function isMapped(address: Uint8Array): boolean {
  if (address.length !== 16) return false;
  return address.subarray(0, 10).every((byte) => byte === 0) && address[10]! + address[11]! === 510;
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}
