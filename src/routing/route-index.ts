/**
 * Route index: what a listener answers a request with, one answer for each rule. Pure.
 *
 * Authority first (exact name, then the longest wildcard, then the listener's default), then the
 * first rule of that virtual host whose match holds, as in Istio. It never picks a backend and never
 * looks at `broken`: a rule that cannot work still shadows the rules after it.
 *
 *   hostname ──► Domains: exact ──► suffixes ('.b.c', then '.c') ──► any ('*') ──► slot ──► HostIndex
 *
 * The index of the next table takes over what is the same: an edit of one host costs that host's
 * rules and one list of the others.
 */

import type { RequestView } from '../model/request-view.ts';
import type { Listener, VirtualHost } from '../model/routing-table.ts';
import { CompiledMatch } from './compiled-match.ts';

const NOBODY = -1;

export class RouteIndex<Answer> {
  readonly #hosts: readonly HostIndex<Answer>[];
  readonly #domains: Domains;
  /** Position of the host that takes what no domain does, or NOBODY. */
  readonly #otherwise: number;

  /** `hosts`: one for each of the listener's virtual hosts, in their order. */
  constructor(
    listener: Listener,
    hosts: readonly HostIndex<Answer>[],
    before?: RouteIndex<Answer> | undefined,
  ) {
    this.#hosts = hosts;
    const lists = listener.virtualHosts.map(({ domains }) => domains);
    const known = before === undefined ? undefined : before.#domains;
    this.#domains = known?.isOf(lists) === true ? known : new Domains(lists);
    this.#otherwise = listener.defaultHost;
  }

  /** The answer to this request; undefined is the failure `no-route`. */
  match(request: RequestView): Answer | undefined {
    const slot = this.#find(request.hostname);
    return slot === NOBODY ? undefined : this.#hosts[slot]!.match(request);
  }

  /** The answer to this request as if its authority were `hostname`. */
  matchAs(hostname: string, request: RequestView): Answer | undefined {
    const slot = this.#find(hostname);
    return slot === NOBODY ? undefined : this.#hosts[slot]!.match(request);
  }

  /** Whether a virtual host takes this authority, whatever its rules say. */
  knows(hostname: string): boolean {
    return this.#find(hostname) !== NOBODY;
  }

  #find(hostname: string): number {
    const slot = this.#domains.find(hostname);
    return slot === NOBODY ? this.#otherwise : slot;
  }
}

/** The rules of one virtual host with their matches ready to run, and what each is answered with. */
export class HostIndex<Answer> {
  readonly #answers: readonly Answer[];
  /** Beside each rule: its matches; empty means always. */
  readonly #matches: readonly (readonly CompiledMatch[])[];

  /** `before`: of the same virtual host, with answers that may differ. */
  constructor(
    host: VirtualHost,
    answers: readonly Answer[],
    before?: HostIndex<Answer> | undefined,
  ) {
    this.#answers = answers;
    this.#matches =
      before === undefined
        ? host.rules.map((rule) => rule.matches.map((match) => new CompiledMatch(match)))
        : before.#matches;
  }

  match(request: RequestView): Answer | undefined {
    const count = this.#answers.length;
    for (let index = 0; index < count; index++) {
      const alternatives = this.#matches[index]!;
      if (alternatives.length === 0) return this.#answers[index];
      for (let which = 0; which < alternatives.length; which++) {
        if (alternatives[which]!.holds(request)) return this.#answers[index];
      }
    }
    return undefined;
  }
}

/** Positions of lists by the domains in them; the first one that names a domain keeps it. */
export class Domains {
  readonly #lists: readonly (readonly string[])[];
  readonly #exact = new Map<string, number>();
  /** Key: the wildcard without its star, `.example.com`. */
  readonly #suffixes = new Map<string, number>();
  #any = NOBODY;

  constructor(lists: readonly (readonly string[])[]) {
    this.#lists = lists;
    lists.forEach((domains, slot) => {
      for (const domain of domains) this.#add(domain, slot);
    });
  }

  /** Whether it was made of these very lists, by content. */
  isOf(lists: readonly (readonly string[])[]): boolean {
    if (lists.length !== this.#lists.length) return false;
    return lists.every((domains, slot) => areSame(domains, this.#lists[slot]!));
  }

  /** Of the list that names `hostname` most exactly; -1 for none. */
  find(hostname: string): number {
    const exact = this.#exact.get(hostname);
    if (exact !== undefined) return exact;
    if (this.#suffixes.size !== 0) {
      // From the first dot on: the longest suffix is asked first. A wildcard stands for at least
      // one character, so a name that begins with its dot does not count.
      for (let dot = hostname.indexOf('.', 1); dot !== -1; dot = hostname.indexOf('.', dot + 1)) {
        const slot = this.#suffixes.get(hostname.slice(dot));
        if (slot !== undefined) return slot;
      }
    }
    return this.#any;
  }

  #add(domain: string, slot: number): void {
    if (domain === '*') {
      if (this.#any === NOBODY) this.#any = slot;
    } else if (domain.startsWith('*')) setOnce(this.#suffixes, domain.slice(1), slot);
    else setOnce(this.#exact, domain, slot);
  }
}

function areSame(first: readonly string[], second: readonly string[]): boolean {
  if (first === second) return true;
  if (first.length !== second.length) return false;
  return first.every((text, index) => text === second[index]);
}

function setOnce(map: Map<string, number>, key: string, slot: number): void {
  if (!map.has(key)) map.set(key, slot);
}
