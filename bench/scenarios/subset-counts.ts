/**
 * How many requests each subset has had, as the sidecar's metrics say, and how far that is from the
 * weights of its rule.
 */

export interface SubsetCounts {
  readonly v1: number;
  readonly v2: number;
}

/** Share of v1 in every rule of the bench's routes. */
const share = 0.6;

export async function readSubsets(metricsPort: number): Promise<SubsetCounts> {
  const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  return countSubsets(await response.text());
}

/** Sums the text format's samples of requests by subset, whatever their other labels. */
export function countSubsets(page: string): SubsetCounts {
  let v1 = 0;
  let v2 = 0;
  for (const line of page.split('\n')) {
    const found = /^tracecar_requests_total\{[^}]*subset="(v[12])"[^}]*\} (\d+)$/.exec(line);
    if (found?.[1] === 'v1') v1 += Number(found[2]);
    if (found?.[1] === 'v2') v2 += Number(found[2]);
  }
  return { v1, v2 };
}

/**
 * weightErrorPercent: v1's share of what came between the two readings, less 60 %, in points.
 * weightChiSquare: Pearson's, of one degree of freedom; independent draws exceed 3.84 once in twenty.
 */
export function compareToWeights(
  before: SubsetCounts,
  after: SubsetCounts,
): Readonly<Record<string, number>> {
  const v1 = after.v1 - before.v1;
  const v2 = after.v2 - before.v2;
  const all = v1 + v2;
  if (all === 0) return {};
  const chiSquare =
    (v1 - all * share) ** 2 / (all * share) + (v2 - all * (1 - share)) ** 2 / (all * (1 - share));
  return {
    weightErrorPercent: Math.abs(v1 / all - share) * 100,
    weightChiSquare: chiSquare,
  };
}
