/**
 * Who this workload is and whom it believes: one set of key, certificates and roots, replaced as a whole.
 *
 *   none ──the first set──► 1 ──renewed leaf, or other roots──► 2 ──► ...      (generations)
 *
 * The agent replaces it, the proxy follows. What began with one set may end with it: connections
 * live on when it is replaced, new ones take the newest. A set that has expired is still here: whoever
 * uses it fails, which is meant (no other way to speak is tried).
 */

import type { Secret } from '../base/secret.ts';

export interface MeshMaterial {
  /** From 1; counts up with each set of one process. */
  readonly generation: number;
  /** The own SPIFFE id. */
  readonly id: string;
  readonly trustDomain: string;
  /** PEM: the leaf, then its intermediates. */
  readonly certificates: string;
  /** PKCS #8, PEM. */
  readonly privateKey: Secret;
  /** PEM: the roots of the trust domain. */
  readonly roots: string;
  /** When the leaf ends, milliseconds since the epoch. */
  readonly notAfterMs: number;
}

export type MeshListener = (material: MeshMaterial) => void;

export class MeshIdentity {
  #current: MeshMaterial | undefined;
  readonly #listeners = new Set<MeshListener>();

  /** Undefined until there is a first one: nothing of the mesh can be spoken till then. */
  get current(): MeshMaterial | undefined {
    return this.#current;
  }

  /** The next generation, from now on. */
  replace(material: Omit<MeshMaterial, 'generation'>): void {
    const generation = (this.#current?.generation ?? 0) + 1;
    this.#current = Object.freeze({ ...material, generation });
    for (const listener of [...this.#listeners]) listener(this.#current);
  }

  /** Calls `listener` with every set from now on, and at once with the present one; returns the end of it. */
  follow(listener: MeshListener): () => void {
    this.#listeners.add(listener);
    if (this.#current !== undefined) listener(this.#current);
    return () => this.#listeners.delete(listener);
  }
}
