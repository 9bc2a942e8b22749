/**
 * Edits the configuration of one running Tracecar, and finds out when each edit is in effect.
 *
 *   file replaced (rename) ─► the sidecar's log: "configuration applied" ─► one request proves it
 *
 * The log says when, without a load of questions; the request, whose answer carries the number of the
 * edit, says that it is true. Times are the log's, to a millisecond; from the parsed document on, the
 * sidecar's own account (sinceParsedMs).
 */

import { renameSync, writeFileSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { benchHost, benchPath } from '../load/load-order.ts';
import type { Child } from '../stage/children.ts';
import type { RunningArm } from '../stage/stage.ts';
import { editedFile } from './route-arms.ts';
import { editedDocument, editHeader } from './route-documents.ts';

export interface EditEffect {
  readonly isInEffect: boolean;
  /** From the file's rename. */
  readonly effectMs: number;
  /** From the parsed document; NaN where the sidecar does not say. */
  readonly parsedMs: number;
}

/** One line of the sidecar's log. */
interface LogLine {
  readonly time: string;
  readonly message: string;
  readonly sinceParsedMs?: number;
}

/** An edit that is not in effect by then is lost. */
const patienceMs = 10_000;

export class ConfigEditor {
  readonly #port: number;
  readonly #folder: string;
  readonly #rulesPerHost: number;
  readonly #log: LogFollower;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #edits: number;

  /** `earlier` edits of the same copy are counted on from, so that no content comes twice. */
  constructor({ port, place, child }: RunningArm, rulesPerHost: number, earlier: number) {
    if (place === undefined || child === undefined) throw new Error('direct has no configuration');
    this.#port = port;
    this.#folder = place.directory;
    this.#rulesPerHost = rulesPerHost;
    this.#log = new LogFollower(child);
    this.#edits = earlier;
  }

  /** Numbers of edits so far. */
  get edits(): number {
    return this.#edits;
  }

  /** Readings that were applied, seen since the editor began. */
  get applied(): number {
    return this.#log.applied;
  }

  /** Replaces the file; returns when, since the epoch. */
  write(): number {
    this.#edits++;
    const path = join(this.#folder, editedFile);
    // As a ConfigMap or a careful editor does it: never a half-written file. The name is not *.yaml.
    writeFileSync(`${path}.part`, editedDocument(this.#rulesPerHost, this.#edits));
    const atMs = epochMs();
    renameSync(`${path}.part`, path);
    return atMs;
  }

  /** Waits until the edit that was written last, at `writtenAtMs`, is in effect. */
  async untilInEffect(writtenAtMs: number): Promise<EditEffect> {
    const giveUpAt = writtenAtMs + patienceMs;
    while (epochMs() < giveUpAt) {
      const line = await this.#log.next(giveUpAt - epochMs());
      if (line === undefined) break;
      // Of an edit before this one; the log's milliseconds are cut off.
      if (Date.parse(line.time) + 1 < writtenAtMs) continue;
      if ((await this.#ask()) !== String(this.#edits)) continue;
      const effectMs = Date.parse(line.time) - writtenAtMs;
      return { isInEffect: true, effectMs, parsedMs: line.sinceParsedMs ?? Number.NaN };
    }
    return { isInEffect: false, effectMs: Number.NaN, parsedMs: Number.NaN };
  }

  close(): void {
    this.#log.close();
    this.#agent.destroy();
  }

  /** The edit that made the rule of an answer, as its header says; '' without one. */
  #ask(): Promise<string> {
    return new Promise((resolve) => {
      const headers = { host: benchHost };
      const about = { host: '127.0.0.1', port: this.#port, path: benchPath, headers };
      get({ ...about, agent: this.#agent }, (response) => {
        const found = response.headers[editHeader];
        response.resume().on('end', () => resolve(String(found ?? '')));
      }).on('error', () => resolve(''));
    });
  }
}

/** The lines "configuration applied" of a child's stderr, each given once. */
class LogFollower {
  readonly #child: Child;
  readonly #lines: LogLine[] = [];
  #held = '';
  #notify: () => void = () => {};
  applied = 0;

  constructor(child: Child) {
    this.#child = child;
    child.process.stderr?.on('data', this.#onData);
  }

  /** The next line; undefined when none comes in time. */
  async next(withinMs: number): Promise<LogLine | undefined> {
    if (this.#lines.length === 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#notify = () => {};
    }
    return this.#lines.shift();
  }

  close(): void {
    this.#child.process.stderr?.off('data', this.#onData);
  }

  readonly #onData = (chunk: Buffer): void => {
    const lines = (this.#held + chunk.toString('utf8')).split('\n');
    this.#held = lines.pop() ?? '';
    for (const text of lines) {
      if (!text.includes('"configuration applied"')) continue;
      this.#lines.push(JSON.parse(text) as LogLine);
      this.applied++;
      this.#notify();
    }
  };
}

function epochMs(): number {
  return performance.timeOrigin + performance.now();
}
