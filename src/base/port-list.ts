/**
 * Ports and port ranges as people write them in flags and annotations: `80,443,9000-9010`.
 *
 * Text becomes integers here or is refused with a reason; nothing of it goes further as text
 * (reference/reliability.md W13).
 */

/** Both ends included, 1 to 65535, `first` <= `last`. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** More than any pod lists by hand; 1,000 ports apart need ranges, not names. */
export const portRangesMax = 1_024;

export type PortListResult =
  | { readonly ranges: readonly PortRange[] }
  | { readonly problem: string };

/** Reads `text`; empty is no port. A problem is one line that names the wrong part. */
export function readPortList(text: string): PortListResult {
  if (text.trim() === '') return { ranges: [] };
  const parts = text.split(',', portRangesMax + 1);
  if (parts.length > portRangesMax) {
    return { problem: `more than ${portRangesMax} ports; write ranges such as 9000-9999` };
  }
  const ranges: PortRange[] = [];
  for (const part of parts) {
    const match = /^ *([0-9]{1,5})(?:-([0-9]{1,5}))? *$/.exec(part);
    if (match === null) {
      return { problem: `'${shown(part)}' is no port; write numbers and ranges: 80,9000-9010` };
    }
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (first < 1 || last > 65_535) {
      return { problem: `'${shown(part)}' is no port; ports are 1 to 65535` };
    }
    if (first > last) return { problem: `'${shown(part)}' ends before it begins` };
    ranges.push({ first, last });
  }
  return { ranges };
}

/** What a user wrote, cut and with control characters visible. */
export function shown(text: string): string {
  const cut = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  return JSON.stringify(cut).slice(1, -1);
}
