/**
 * Who calls: all that a connection tells to those who authorise, made ready once.
 *
 * Nothing here is what a request says of itself. The identity is one that mutual TLS has proved.
 */

import { parseAddress } from '../base/ip-address.ts';

/** Of a connection, as text. */
export interface CallerFacts {
  /** The SPIFFE id that the peer has proved; '' without one. */
  readonly identity: string;
  readonly address: string;
  /** Where it connected to, or meant to. */
  readonly destinationAddress: string;
  readonly destinationPort: number;
  /** Of its ClientHello; '' without one, `UNREAD_NAME` of one that could not be read. */
  readonly serverName: string;
}

/** It could be any. */
export const UNREAD_NAME = '?';

const SCHEME = 'spiffe://';
const noBytes = new Uint8Array(0);

export class Caller {
  readonly facts: CallerFacts;
  /** `cluster.local/ns/default/sa/web`; '' without a proof, and so the parts of it. */
  readonly principal: string;
  readonly trustDomain: string;
  readonly namespace: string;
  /** `default/web`. */
  readonly serviceAccount: string;
  /** 4 or 16 bytes; none where it is not known. */
  readonly address: Uint8Array;
  readonly destinationAddress: Uint8Array;
  readonly port: number;
  /** In lower case, without a trailing dot. */
  readonly serverName: string;
  /** Of the original client. */
  remoteAddress: Uint8Array;
  #remote: string;

  constructor(facts: CallerFacts) {
    this.facts = facts;
    const { identity } = facts;
    this.principal = identity.startsWith(SCHEME) ? identity.slice(SCHEME.length) : '';
    const [domain = '', ns, namespace = '', sa, account = '', ...more] = this.principal.split('/');
    const isOfMesh = ns === 'ns' && sa === 'sa' && more.length === 0;
    this.trustDomain = domain;
    this.namespace = isOfMesh ? namespace : '';
    this.serviceAccount = isOfMesh ? `${namespace}/${account}` : '';
    this.address = bytesOf(facts.address);
    this.destinationAddress = bytesOf(facts.destinationAddress);
    this.port = facts.destinationPort;
    this.serverName = facts.serverName.toLowerCase().replace(/\.$/, '');
    this.remoteAddress = this.address;
    this.#remote = facts.address;
  }

  /** The original client's address, which may be another one with every request. */
  setRemote(address: string): void {
    if (address === this.#remote) return;
    this.#remote = address;
    this.remoteAddress = bytesOf(address);
  }

  /** For a person: the proved identity, or that there is none. */
  describe(): string {
    const { identity, address } = this.facts;
    if (identity !== '') return identity;
    const way = this.#remote === address ? '' : `, by way of ${address}`;
    return `a caller without identity at ${this.#remote}${way}`;
  }
}

/** Of a link-local address without its zone (`fe80::1%eth0`), which ranges do not have. */
function bytesOf(address: string): Uint8Array {
  const zone = address.indexOf('%');
  return parseAddress(zone < 0 ? address : address.slice(0, zone)) ?? noBytes;
}
