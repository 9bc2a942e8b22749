/**
 * The JSON of spans in a SQLite file, with what the index needs to be made again after a restart.
 *
 *   origin(id, parts)    span(seq, trace, origin, name, row)    body(seq, json)      seq: arrival
 *
 * A request is one transaction, committed before it is answered: what a sender was told is stored
 * survives a kill -9 (the write-ahead log is the kernel's then; a power cut may cost the last seconds).
 * Rows and bodies lie apart, so a start reads the rows only. One process has the file; synchronous, on
 * the viewer's one thread. A write that fails (full disk) is taken back as a whole, and reading goes on.
 */

import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { BodyPlace, SpanBodies, SpanToKeep, StoredSpan } from './span-bodies.ts';
import type { OriginParts, SpanOrigin } from './span-origin.ts';
import { placeCursor, rowHeadWords, writeRow } from './span-row.ts';
import { StoreFailure } from './store-failure.ts';

/** "TRCV" and the version of the tables: a file says in its head whose it is. */
const applicationId = 0x54524356;
const tablesVersion = 1;

const pageBytes = 4096;
/** What an estimate of a span's place in the file is until the transaction ends. */
const rowBytes = 250;

const tables = `
CREATE TABLE origin (id INTEGER PRIMARY KEY, parts TEXT NOT NULL);
CREATE TABLE span (
  seq INTEGER PRIMARY KEY, trace BLOB NOT NULL, origin INTEGER NOT NULL, name TEXT NOT NULL,
  row BLOB NOT NULL);
CREATE TABLE body (seq INTEGER PRIMARY KEY, json TEXT NOT NULL);
PRAGMA application_id = ${applicationId};
PRAGMA user_version = ${tablesVersion};
`;

/** SQLite's primary result codes, as far as they are told apart. */
const Code = {
  Busy: 5,
  ReadOnly: 8,
  IoError: 10,
  Corrupt: 11,
  Full: 13,
  CannotOpen: 14,
  NotADatabase: 26,
} as const;

/** Opened once, for one store; `close` is due. */
export class SqliteBodies implements SpanBodies {
  readonly file: string;
  bytes = 0;
  /** What went wrong last, '' when the last write was good and nothing is known to be damaged. */
  problem = '';
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  /** Origins in the file, by number there. */
  readonly #originIds = new Map<SpanOrigin, number>();
  /** Of those, what the transaction under way has added. */
  #newOrigins: SpanOrigin[] = [];
  #nextSeq = 1;
  #nextOriginId = 1;
  /** Whether a transaction is under way, whether anything was tried in it, and what failed. */
  #isOpen = false;
  #hasWritten = false;
  #failure = '';
  /** Of a read that found the file damaged; it stays. */
  #damage = '';

