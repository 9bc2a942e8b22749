/**
 * The order of the arms in each round: rows of a Williams Latin square.
 *
 * Over a full square every arm stands once in every place, and every arm follows every other equally
 * often, so neither a machine that warms up nor a neighbour's after-effects favour anyone. With fewer
 * rounds than the square has rows, only the first rows are used and the balance is partial.
 */

import type { Cell } from '../scenarios/scenario.ts';

/**
 * The cells of one round (from 0): point by point, in the order in which the points first appear, and
 * within each point the arms in the round's row of the square. Cells whose rounds are over are left out.
 */
export function orderCells(cells: readonly Cell[], round: number): readonly Cell[] {
  const points = new Map<string, Cell[]>();
  for (const cell of cells.filter((each) => round < (each.rounds ?? Number.POSITIVE_INFINITY))) {
    const arms = points.get(cell.point);
    if (arms === undefined) points.set(cell.point, [cell]);
    else arms.push(cell);
  }
  return [...points.values()].flatMap((arms) => {
    const square = williamsSquare(arms.length);
    return square[round % square.length]!.map((index) => arms[index]!);
  });
}

/**
 * Williams (1949): the first row zigzags 0, 1, n-1, 2, n-2, ...; every further row adds one to each.
 * An odd number of arms needs the mirrored rows too, to balance who follows whom.
 */
export function williamsSquare(arms: number): readonly (readonly number[])[] {
  if (!Number.isInteger(arms) || arms < 1) throw new RangeError(`no square of ${arms} arms`);
  const first = Array.from({ length: arms }, (_, place) =>
    place % 2 === 1 ? (place + 1) / 2 : (arms - place / 2) % arms,
  );
  const rows = first.map((_, shift) => first.map((arm) => (arm + shift) % arms));
  return arms % 2 === 0 ? rows : [...rows, ...rows.map((row) => [...row].reverse())];
}
