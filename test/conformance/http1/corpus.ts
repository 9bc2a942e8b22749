/**
 * Reads the corpus of this folder: cases as data, expanded to bytes.
 *
 * The format is in README.md. Runners decide what they do with a case; this file only checks that it
 * has the parts that they rely on.
 */

import { readdirSync, readFileSync } from 'node:fs';

export interface CorpusMessage {
  readonly head: string;
  readonly body?: string;
  readonly trailers?: string;
}

export interface CorpusRefusal {
  readonly cause: string;
  readonly status: number;
  readonly reason: string;
  readonly at: 'head' | 'body';
  readonly field?: string;
}

export interface CorpusExpectation {
  readonly refused?: CorpusRefusal;
  readonly pass?: readonly CorpusMessage[];
  readonly sanitise?: readonly CorpusMessage[];
  readonly unread?: number;
}

export interface CorpusCase {
  readonly id: string;
  readonly row: number | null;
  readonly title: string;
  readonly role: 'request' | 'response';
  readonly requestMethod: string;
  readonly bytes: Buffer;
  readonly expect: CorpusExpectation;
}

export interface CorpusFile {
  /** Section of reference/reliability.md: `2.1`. */
  readonly section: string;
  readonly cases: readonly CorpusCase[];
}

type Part = string | { readonly repeat: string; readonly times: number };

interface WrittenCase {
  readonly id: string;
  readonly row: number | null;
  readonly title: string;
  readonly role?: 'request' | 'response';
  readonly requestMethod?: string;
  readonly bytes: string | readonly Part[];
  readonly expect: CorpusExpectation;
}

const folder = new URL('./', import.meta.url);

/** Every file of the corpus, in the order of the sections. */
export function readCorpus(): readonly CorpusFile[] {
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'));
  const files = names.map((name) => {
    const text = readFileSync(new URL(name, folder), 'utf8');
    const written: { section: string; cases: WrittenCase[] } = JSON.parse(text);
    return { section: written.section, cases: written.cases.map(expand) };
  });
  return files.sort((left, right) => left.section.localeCompare(right.section));
}

function expand(written: WrittenCase): CorpusCase {
  const { id, row, title, expect } = written;
  const outcomes = [expect.refused, expect.pass, expect.sanitise].filter(Boolean);
  if (outcomes.length !== 1) throw new Error(`${id}: exactly one outcome is needed`);
  const parts = typeof written.bytes === 'string' ? [written.bytes] : written.bytes;
  const text = parts.map((part) =>
    typeof part === 'string' ? part : part.repeat.repeat(part.times),
  );
  return {
    id,
    row,
    title,
    role: written.role ?? 'request',
    requestMethod: written.requestMethod ?? 'GET',
    bytes: Buffer.from(text.join(''), 'latin1'),
    expect,
  };
}
