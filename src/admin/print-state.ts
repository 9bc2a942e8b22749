/**
 * State as JSON for machines and as indented text for people, from the same plain data.
 *
 * Regular expressions print as their source, an absent limit (Infinity) as `none`; nothing secret is
 * ever in the data that comes here.
 */

import type { PageReply } from './page-server.ts';

/** The reply that shows `state` in the form that the reader asked for. */
export function showState(state: unknown, wantsText: boolean, status = 200): PageReply {
  const plain: unknown = JSON.parse(JSON.stringify(state, printable) ?? 'null');
  return wantsText
    ? { status, contentType: 'text/plain; charset=utf-8', body: printText(plain) }
    : {
        status,
        contentType: 'application/json; charset=utf-8',
        body: `${JSON.stringify(plain, null, 2)}\n`,
      };
}

/** For JSON.stringify: how values that JSON does not know are shown. */
export function printable(_key: string, value: unknown): unknown {
  if (value instanceof RegExp) return value.source;
  if (value instanceof Map) return Object.fromEntries(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number' && !Number.isFinite(value)) return 'none';
  return value;
}

/** Indented `name: value` lines; a list's members begin with `-`. */
export function printText(plain: unknown): string {
  return `${linesOf(plain).join('\n')}\n`;
}

function linesOf(plain: unknown): string[] {
  if (plain === null || typeof plain !== 'object') return [String(plain)];
  if (Array.isArray(plain)) {
    if (plain.length === 0) return ['(none)'];
    return plain.flatMap((member) =>
      linesOf(member).map((line, index) => `${index === 0 ? '- ' : '  '}${line}`),
    );
  }
  const entries = Object.entries(plain);
  if (entries.length === 0) return ['(empty)'];
  return entries.flatMap(([name, value]) => {
    const lines = linesOf(value);
    const isShort = lines.length === 1 && !lines[0]!.startsWith('- ');
    return isShort ? [`${name}: ${lines[0]}`] : [`${name}:`, ...lines.map((line) => `  ${line}`)];
  });
}
