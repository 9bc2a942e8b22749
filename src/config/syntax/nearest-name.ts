/**
 * Nearest name: the known word that somebody probably meant.
 *
 * Distance is edits (insert, delete, replace, swap of neighbours), upper and lower case alike; far
 * names are not offered, because a wild guess is worse than none. Where none is near, a name whose
 * first part was written is: `test` for `test-svc`.
 */

/** The known name closest to `written`, or undefined when none is close. */
export function nearestName(written: string, known: Iterable<string>): string | undefined {
  return nearestNames(written, known)[0];
}

/** `Did you mean x?`, with all that are equally near, or the fallback when none is. */
export function didYouMean(written: string, known: Iterable<string>, otherwise: string): string {
  const nearest = nearestNames(written, known);
  return nearest.length === 0 ? otherwise : `Did you mean ${listOfNames(nearest, 3)}?`;
}

/** The known names at the smallest distance from `written`; empty when all are far. */
function nearestNames(written: string, known: Iterable<string>): readonly string[] {
  const wanted = written.toLowerCase();
  // About one edit in three characters: `wieght` finds weight, `foo` does not find host.
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  const all = new Set(known);
  let best: string[] = [];
  let bestDistance = limit;
  for (const name of all) {
    if (Math.abs(name.length - wanted.length) > bestDistance) continue;
    const distance = editDistance(wanted, name.toLowerCase());
    if (distance > bestDistance) continue;
    if (distance < bestDistance) best = [];
    best.push(name);
    bestDistance = distance;
  }
  if (best.length > 0 || wanted === '') return best;
  return [...all].filter((name) => name.toLowerCase().startsWith(`${wanted}-`));
}

/** `a, b or c`, each once, cut to the first ones of a long list. */
export function listOfNames(names: Iterable<string>, countMax = 8): string {
  const all = [...new Set(names)];
  const shown = all.slice(0, countMax).map((name) => `\`${name}\``);
  if (all.length > countMax) return `${shown.join(', ')} and ${all.length - countMax} more`;
  const last = shown.pop() ?? 'nothing';
  return shown.length === 0 ? last : `${shown.join(', ')} or ${last}`;
}

/** Damerau's distance between neighbours (optimal string alignment). */
function editDistance(first: string, second: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: second.length + 1 }, (_, index) => index);
  for (let row = 1; row <= first.length; row++) {
    const current = [row];
    for (let column = 1; column <= second.length; column++) {
      const same = first[row - 1] === second[column - 1];
      let distance = Math.min(
        last[column]! + 1,
        current[column - 1]! + 1,
        last[column - 1]! + (same ? 0 : 1),
      );
      const swapped =
        row > 1 &&
        column > 1 &&
        first[row - 1] === second[column - 2] &&
        first[row - 2] === second[column - 1];
      if (swapped) distance = Math.min(distance, beforeLast[column - 2]! + 1);
      current.push(distance);
    }
    beforeLast = last;
    last = current;
  }
  return last[second.length]!;
}