  /** Opens or makes the file. `bytesMax`: it never grows far beyond. Throws StoreFailure. */
  constructor(file: string, bytesMax: number) {
    this.file = file;
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(file);
      openTables(database, file);
      const pagesMax = Math.ceil((bytesMax * 1.25) / pageBytes) + 64;
      database.exec(`PRAGMA max_page_count = ${pagesMax}; PRAGMA journal_size_limit = 16777216`);
      this.#database = database;
      this.#statements = new Statements(database);
      this.#measure();
    } catch (error) {
      database?.close();
      throw error instanceof StoreFailure ? error : new StoreFailure(openMessage(file, error));
    }
  }

  /** Throws StoreFailure, and has closed the file then, when it is damaged. */
  *stored(): Generator<StoredSpan> {
    try {
      yield* this.#restore();
    } catch (error) {
      this.#database.close();
      throw new StoreFailure(damageMessage(this.file, error));
    }
  }

  *#restore(): Generator<StoredSpan> {
    const origins = new Map<number, OriginParts>();
    for (const { id, parts } of this.#statements.origins.all() as unknown as OriginRow[]) {
      origins.set(id, readParts(parts));
      this.#nextOriginId = Math.max(this.#nextOriginId, id + 1);
    }
    for (const row of this.#statements.spans.iterate() as Iterable<unknown>) {
      const { seq, trace, origin, name, row: bytes } = row as SpanRow;
      this.#nextSeq = seq + 1;
      const parts = origins.get(origin);
      if (parts === undefined) continue;
      const words = new Uint32Array(bytes.slice().buffer);
      const isWhole = words.length >= rowHeadWords && (words[0]! & 0xffff) === words.length;
      if (!isWhole || trace.length !== 16) {
        throw new Error(`span ${seq} is not as it was written`);
      }
      yield {
        traceId: Buffer.from(trace).toString('hex'),
        originId: origin,
        origin: parts,
        name,
        parts: placeCursor(words),
        tokens: words.subarray(rowHeadWords),
        place: { bodyHigh: Math.floor(seq / 2 ** 32), bodyLow: seq >>> 0 },
      };
    }
  }

  /** An origin of the file that the store has taken. */
  know(origin: SpanOrigin, originId: number): void {
    this.#originIds.set(origin, originId);
  }

  /** bodyHigh and bodyLow are the two halves of the sequence number. */
  put(json: string, span: SpanToKeep, place: BodyPlace): void {
    const seq = this.#nextSeq++;
    place.bodyHigh = Math.floor(seq / 2 ** 32);
    place.bodyLow = seq >>> 0;
    place.bodyBytes = Buffer.byteLength(json);
    if (this.#failure !== '') return;
    try {
      this.#begin();
      const words = new Uint32Array(rowHeadWords + span.tokens.length);
      writeRow(words, 0, span.parts, span.tokens);
      const row = Buffer.from(words.buffer);
      const trace = Buffer.from(span.traceId, 'hex');
      this.#statements.addSpan.run(seq, trace, this.#originId(span.origin), span.name, row);
      this.#statements.addBody.run(seq, json);
      this.bytes += place.bodyBytes + rowBytes;
    } catch (error) {
      this.#failure = writeMessage(error);
    }
  }

  commit(): string {
    if (this.#failure === '' && this.#isOpen) {
      try {
        this.#database.exec('COMMIT');
        this.#isOpen = false;
      } catch (error) {
        this.#failure = writeMessage(error);
      }
    }
    if (this.#failure !== '') this.#rollBack();
    const failure = this.#failure;
    if (this.#hasWritten) this.problem = failure || this.#damage;
    this.#hasWritten = false;
    this.#failure = '';
    this.#newOrigins = [];
    this.#measure();
    return failure;
  }

  read(place: Readonly<BodyPlace>): Uint8Array {
    try {
      const found = this.#statements.readBody.get(seqOf(place)) as { json: Uint8Array } | undefined;
      return found?.json ?? noBody;
    } catch (error) {
      this.#damage = damageMessage(this.file, error);
      this.problem = this.#damage;
      return noBody;
    }
  }

  release(place: Readonly<BodyPlace>): void {
    this.#write(() => {
      this.#statements.removeSpan.run(seqOf(place));
      this.#statements.removeBody.run(seqOf(place));
    });
    this.bytes -= place.bodyBytes + rowBytes;
  }

  forgetOrigin(origin: SpanOrigin): void {
    const id = this.#originIds.get(origin);
    if (id === undefined) return;
    this.#originIds.delete(origin);
    this.#write(() => this.#statements.removeOrigin.run(id));
  }

  close(): void {
    this.commit();
    this.#database.close();
  }

  #write(action: () => void): void {
    if (this.#failure !== '') return;
    try {
      this.#begin();
      action();
    } catch (error) {
      this.#failure = writeMessage(error);
    }
  }

  #begin(): void {
    this.#hasWritten = true;
    if (this.#isOpen) return;
    this.#database.exec('BEGIN IMMEDIATE');
    this.#isOpen = true;
  }

  /** SQLite has rolled back by itself after some errors, and says so by refusing. */
  #rollBack(): void {
    this.#isOpen = false;
    for (const origin of this.#newOrigins) this.#originIds.delete(origin);
    try {
      this.#database.exec('ROLLBACK');
    } catch {
      // There was no transaction any more.
    }
  }

  #originId(origin: SpanOrigin): number {
    let id = this.#originIds.get(origin);
    if (id === undefined) {
      id = this.#nextOriginId++;
      this.#statements.addOrigin.run(id, JSON.stringify(origin.source));
      this.#originIds.set(origin, id);
      this.#newOrigins.push(origin);
    }
    return id;
  }

  #measure(): void {
    const { page_count: pages } = this.#statements.pages.get() as { page_count: number };
    const { freelist_count: free } = this.#statements.free.get() as { freelist_count: number };
    this.bytes = (pages - free) * pageBytes;
  }
}

interface OriginRow {
  readonly id: number;
  readonly parts: string;
}

interface SpanRow {
  readonly seq: number;
  readonly trace: Uint8Array;
  readonly origin: number;
  readonly name: string;
  readonly row: Uint8Array;
}

