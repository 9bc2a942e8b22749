/**
 * Which services there are and which operations each has, counted over the spans in the store.
 *
 * Counted, so that what is evicted disappears from the lists too and the index stays as small as
 * the store. An operation is a span name with its kind, as in Jaeger.
 */

import { assert } from '../base/assert.ts';
import { spanKindNames } from './otlp-json.ts';

export interface Operation {
  readonly name: string;
  /** `server`, `client`, `producer`, `consumer` or `internal`. */
  readonly spanKind: string;
}

/** Spans by name, in one slot for each kind. */
type Operations = Map<string, Uint32Array>;

export class ServiceIndex {
  readonly #services = new Map<string, Operations>();

  /** Counts one span. A service without a name is not listed, as in Jaeger. */
  add(service: string, name: string, kind: number): void {
    if (service === '') return;
    let operations = this.#services.get(service);
    if (operations === undefined) {
      operations = new Map();
      this.#services.set(service, operations);
    }
    let counts = operations.get(name);
    if (counts === undefined) {
      counts = new Uint32Array(spanKindNames.length);
      operations.set(name, counts);
    }
    counts[kind]! += 1;
  }

  /** Takes back one span that was added. */
  remove(service: string, name: string, kind: number): void {
    if (service === '') return;
    const operations = this.#services.get(service);
    const counts = operations?.get(name);
    assert(counts !== undefined && counts[kind]! > 0, 'only a counted span is taken back');
    counts[kind]! -= 1;
    if (counts.some((count) => count > 0)) return;
    operations!.delete(name);
    if (operations!.size === 0) this.#services.delete(service);
  }

  /** Names in alphabetical order. */
  services(): string[] {
    return [...this.#services.keys()].sort();
  }

  /** Operations of a service by name, of one kind when `spanKind` is not empty. */
  operations(service: string, spanKind: string): Operation[] {
    const found: Operation[] = [];
    const operations = this.#services.get(service) ?? new Map<string, Uint32Array>();
    for (const name of [...operations.keys()].sort()) {
      operations.get(name)!.forEach((count, kind) => {
        // An unspecified kind is listed as internal, and is not found by that word: Jaeger's way.
        if (count === 0 || (spanKind !== '' && spanKind !== spanKindNames[kind])) return;
        found.push({ name, spanKind: spanKindNames[kind] || 'internal' });
      });
    }
    return found;
  }
}
