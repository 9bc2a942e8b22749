/**
 * Connection rules: which rule takes a connection that is not read, by SNI and original destination. Pure.
 *
 * The first rule in order decides, whatever it leads to: one that cannot work still shadows those after
 * it. Rules for single names are found in one step, because a port of a thousand hosts outside has a
 * thousand of them; the few others are asked one by one.
 */

import { type AddressRange, isWithin, parseAddress, parseRange } from '../base/ip-address.ts';
import type { ConnectionMatch, ConnectionRule } from '../model/routing-table.ts';

const NOBODY = -1;

export class ConnectionRules {
  /** Some rule asks for a name: a ClientHello must be read before the choice. */
  readonly needsName: boolean;
  /** Name to the first rule that takes it by that name alone. */
  readonly #exact = new Map<string, number>();
  /** Rules with other conditions, in their order. */
  readonly #others: readonly CompiledRule[];

  constructor(rules: readonly ConnectionRule[]) {
    const others: CompiledRule[] = [];
    rules.forEach(({ matches }, position) => {
      const rest = matches.filter((match) => !this.#takeExact(match, position));
      if (rest.length === 0 && matches.length > 0) return;
      others.push({ position, matches: rest.map(compile) });
    });
    this.#others = others;
    this.needsName = rules.some(({ matches }) =>
      matches.some(({ sniHosts }) => sniHosts.length > 0),
    );
  }

  /**
   * Position of the rule that takes a connection, or -1.
   *
   * @param name of the ClientHello, lower-case; empty without TLS or without SNI
   * @param address of the original destination
   */
  match(name: string, address: string): number {
    const exact = name === '' ? undefined : this.#exact.get(name);
    let bytes: Uint8Array | undefined;
    for (const { position, matches } of this.#others) {
      if (exact !== undefined && exact < position) return exact;
      if (matches.length === 0) return position;
      for (const { names, ranges } of matches) {
        if (names.length > 0 && !isNamed(name, names)) continue;
        if (ranges.length === 0) return position;
        bytes ??= parseAddress(address);
        const known = bytes;
        if (known !== undefined && ranges.some((range) => isWithin(known, range))) return position;
      }
    }
    return exact ?? NOBODY;
  }

  /** Whether a match is for single names and nothing else; then it is taken. */
  #takeExact({ sniHosts, subnets }: ConnectionMatch, position: number): boolean {
    if (sniHosts.length === 0 || subnets.length > 0) return false;
    if (sniHosts.some((host) => host.startsWith('*'))) return false;
    for (const host of sniHosts) if (!this.#exact.has(host)) this.#exact.set(host, position);
    return true;
  }
}

interface CompiledRule {
  readonly position: number;
  /** Empty: always. */
  readonly matches: readonly CompiledMatch[];
}

interface CompiledMatch {
  /** As written: `a.example.com`, `*.example.com`, `*`. */
  readonly names: readonly string[];
  readonly ranges: readonly AddressRange[];
}

function compile({ sniHosts, subnets }: ConnectionMatch): CompiledMatch {
  const ranges = subnets.map(parseRange).filter((range) => range !== undefined);
  return { names: sniHosts, ranges };
}

/** A wildcard stands for at least one character. */
function isNamed(name: string, hosts: readonly string[]): boolean {
  if (name === '') return false;
  for (const host of hosts) {
    if (host === '*' || host === name) return true;
    if (host.startsWith('*') && name.length >= host.length && name.endsWith(host.slice(1)))
      return true;
  }
  return false;
}
