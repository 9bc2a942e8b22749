/**
 * The pieces that SVG text is made of: escaped elements, short numbers, estimated widths.
 *
 * Pure. No font is at hand, so widths are estimated on the wide side.
 */

export const fontSize = 12;
const charWidth = 6.6;
const seriesColours = 7;

/** The place of the marks in the picture, in its units. */
export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** A coordinate: one decimal at most, the same on every machine. */
export function at(value: number): string {
  return String(Math.round(value * 10) / 10 + 0);
}

/** The class that paints a series; they repeat when there are many. */
export function classOf(index: number): string {
  return `s${index % seriesColours}`;
}

export function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  text?: string,
): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${escapeXml(value)}"`);
  const head = `<${name}${list.join('')}`;
  return text === undefined ? `${head}/>` : `${head}>${escapeXml(text)}</${name}>`;
}

export function textAt(
  text: string,
  x: number,
  y: number,
  kind: 'ink' | 'dim',
  anchor: 'start' | 'middle' | 'end',
): string {
  return element('text', { class: kind, x: at(x), y: at(y), 'text-anchor': anchor }, text);
}

export function lineOf(kind: string, x1: number, y1: number, x2: number, y2: number): string {
  return element('line', { class: kind, x1: at(x1), y1: at(y1), x2: at(x2), y2: at(y2) });
}

export function textWidth(text: string): number {
  return [...text].length * charWidth;
}

/** Lines of at most `most` characters, broken at spaces; a longer word stays whole. */
export function wrapText(text: string, most: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** Characters that XML 1.0 does not have are left out. */
function escapeXml(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
