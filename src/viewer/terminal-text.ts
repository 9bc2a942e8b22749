/**
 * Text that may be printed on a terminal: made harmless, measured in columns, cut and filled up.
 *
 * Names of services and spans come from strangers. A control character could move the cursor or
 * hide a line, a bidirectional mark could turn it round: each becomes a replacement character.
 */

// C0, C1, soft hyphen, bidirectional marks and overrides, line separators, other format characters.
const harmful = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const combining = /\p{M}/u;
const onlyAscii = /^[\x20-\x7e]*$/;
const nonAscii = /[^\x20-\x7e]/gu;

/** `text` without anything that a terminal would act on; for `ascii`, other characters too. */
export function safeText(text: string, ascii: boolean): string {
  if (onlyAscii.test(text)) return text;
  return ascii ? text.replace(nonAscii, '?') : text.replace(harmful, '\ufffd');
}

/** Columns that a terminal gives to `text`: 2 for wide characters, 0 for combining ones. */
export function columnsOf(text: string): number {
  if (onlyAscii.test(text)) return text.length;
  let columns = 0;
  for (const character of text) columns += columnsOfCharacter(character);
  return columns;
}

function columnsOfCharacter(character: string): number {
  if (combining.test(character)) return 0;
  return isWide(character.codePointAt(0)!) ? 2 : 1;
}

/** East Asian wide and emoji blocks (Unicode TR 11), by range: exact enough for alignment. */
function isWide(code: number): boolean {
  if (code < 0x1100) return false;
  return (
    code <= 0x115f ||
    (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Exactly `columns` columns: cut with an ellipsis (`~` in ASCII) or filled up with spaces. */
export function fitText(text: string, columns: number, ascii: boolean): string {
  const width = columnsOf(text);
  if (width <= columns) return text + ' '.repeat(columns - width);
  let kept = '';
  let used = 0;
  for (const character of text) {
    const next = columnsOfCharacter(character);
    if (used + next > columns - 1) break;
    kept += character;
    used += next;
  }
  return kept + (ascii ? '~' : '\u2026') + ' '.repeat(columns - 1 - used);
}
