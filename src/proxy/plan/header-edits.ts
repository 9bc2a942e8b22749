/**
 * Header edits of a rule and then of its backend, worked out when a table is applied.
 *
 * The order remove, set, add of two lists one after the other comes down to two things that do not
 * depend on the message: names whose fields are dropped, and lines that are added. So an exchange
 * pays one comparison of names per edited name and one string.
 */

import type { HeaderEdits } from '../../model/routing-table.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';

/** What is to be done to one message head. */
export interface CompiledEdits {
  /** Lower-case names of fields that are not forwarded as received. */
  readonly drops: readonly string[];
  /** `Name: value` lines with their CRLF, '' if none. */
  readonly lines: string;
}

const noEdits: CompiledEdits = Object.freeze({ drops: Object.freeze([]), lines: '' });

type Line = readonly [name: string, value: string];

/** The effect of `first` and then `second`. */
export function compileEdits(first: HeaderEdits, second: HeaderEdits): CompiledEdits {
  const drops = new Set<string>();
  let lines: Line[] = [];
  for (const edits of [first, second]) {
    for (const name of edits.remove) lines = dropName(name, drops, lines);
    for (const line of edits.set) {
      lines = dropName(line[0], drops, lines);
      lines.push(line);
    }
    lines.push(...edits.add);
  }
  if (drops.size === 0 && lines.length === 0) return noEdits;
  const text = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return Object.freeze({ drops: Object.freeze([...drops]), lines: text });
}

/** Marks the dropped fields in `head`; the caller prints `edits.lines` after the kept ones. */
export function applyEdits(edits: CompiledEdits, head: MessageHead): void {
  const { drops } = edits;
  for (let index = 0; index < drops.length; index++) head.drop(drops[index]!);
}

function dropName(name: string, drops: Set<string>, lines: readonly Line[]): Line[] {
  const lower = name.toLowerCase();
  drops.add(lower);
  return lines.filter((line) => line[0].toLowerCase() !== lower);
}