class Statements {
  readonly addOrigin: StatementSync;
  readonly addSpan: StatementSync;
  readonly addBody: StatementSync;
  readonly readBody: StatementSync;
  readonly removeOrigin: StatementSync;
  readonly removeSpan: StatementSync;
  readonly removeBody: StatementSync;
  readonly origins: StatementSync;
  readonly spans: StatementSync;
  readonly pages: StatementSync;
  readonly free: StatementSync;

  constructor(database: DatabaseSync) {
    this.addOrigin = database.prepare('INSERT INTO origin VALUES (?, ?)');
    this.addSpan = database.prepare('INSERT INTO span VALUES (?, ?, ?, ?, ?)');
    this.addBody = database.prepare('INSERT INTO body VALUES (?, ?)');
    this.readBody = database.prepare('SELECT CAST(json AS BLOB) AS json FROM body WHERE seq = ?');
    this.removeOrigin = database.prepare('DELETE FROM origin WHERE id = ?');
    this.removeSpan = database.prepare('DELETE FROM span WHERE seq = ?');
    this.removeBody = database.prepare('DELETE FROM body WHERE seq = ?');
    this.origins = database.prepare('SELECT id, parts FROM origin');
    this.spans = database.prepare('SELECT seq, trace, origin, name, row FROM span ORDER BY seq');
    this.pages = database.prepare('PRAGMA page_count');
    this.free = database.prepare('PRAGMA freelist_count');
  }
}

const noBody = Buffer.from('{}');

function seqOf({ bodyHigh, bodyLow }: Readonly<BodyPlace>): number {
  return bodyHigh * 2 ** 32 + bodyLow;
}

/** Throws for what `put` has not written. */
function readParts(json: string): OriginParts {
  const parts = JSON.parse(json) as Readonly<Record<string, unknown>> | null;
  for (const key of originKeys) {
    if (typeof parts?.[key] !== 'string') throw new Error(`an origin has no ${key}`);
  }
  return parts as unknown as OriginParts;
}

const originKeys = [
  'service',
  'resourceJson',
  'resourceSchemaUrl',
  'scopeJson',
  'scopeSchemaUrl',
] as const satisfies readonly (keyof OriginParts)[];

function openTables(database: DatabaseSync, file: string): void {
  const numberOf = (pragma: string): unknown =>
    Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0];
  // Exclusive before the first access: the log then needs no shared memory, and the lock is kept.
  database.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA locking_mode = EXCLUSIVE`);
  const owner = numberOf('application_id');
  const isEmpty = numberOf('schema_version') === 0;
  if (!isEmpty && owner !== applicationId) {
    throw new StoreFailure(`${file} is a database of another program; name another file`);
  }
  const version = numberOf('user_version');
  if (!isEmpty && version !== tablesVersion) {
    const versions = `its tables have version ${version}, not ${tablesVersion}`;
    throw new StoreFailure(`${file} is from another release (${versions}); name another file`);
  }
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  database.exec(`BEGIN IMMEDIATE; ${isEmpty ? tables : ''} COMMIT`);
}

function codeOf(error: unknown): number {
  const { errcode } = error as { readonly errcode?: unknown };
  // The low byte is the primary code.
  return typeof errcode === 'number' ? errcode & 0xff : 0;
}

function openMessage(file: string, error: unknown): string {
  switch (codeOf(error)) {
    case Code.Busy:
      return `${file} is in use: does another viewer have it? Name another file`;
    case Code.CannotOpen:
      return `${file} cannot be opened or made: is its folder there, and may this user write to it?`;
    case Code.ReadOnly:
      return `${file} may only be read by this user; name another file`;
    case Code.Full:
      return `there is no room for ${file}: the disk is full`;
    case Code.Corrupt:
      return damageMessage(file, error);
    case Code.NotADatabase:
      return `${file} is no SQLite database; name another file`;
    default:
      return `${file} cannot be used: ${String((error as Error).message)}`;
  }
}

function damageMessage(file: string, error: unknown): string {
  const detail = String((error as Error).message).replaceAll(/\s+/g, ' ');
  return (
    `${file} is damaged (${detail}); move it away or name another file ` +
    `(sqlite3's .recover may save what it holds)`
  );
}

function writeMessage(error: unknown): string {
  const code = codeOf(error);
  if (code === Code.Full) return 'the disk is full (or the store, see --store-bytes)';
  const detail = String((error as Error).message);
  if (code === Code.IoError) return `the disk cannot be written: ${detail}`;
  return `the store cannot be written: ${detail}`;
}
