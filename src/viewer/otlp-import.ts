/**
 * Spans from a file: OTLP JSON, one request a line (the collector's file exporter, our `--export`), or
 * the whole file as one request, over many lines.
 *
 * An answer of the query API v3 (`{"result":{...}}`) is a request too. The file goes through the same
 * checks as what is sent: every document within `ingestDecodedBytesMax`. Lines with metrics or logs,
 * which a collector may mix in, are passed over; a file without a span is refused, and so is a
 * document of another kind, by its name.
 */

import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import type { OtlpIngest } from './otlp-ingest.ts';
import { asObject } from './otlp-json.ts';

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
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
const gzipHead = Buffer.from([0x1f, 0x8b]);
const answerHead = /^\s*\{\s*"result"\s*:/;
const wanted =
  '--import takes OTLP JSON, {"resourceSpans":[...]}, one document a line or the whole file as one: ' +
  'what `tracecar view --trace ID --export FILE` writes, or /api/v3/traces/ID answers';

/**
 * Stores what the file holds. Rejects with ImportFailure at the first document that is none, and when
 * there is no span in any.
 */
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
  #hasSpans = false;

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
    if (this.#bytes > 0) {
      const { isDocument, problem } = this.#take();
      if (!isDocument) throw this.#refusal(problem);
    }
    if (!this.#hasSpans) throw new ImportFailure(`${this.#path} has no spans; ${wanted}`);
  }

  #refusal(problem: string): ImportFailure {
    // A parser quotes what it stumbled over.
    const harmless = problem.replaceAll(/[^\x20-\x7e]+/g, ' ');
    return new ImportFailure(
      `${this.#path}${this.#where()} is not OTLP JSON: ${harmless}; ${wanted}`,
    );
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
      throw this.#refusal(problem);
    }
    this.#line++;
  }

  #where(): string {
    return this.#isOne ? '' : `, line ${this.#line}`;
  }

  /** Stores what is held if it is a document, or blank. */
  #take(): { readonly isDocument: boolean; readonly problem: string } {
    let body = Buffer.concat(this.#chunks);
    const isAtStart = this.#isOne || this.#line === 1;
    if (isAtStart && startsWith(body, byteOrderMark)) body = body.subarray(3);
    if (isAtStart && startsWith(body, gzipHead)) {
      return { isDocument: false, problem: 'it is gzip; unpack it first' };
    }
    if (isBlank(body)) return { isDocument: true, problem: '' };
    const before = spansOf(this.#ingest);
    const outcome = this.#ingest.take(unwrap(body), 'traces', 'json', false);
    if (outcome.kind === 'refused') {
      const { kind, message } = outcome.refusal;
      // Any other refusal is of the store: the document is good.
      if (kind === 'malformed' || kind === 'too-big')
        return { isDocument: false, problem: message };
      throw new ImportFailure(`${this.#path} cannot be imported: ${message}`);
    }
    if (spansOf(this.#ingest) > before) {
      this.#hasSpans = true;
    } else {
      const problem = otherKind(body);
      if (problem !== '') throw this.#refusal(problem);
    }
    this.documents++;
    this.rejected += outcome.rejected;
    this.reason ||= outcome.reason;
    return { isDocument: true, problem: '' };
  }
}

function startsWith(body: Buffer, head: Buffer): boolean {
  return body.subarray(0, head.length).equals(head);
}

function isBlank(body: Buffer): boolean {
  return body.every((byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d));
}

/** Spans that the ingest was ever given. */
function spansOf(ingest: OtlpIngest): number {
  const { acceptedSpans, rejectedSpans } = ingest.counts();
  return acceptedSpans + rejectedSpans;
}

/** The request in an answer of the query API v3; anything else is as it was. */
function unwrap(body: Buffer): Buffer {
  if (!answerHead.test(body.toString('latin1', 0, 200)) || !isUtf8(body)) return body;
  try {
    const { result } = JSON.parse(body.toString()) as { readonly result: unknown };
    return Buffer.from(JSON.stringify(result));
  } catch {
    return body;
  }
}

/** What an object without spans is, if it is something else than a request of OTLP; else empty. */
function otherKind(body: Buffer): string {
  const parsed = asObject(JSON.parse(body.toString()));
  const object = asObject(parsed?.result) ?? parsed ?? {};
  const has = (key: string): boolean => Object.hasOwn(object, key);
  if (['resourceSpans', 'resource_spans', 'resourceMetrics', 'resourceLogs'].some(has)) return '';
  if (Array.isArray(object.data)) {
    return "it is an answer of Jaeger's older API (/api/traces/ID), or what Jaeger's page saves";
  }
  if (has('error')) return 'it is an error that a query API answered';
  const keys = Object.keys(object).slice(0, 5);
  return keys.length === 0
    ? 'it is an empty object'
    : `it has no "resourceSpans", but ${keys.map((key) => JSON.stringify(key.slice(0, 40))).join(', ')}`;
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
