/**
 * Which Node.js we run on: refused below 26.10, warned about below 26.12.1.
 *
 * 26.10 is the oldest release that the tests run on; 26.12.1 fixes weaknesses in its TLS and DNS code
 * (CVE-2026-106069, -106072, -105483, -105482: reference/libraries.md section 2). Nothing here stops
 * the program: the caller prints and decides.
 */

const oldest = [26, 10, 0] as const;
const advised = [26, 12, 1] as const;

export interface NodeVerdict {
  readonly isTooOld: boolean;
  /** One line for the person who starts the program; empty when all is well. */
  readonly sentence: string;
}

/** Judges a version such as `26.10.0`; a text that is no version is too old. */
export function judgeNodeVersion(version: string): NodeVerdict {
  const parts = version.split('-')[0]!.split('.').map(Number);
  if (isBelow(parts, oldest)) {
    return {
      isTooOld: true,
      sentence: `tracecar needs Node.js ${oldest.join('.')} or newer and this is ${version}; in a checkout use \`npm run -s tracecar --\`, elsewhere install Node.js 26`,
    };
  }
  if (isBelow(parts, advised)) {
    return {
      isTooOld: false,
      sentence: `Node.js ${version} has known weaknesses in its TLS and DNS code; use ${advised.join('.')} or newer outside of development`,
    };
  }
  return { isTooOld: false, sentence: '' };
}

function isBelow(parts: readonly number[], limit: readonly [number, number, number]): boolean {
  for (let index = 0; index < limit.length; index += 1) {
    const part = parts[index] ?? Number.NaN;
    if (Number.isNaN(part)) return true;
    if (part !== limit[index]) return part < limit[index]!;
  }
  return false;
}
