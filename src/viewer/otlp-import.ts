/**
 * Spans from a file: OTLP JSON, one request a line (the collector's file exporter, our `--export`), or
 * the whole file as one request, over many lines.
 *
 * An answer of the query API (`{"result":{...}}`) is a request too. The file goes through the same
 * checks as what is sent: every document within `ingestDecodedBytesMax`.
 */

import { createReadStream } from 'node:fs';
import type { OtlpIngest } from './otlp-ingest.ts';

/** The file cannot be read; the message says which, where and why, in one line. */
export class ImportFailure extends Error {
  override readonly name = 'ImportFailure';
}

/** What came of a file. */
export interface Imported {
  readonly documents: number;
  /** Spans that were not kept, and why the first was not. */
  readonly rejected: number;
  readonly reason: string;
}

const NEWLINE = 0x0a;
const answerHead = /^\s*\{\s*"result"\s*:/;

/** Stores what the file holds. Rejects with ImportFailure at the first document that is none. */
export async function importFile(path: string, ingest: OtlpIngest): Promise<Imported> {
  const reading = new Reading(path, ingest);
  try {
    for await (const chunk of createReadStream(path)) reading.add(chunk as Buffer);
  } catch (error) {
    if (error instanceof ImportFailure) throw error;
    throw new ImportFailure(`${path} cannot be read: ${readProblem(error)}`);
  }
  reading.end();
  return reading;
}

class Reading implements Imported {
  documents = 0;
  rejected = 0;
  reason = '';
  readonly #path: string;
  readonly #ingest: OtlpIngest;
  /** Of the line that is not whole yet, or of the file when it is one document. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  #line = 1;
  /** Its first line is not a document: then all of it must be one. */
  #isOne = false;

  constructor(path: string, ingest: OtlpIngest) {
    this.#path = path;
    this.#ingest = ingest;
  }

  add(chunk: Buffer): void {
    let start = 0;
    for (;;) {
      const end = this.#isOne ? -1 : chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      this.#hold(chunk.subarray(start, end + 1));
      start = end + 1;
      this.#endLine();
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start));
  }

  end(): void {
    if (this.#bytes === 0) return;
    const { isDocument, problem } = this.#take();
    if (isDocument) return;
    throw new ImportFailure(`${this.#path}${this.#where()} is not OTLP JSON: ${problem}`);
  }

  #hold(bytes: Buffer): void {
    this.#bytes += bytes.length;
    const max = this.#ingest.limits.ingestDecodedBytesMax;
    if (this.#bytes > max) {
      throw new ImportFailure(`${this.#path}${this.#where()} has a document of over ${max} bytes`);
    }
    this.#chunks.push(bytes);
  }

  #endLine(): void {
    const { isDocument, problem } = this.#take();
    if (isDocument) {
      this.#chunks = [];
      this.#bytes = 0;
    } else if (this.documents === 0) {
      this.#isOne = true;
    } else {
      throw new ImportFailure(`${this.#path}${this.#where()} is not OTLP JSON: ${problem}`);
    }
    this.#line++;
  }

  #where(): string {
    return this.#isOne ? '' : `, line ${this.#line}`;
  }

  /** Stores what is held if it is a document, or blank. */
  #take(): { readonly isDocument: boolean; readonly problem: string } {
    const text = Buffer.concat(this.#chunks).toString();
    if (text.trim() === '') return { isDocument: true, problem: '' };
    const outcome = this.#ingest.take(Buffer.from(unwrap(text)), 'traces', 'json', false);
    if (outcome.kind === 'refused') return { isDocument: false, problem: outcome.refusal.message };
    this.documents++;
    this.rejected += outcome.rejected;
    this.reason ||= outcome.reason;
    return { isDocument: true, problem: '' };
  }
}

/** The request in an answer of the query API; anything else is as it was. */
function unwrap(text: string): string {
  if (!answerHead.test(text)) return text;
  try {
    return JSON.stringify((JSON.parse(text) as { readonly result: unknown }).result);
  } catch {
    return text;
  }
}

function readProblem(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'there is no such file';
    case 'EACCES':
      return 'this user may not read it';
    case 'EISDIR':
      return 'it is a folder';
    default:
      return String((error as Error).message);
  }
}
