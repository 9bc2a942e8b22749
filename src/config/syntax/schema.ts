/**
 * Schema: the few shapes that resources are made of, each a function from a cursor to a typed value.
 *
 * A reader that cannot return a value has complained and returns undefined; it never throws. A record
 * knows every field of its Istio type: implemented, or refused by name; anything else is unknown.
 */

import type { Place, Placed } from './complaints.ts';
import type { Cursor } from './cursor.ts';
import { didYouMean, listOfNames } from './nearest-name.ts';

export type Reader<T> = (cursor: Cursor) => T | undefined;

interface Needed<T> {
  readonly isNeeded: true;
  readonly read: Reader<T>;
}

interface Optional<T> {
  readonly isNeeded: false;
  readonly read: Reader<T>;
}

type Fields = Readonly<Record<string, Needed<unknown> | Optional<unknown>>>;

/**
 * Where a record stands, and where each field that is written there does: the ones that could not be
 * read and the refused ones too, so that nobody takes a field with a mistake for an absent one.
 */
export interface Located {
  readonly at: Place;
  readonly offsets: Readonly<Record<string, number>>;
}

export type RecordOf<F extends Fields> = Located & {
  readonly [K in keyof F]: F[K] extends Needed<infer T>
    ? T
    : F[K] extends Optional<infer T>
      ? T | undefined
      : never;
};

/** Field name to what it stands for, in words: `retries: 'Retries'`. */
export type RefusedFields = Readonly<Record<string, string>>;

export function needed<T>(read: Reader<T>): Needed<T> {
  return { isNeeded: true, read };
}

export function optional<T>(read: Reader<T>): Optional<T> {
  return { isNeeded: false, read };
}

/**
 * Records inherit nothing. An object whose prototype is null itself is a hash table to V8: those of ten
 * thousand rules took 43 MB instead of 28 (2026-11-25).
 */
const nothingInherited = Object.freeze(Object.create(null));

/** A mapping with known fields. `refused` names the ones that Istio has and Tracecar does not yet. */
export function record<F extends Fields>(
  fields: F,
  refused: RefusedFields = {},
): Reader<RecordOf<F>> {
  return readerOf(fields, refused);
}

/** A mapping of Kubernetes, which has many more fields than the ones that mean something here. */
export function openRecord<F extends Fields>(fields: F): Reader<RecordOf<F>> {
  return readerOf(fields, undefined);
}

/** @param refused undefined: whatever is not in `fields` is left alone */
function readerOf<F extends Fields>(
  fields: F,
  refused: RefusedFields | undefined,
): Reader<RecordOf<F>> {
  return (cursor) => {
    const entries = cursor.entries();
    if (entries === undefined) return complainOfType(cursor, 'a mapping of fields');
    const values: Record<string, unknown> = Object.create(nothingInherited);
    const offsets: Record<string, number> = Object.create(nothingInherited);
    for (const { key, keyAt, value } of entries) {
      if (Object.hasOwn(fields, key)) {
        if (value.isNull) continue;
        values[key] = fields[key]!.read(value);
        offsets[key] = value.offset;
      } else if (refused !== undefined) {
        offsets[key] = keyAt.offset;
        complainOfField(cursor, key, keyAt, fields, refused);
      }
    }
    let isWhole = true;
    for (const [name, field] of Object.entries(fields)) {
      if (values[name] === undefined) values[name] = undefined;
      if (!field.isNeeded || values[name] !== undefined) continue;
      isWhole = false;
      // Present but bad: its reader has complained.
      if (name in offsets) continue;
      const place = { ...cursor.at, path: cursor.path === '' ? name : `${cursor.path}.${name}` };
      const { complaints } = cursor.reading;
      complaints.add('field-missing', place, `\`${name}\` is missing`, `Add \`${name}:\` here.`);
    }
    values.at = cursor.at;
    values.offsets = offsets;
    // The one cast of this file: the loop above has given every field what its reader returned.
    return isWhole ? (values as RecordOf<F>) : undefined;
  };
}

/** A record that also says whether it was read without any mistake inside. */
export function judged<T extends Located>(
  read: Reader<T>,
): Reader<T & { readonly isSound: boolean }> {
  return (cursor) => {
    const { complaints } = cursor.reading;
    const before = complaints.errorCount;
    const value = read(cursor);
    return value && { ...value, isSound: complaints.errorCount === before };
  };
}

function complainOfField(
  cursor: Cursor,
  key: string,
  place: Place,
  fields: Fields,
  refused: RefusedFields,
): void {
  const { complaints } = cursor.reading;
  if (Object.hasOwn(refused, key)) {
    // Where the words are the field's own name again they tell nothing.
    const words = refused[key] === key ? '' : ` (${refused[key]})`;
    const message = `\`${key}\` is not implemented yet${words}`;
    complaints.add('field-not-implemented', place, message, `Remove \`${key}\`.`);
    return;
  }
  const known = Object.keys(fields);
  const fix = didYouMean(key, known, `The fields here are ${listOfNames(known, 20)}.`);
  complaints.add('field-unknown', place, `There is no field \`${key}\` here`, fix);
}

