/**
 * Names from configuration as small integers: routes, clusters, subsets, endpoints.
 *
 * A record carries the id; the worker learns the name through `announce`, which is called inside
 * `idOf`, so always before a record that uses the id can be in the ring. Names of requests never come
 * here (their number is not bounded by configuration). An id is never given to another name, because a
 * record that waits, or a span that is being sent, may still carry it; so a sidecar that has met more
 * than `max` names since start (endpoint addresses, mostly) shows the later ones as none. `refused`
 * says that this is so.
 */

/** Told of every new name once, in the order of ids. */
export type AnnounceName = (id: number, name: string) => void;

export class NameTable {
  readonly #ids = new Map<string, number>();
  readonly #names: string[] = [];
  /** Names that got no id because there were `max` already, counted each time they were asked for. */
  refused = 0;
  readonly #max: number;
  readonly #announce: AnnounceName;

  /** `max` names at most; later ones get id 0, which reads as "none". */
  constructor(announce: AnnounceName, max: number) {
    this.#announce = announce;
    this.#max = max;
  }

  /** How many names there are. */
  get size(): number {
    return this.#names.length;
  }

  /** The id of `name`, from 1; the same for every call. 0 for the empty name and over the limit. */
  idOf(name: string): number {
    if (name === '') return 0;
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    if (this.#names.length >= this.#max) {
      this.refused++;
      return 0;
    }
    const id = this.#names.push(name);
    this.#ids.set(name, id);
    this.#announce(id, name);
    return id;
  }

  /** All names, in the order of ids from 1: what a new worker has to be told. */
  names(): readonly string[] {
    return this.#names;
  }
}
