/**
 * What sidecars said of themselves when they last came for a leaf: which roots they believe.
 *
 * It answers one question, whether a phase of a root rotation may begin: a sidecar counts from its first
 * leaf until the last one ends, because until then it can be talked to and has to be understood.
 */

export interface SidecarReport {
  readonly id: string;
  /** The sidecar's own name: two with the same id are told apart by it. */
  readonly instance: string;
  /** Of the trust bundle it had when it asked; see trust-bundle.ts. */
  readonly bundleHash: string;
  /** SHA-256 of the root that its leaf chains to, hex. */
  readonly rootHash: string;
  /** Milliseconds since the epoch, as all times here. */
  readonly issuedMs: number;
  readonly notAfterMs: number;
}

export interface SidecarList {
  readonly sidecars: readonly SidecarReport[];
  /** Until then there may be some that are not in the list, which was full; 0: there are none. */
  readonly overfullUntilMs: number;
}

export class SidecarReports {
  overfullUntilMs = 0;
  readonly #byKey = new Map<string, SidecarReport>();
  readonly #countMax: number;

  constructor(countMax: number, list?: SidecarList) {
    this.#countMax = countMax;
    if (list !== undefined) this.merge(list);
  }

  /** Adds what another process wrote down. */
  merge({ sidecars, overfullUntilMs }: SidecarList): void {
    this.overfullUntilMs = Math.max(this.overfullUntilMs, overfullUntilMs);
    for (const report of sidecars) this.add(report);
  }

  get size(): number {
    return this.#byKey.size;
  }

  /** A newer report replaces the older. One for which there is no room is counted by its end alone. */
  add(report: SidecarReport): void {
    const key = `${report.id} ${report.instance}`;
    const held = this.#byKey.get(key);
    if (held !== undefined && held.issuedMs > report.issuedMs) return;
    if (held === undefined && this.#byKey.size >= this.#countMax) {
      this.overfullUntilMs = Math.max(this.overfullUntilMs, report.notAfterMs);
      return;
    }
    this.#byKey.set(key, report);
  }

  /** Forgets those whose leaf has ended. */
  prune(nowMs: number): void {
    for (const [key, { notAfterMs }] of this.#byKey) {
      if (notAfterMs <= nowMs) this.#byKey.delete(key);
    }
  }

  /** Those whose leaf is still good, in the order of their ids and names. */
  live(nowMs: number): readonly SidecarReport[] {
    return [...this.#byKey.values()]
      .filter(({ notAfterMs }) => notAfterMs > nowMs)
      .sort((a, b) => compare(a.id, b.id) || compare(a.instance, b.instance));
  }
}

/** One JSON document, one sidecar a line. */
export function printReports({ sidecars, overfullUntilMs }: SidecarList): string {
  const lines = sidecars.map((each) => JSON.stringify(each)).join(',\n');
  return `{"overfullUntilMs":${overfullUntilMs},"sidecars":[\n${lines}\n]}\n`;
}

/** Undefined for what `printReports` did not print. */
export function readReports(text: string): SidecarList | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { sidecars, overfullUntilMs } = (value ?? {}) as Partial<SidecarList>;
  if (!Array.isArray(sidecars) || !Number.isFinite(overfullUntilMs)) return undefined;
  return sidecars.every(isReport) ? (value as SidecarList) : undefined;
}

function isReport(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  return (
    texts.every((name) => typeof fields[name] === 'string') &&
    times.every((name) => Number.isFinite(fields[name]))
  );
}

const texts = ['id', 'instance', 'bundleHash', 'rootHash'];
const times = ['issuedMs', 'notAfterMs'];

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
