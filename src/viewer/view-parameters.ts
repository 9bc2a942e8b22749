/**
 * The parameters of `/api/view/...`: each a value in its range, or the sentence that is wrong with it.
 *
 * An empty one is an absent one. Mistakes are thrown as BadParameter, whose message names it.
 */

import { parseDuration } from './query-parameters.ts';

/** A mistake of who asks; the message is for him. */
export class BadParameter extends Error {
  override readonly name = 'BadParameter';
}

/** Tags that one search may have: each is looked for in every span. */
const tagsMax = 32;

/** A whole number from `min` to `max`. Throws BadParameter. */
export function readNumber(
  parameters: URLSearchParams,
  name: string,
  {
    min,
    max,
    otherwise,
  }: { readonly min: number; readonly max: number; readonly otherwise: number },
): number {
  const text = parameters.get(name) ?? '';
  if (text === '') return otherwise;
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new BadParameter(`${name} is a whole number from ${min} to ${max}, not '${cut(text)}'`);
}

/** Nanoseconds. Throws BadParameter. */
export function readDuration(parameters: URLSearchParams, name: string, otherwise: number): number {
  const text = parameters.get(name) ?? '';
  if (text === '') return otherwise;
  const ns = parseDuration(text.replaceAll(' ', ''));
  if (ns !== undefined) return ns;
  throw new BadParameter(`${name} is a duration such as 1.5ms or 2s, not '${cut(text)}'`);
}

export function readBoolean(parameters: URLSearchParams, name: string): boolean {
  const text = parameters.get(name) ?? '';
  if (text === '' || text === 'false') return false;
  if (text === 'true') return true;
  throw new BadParameter(`${name} is true or false, not '${cut(text)}'`);
}

const tagWord = /\s*(?:"((?:[^"\\]|\\.)*)"|([^\s="]+))=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)/y;

/** `key=value` words; either side may be in quotes, where `\` takes its meaning from `"` and `\`. */
export function readTags(parameters: URLSearchParams, name: string): ReadonlyMap<string, string> {
  const text = (parameters.get(name) ?? '').trim();
  const tags = new Map<string, string>();
  for (let at = 0; at < text.length; at = tagWord.lastIndex) {
    tagWord.lastIndex = at;
    const match = tagWord.exec(text);
    if (match === null || tags.size >= tagsMax) {
      const what = match === null ? `not '${cut(text.slice(at))}'` : `at most ${tagsMax}`;
      throw new BadParameter(`${name} are words such as http.response.status_code=500, ${what}`);
    }
    const [, quotedKey, key, quotedValue, value] = match;
    tags.set(key ?? unquote(quotedKey!), value ?? unquote(quotedValue!));
  }
  return tags;
}

function unquote(text: string): string {
  return text.replace(/\\(.)/gs, '$1');
}

function cut(text: string): string {
  return text.slice(0, 100);
}
