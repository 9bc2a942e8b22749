/**
 * What authorization policies have decided, by their names: for the page of metrics.
 *
 * Names come from configuration. Those of policies that are gone stay, and their number is bounded:
 * what comes later is counted under `other`.
 */

/** Of one policy; whoever decides writes the fields. */
export class PolicyCount {
  /** Calls that it has denied, or that no ALLOW policy lets in while it is the first of those. */
  denied = 0;
  /** In a dry run: that it would have denied. */
  wouldDeny = 0;
  /** For which a rule of an AUDIT policy holds. */
  audited = 0;
}

const OTHER = 'other';

export class PolicyCounts {
  readonly #counts = new Map<string, PolicyCount>();
  readonly #max: number;

  /** @param max names, `other` not counted */
  constructor(max: number) {
    this.#max = max;
  }

  /** The count of that name, the same at every call. */
  of(name: string): PolicyCount {
    const known = this.#counts.get(name);
    if (known !== undefined) return known;
    if (this.#counts.size >= this.#max && name !== OTHER) return this.of(OTHER);
    const count = new PolicyCount();
    this.#counts.set(name, count);
    return count;
  }

  /** All names, in the order in which they came. */
  all(): ReadonlyMap<string, PolicyCount> {
    return this.#counts;
  }
}
