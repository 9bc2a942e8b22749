/**
 * Bars of a waterfall: a span's part of the whole time, drawn in eighths of a column.
 *
 * A left end can only be drawn to half a column (there are no blocks that grow from the right in
 * eighths), a right end to an eighth. Whatever is too short to see gets the thinnest mark there is.
 */

const eighths = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'] as const;
const rightHalf = '▐';
const rightEdge = '▕';

/** `columns` characters; start and end are parts of the whole, 0 to 1, start at most end. */
export function drawBar(start: number, end: number, columns: number, ascii: boolean): string {
  const first = Math.min(Math.max(start, 0), 1) * columns;
  const last = Math.min(Math.max(end, 0), 1) * columns;
  return ascii ? asciiBar(first, last, columns) : blockBar(first, last, columns);
}

function asciiBar(first: number, last: number, columns: number): string {
  const from = Math.min(Math.floor(first), columns - 1);
  const cells = Math.round(last) - from;
  const bar = cells < 1 ? '|' : '='.repeat(cells);
  return (' '.repeat(from) + bar).padEnd(columns);
}

function blockBar(first: number, last: number, columns: number): string {
  const from = Math.min(Math.floor(first), columns - 1);
  const startEighth = Math.min(Math.round((first - from) * 8), 8);
  const endEighths = Math.round((last - from) * 8);
  // Inside of one column: a mark on the side where the span is.
  if (endEighths <= 8) {
    const mark =
      startEighth < 4
        ? eighths[Math.max(1, endEighths - startEighth)]
        : thinRight(endEighths - startEighth);
    return (' '.repeat(from) + mark).padEnd(columns);
  }
  const head = startEighth < 3 ? '█' : startEighth < 7 ? rightHalf : ' ';
  const full = Math.floor(endEighths / 8) - 1;
  const rest = eighths[endEighths % 8]!;
  const bar = head + '█'.repeat(full) + (rest === ' ' ? '' : rest);
  return (' '.repeat(from) + bar).padEnd(columns).slice(0, columns);
}

function thinRight(eighthsWide: number): string {
  return eighthsWide >= 3 ? rightHalf : rightEdge;
}

/** `840 ns`, `12.3 us`, `4.56 ms`, `1.23 s`, `2 min 05 s`: three digits, `µs` outside of ASCII. */
export function printDuration(ns: number, ascii: boolean): string {
  if (ns < 1_000) return `${Math.round(ns)} ns`;
  if (ns < 999_500) return `${threeDigits(ns / 1e3)} ${ascii ? 'us' : 'µs'}`;
  if (ns < 999_500_000) return `${threeDigits(ns / 1e6)} ms`;
  if (ns < 99_950_000_000) return `${threeDigits(ns / 1e9)} s`;
  const seconds = Math.round(ns / 1e9);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

function threeDigits(value: number): string {
  if (value < 9.995) return value.toFixed(2);
  return value < 99.95 ? value.toFixed(1) : value.toFixed(0);
}