/** A list with at least one item; items that were complained of are left out. */
export function list<T>(read: Reader<T>): Reader<readonly T[]> {
  return listReader(read, false);
}

/** A list that may be empty, as Kubernetes writes them. */
export function anyList<T>(read: Reader<T>): Reader<readonly T[]> {
  return listReader(read, true);
}

function listReader<T>(read: Reader<T>, isEmptyGood: boolean): Reader<readonly T[]> {
  return (cursor) => {
    const items = cursor.items();
    if (items === undefined) return complainOfType(cursor, 'a list (lines that begin with `- `)');
    if (items.length === 0 && !isEmptyGood) {
      return cursor.complain('list-empty', 'The list is empty', 'Add an item or remove the field.');
    }
    const values: T[] = [];
    for (const item of items) {
      const value = item.isNull ? complainOfType(item, 'a value') : read(item);
      if (value !== undefined) values.push(value);
    }
    return values;
  };
}

/** Keeps the place of a value that is looked up or compared later. */
export function placed<T>(read: Reader<T>): Reader<Placed<T>> {
  return (cursor) => {
    const value = read(cursor);
    return value === undefined ? undefined : { value, at: cursor.at };
  };
}

/** One entry of a mapping with free keys. */
export interface Entry<T> {
  readonly key: string;
  readonly value: T;
  readonly at: Place;
  readonly keyAt: Place;
}

/**
 * A mapping with free keys. `checkKey` complains of a bad key and returns false. A null value is
 * handed to `read` too, because `end-user:` alone asks for presence in header matches.
 */
export function mapping<T>(
  read: Reader<T>,
  checkKey: (key: string, at: Place, cursor: Cursor) => boolean,
): Reader<readonly Entry<T>[]> {
  return (cursor) => {
    const entries = cursor.entries();
    if (entries === undefined) return complainOfType(cursor, 'a mapping');
    const found: Entry<T>[] = [];
    for (const { key, keyAt, value } of entries) {
      const isKeyGood = checkKey(key, keyAt, cursor);
      const result = read(value);
      if (!isKeyGood || result === undefined) continue;
      found.push({ key, value: result, at: value.at, keyAt });
    }
    return found;
  };
}

/** Text. Numbers and booleans must be quoted, as the Kubernetes API asks. */
export const text: Reader<string> = (cursor) => {
  const value = cursor.scalar();
  if (typeof value === 'string') return value;
  return complainOfType(cursor, 'text');
};

/** `true` or `false`. */
export const flag: Reader<boolean> = (cursor) => {
  const value = cursor.scalar();
  if (typeof value === 'boolean') return value;
  return complainOfType(cursor, '`true` or `false`');
};

/** Text that a check accepts or complains of. */
export function checkedText<T>(check: (value: string, cursor: Cursor) => T | undefined): Reader<T> {
  return (cursor) => {
    const value = text(cursor);
    return value === undefined ? undefined : check(value, cursor);
  };
}

/** A reader whose value is looked at once more, as a whole. */
export function checked<T>(read: Reader<T>, check: (value: T, cursor: Cursor) => void): Reader<T> {
  return (cursor) => {
    const value = read(cursor);
    if (value !== undefined) check(value, cursor);
    return value;
  };
}

/**
 * One of a few words. `known` maps the written word to what it means here; `refused` maps the words
 * that Istio has and Tracecar does not yet to the reason.
 */
export function choice<T>(
  known: Readonly<Record<string, T>>,
  refused: Readonly<Record<string, string>> = {},
): Reader<T> {
  return checkedText((word, cursor) => {
    if (Object.hasOwn(known, word)) return known[word];
    const words = Object.keys(known);
    if (Object.hasOwn(refused, word)) {
      const message = `\`${word}\` is not implemented yet (${refused[word]})`;
      return cursor.complain('value-not-implemented', message, `Write ${listOfNames(words)}.`);
    }
    const fix = didYouMean(word, words, `Write ${listOfNames(words)}.`);
    return cursor.complain('value-unknown', `\`${word}\` is not an allowed value`, fix);
  });
}

export function complainOfType(cursor: Cursor, wanted: string): undefined {
  const value = cursor.scalar();
  const message = `Expected ${wanted}, found ${cursor.describe()}`;
  if (wanted === 'text' && (typeof value === 'number' || typeof value === 'boolean')) {
    return cursor.complain('wrong-type', message, `Put it into quotes: "${cursor.written()}".`);
  }
  return cursor.complain('wrong-type', message, `Write ${wanted}.`);
}
