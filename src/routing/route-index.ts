/**
 * Route index: which rule of a listener answers a request. Pure; built once for a listener.
 *
 * Authority first (exact name, then the longest wildcard, then the listener's default), then the
 * first rule of that virtual host whose match holds, as in Istio. It never picks a backend and never
 * looks at `broken`: a rule that cannot work still shadows the rules after it.
 *
 *   hostname ──► #exact ──► #suffixes ('.b.c', then '.c') ──► #any ('*') ──► #otherwise
 */

import type { RequestView } from '../model/request-view.ts';
import type { Listener, Rule } from '../model/routing-table.ts';
import { CompiledMatch } from './compiled-match.ts';

export class RouteIndex {
  readonly #exact = new Map<string, CompiledHost>();
  /** Key: the wildcard without its star, `.example.com`. */
  readonly #suffixes = new Map<string, CompiledHost>();
  #any: CompiledHost | undefined = undefined;
  #otherwise: CompiledHost | undefined = undefined;

  constructor(listener: Listener) {
    listener.virtualHosts.forEach((virtualHost, index) => {
      const host = new CompiledHost(virtualHost.rules);
      for (const domain of virtualHost.domains) this.#add(domain, host);
      if (index === listener.defaultHost) this.#otherwise = host;
    });
  }

  /** The rule that answers this request; undefined is the failure `no-route`. */
  match(request: RequestView): Rule | undefined {
    const host = this.#find(request.hostname);
    return host === undefined ? undefined : host.match(request);
  }

  /** Whether a virtual host takes this authority, whatever its rules say. */
  knows(hostname: string): boolean {
    return this.#find(hostname) !== undefined;
  }

  /** The first virtual host that names a domain keeps it. */
  #add(domain: string, host: CompiledHost): void {
    if (domain === '*') this.#any ??= host;
    else if (domain.startsWith('*')) setOnce(this.#suffixes, domain.slice(1), host);
    else setOnce(this.#exact, domain, host);
  }

  #find(hostname: string): CompiledHost | undefined {
    const exact = this.#exact.get(hostname);
    if (exact !== undefined) return exact;
    if (this.#suffixes.size !== 0) {
      // From the first dot on: the longest suffix is asked first. A wildcard stands for at least
      // one character, so a name that begins with its dot does not count.
      for (let dot = hostname.indexOf('.', 1); dot !== -1; dot = hostname.indexOf('.', dot + 1)) {
        const host = this.#suffixes.get(hostname.slice(dot));
        if (host !== undefined) return host;
      }
    }
    return this.#any ?? this.#otherwise;
  }
}

function setOnce(map: Map<string, CompiledHost>, key: string, host: CompiledHost): void {
  if (!map.has(key)) map.set(key, host);
}

/** The rules of one virtual host, with their matches ready to run. */
class CompiledHost {
  readonly #rules: readonly Rule[];
  /** Beside each rule: its matches; empty means always. */
  readonly #matches: readonly (readonly CompiledMatch[])[];

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    this.#matches = rules.map((rule) => rule.matches.map((match) => new CompiledMatch(match)));
  }

  match(request: RequestView): Rule | undefined {
    const count = this.#rules.length;
    for (let index = 0; index < count; index++) {
      const alternatives = this.#matches[index]!;
      if (alternatives.length === 0) return this.#rules[index];
      for (let which = 0; which < alternatives.length; which++) {
        if (alternatives[which]!.holds(request)) return this.#rules[index];
      }
    }
    return undefined;
  }
}
