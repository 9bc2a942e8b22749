/**
 * The addresses whose sidecars are believed: what they say of a trace, and what they ask to keep.
 *
 * `--peer CIDR`; without it the ranges that a cluster's own addresses are from. It proves nothing of who
 * is there: until mesh TLS does, whoever may send from such an address can have a trace kept whose id
 * it knows (docs/sampling.md).
 */

import { BlockList, isIP } from 'node:net';

export class PeerList {
  readonly #ranges = new BlockList();
  readonly #isEmpty: boolean;

  /** `ranges`: `address/bits`, valid. None: nobody is a peer. */
  constructor(ranges: readonly string[]) {
    this.#isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const [address = '', bits] = range.split('/');
      this.#ranges.addSubnet(address, Number(bits), familyOf(address));
    }
  }

  /** Once for a connection or an endpoint: it takes about a microsecond. False for a host name. */
  has(address: string): boolean {
    if (this.#isEmpty || isIP(address) === 0) return false;
    return this.#ranges.check(address, familyOf(address));
  }
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
