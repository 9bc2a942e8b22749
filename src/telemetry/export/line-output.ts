/**
 * Lines to a file descriptor, in pieces, for a reader that may be slow, stuck or gone.
 *
 * Never blocks on a pipe or socket: what the reader does not take is held up to a limit, more is
 * dropped. A regular file, /dev/null or a terminal is written at once. Every line is counted, in the
 * end: as written when the kernel has it, else as dropped.
 *
 *   add ─► piece of lines, at most what a pipe takes whole or not at all ─flush─► held ─► one at a time
 *
 * A pipe is opened anew through /proc, so that O_NONBLOCK stays ours: the flag belongs to the open
 * file, which other processes of a container share.
 */

import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

/** PIPE_BUF of Linux: a write of so many bytes is never cut. A longer line is a piece of its own. */
const PIECE_BYTES_MAX = 4_096;

interface Piece {
  readonly text: string;
  /** 0 for one that is counted by its owner, who is told: whether the kernel has it. */
  readonly lines: number;
  readonly bytes: number;
  readonly done: ((isWritten: boolean) => void) | undefined;
}

export class LineOutput {
  /** Called when lines have been counted outside of a call. */
  onChange: () => void = () => {};
  /** Lines that the kernel has taken. */
  written = 0;
  /** Lines that were not taken. */
  dropped = 0;
  readonly #fd: number;
  readonly #heldBytesMax: number;
  readonly #stream: Socket | undefined;
  #isBroken = false;
  /** The piece that lines are added to. */
  #text = '';
  #lines = 0;
  #bytes = 0;
  /** Pieces that wait for the reader, the one under way first. */
  #held: Piece[] = [];
  #heldBytes = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(fd: number, heldBytesMax: number) {
    this.#fd = fd;
    this.#heldBytesMax = heldBytesMax;
    this.#stream = openStream(fd);
    this.#stream?.on('error', () => this.#break());
    this.#stream?.on('close', () => this.#break());
  }

  /** Adds one line, given without its newline, to the batch. */
  add(line: string): void {
    const bytes = Buffer.byteLength(line) + 1;
    if (this.#bytes + bytes > PIECE_BYTES_MAX) this.flush();
    this.#text += `${line}\n`;
    this.#lines++;
    this.#bytes += bytes;
  }

  /** Writes the batch. */
  flush(): void {
    const piece = { text: this.#text, lines: this.#lines, bytes: this.#bytes, done: undefined };
    if (piece.lines === 0) return;
    this.#text = '';
    this.#lines = 0;
    this.#bytes = 0;
    this.#write(piece);
  }

  /**
   * Writes one line between the others, given without its newline and of any length: how many wait is
   * for the caller to bound, who is told what became of it, once.
   */
  addApart(line: string, done: (isWritten: boolean) => void): void {
    this.flush();
    this.#write({ text: `${line}\n`, lines: 0, bytes: 0, done });
  }

  #write(piece: Piece): void {
    if (this.#stream === undefined) this.#writeNow(piece);
    else this.#hold(piece);
  }

  /** Resolves when everything held has been taken, or nothing will be any more. */
  taken(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#tell();
    });
  }

  /** Writes all, then takes no more lines; resolves as `taken` does. */
  async end(): Promise<void> {
    this.flush();
    await this.taken();
    this.giveUp();
  }

  /** Takes no more lines; those that are held are dropped. */
  giveUp(): void {
    this.flush();
    this.#break();
    this.#stream?.destroy();
  }

  #hold(piece: Piece): void {
    if (this.#isBroken || this.#heldBytes + piece.bytes > this.#heldBytesMax) {
      this.dropped += piece.lines;
      piece.done?.(false);
      return;
    }
    this.#heldBytes += piece.bytes;
    if (this.#held.push(piece) === 1) this.#writeFirst();
  }

  #writeFirst(): void {
    const piece = this.#held[0]!;
    this.#stream!.write(piece.text, (error) => {
      // Given up meanwhile: it has been counted.
      if (this.#isBroken) return;
      if (error) {
        this.#break();
        return;
      }
      this.#held.shift();
      this.#heldBytes -= piece.bytes;
      this.written += piece.lines;
      piece.done?.(true);
      if (this.#held.length > 0) this.#writeFirst();
      this.onChange();
      this.#tell();
    });
  }

  #writeNow({ text, lines, done }: Piece): void {
    let isWritten = true;
    try {
      writeSync(this.#fd, text);
      this.written += lines;
    } catch {
      this.dropped += lines;
      isWritten = false;
    }
    done?.(isWritten);
  }

  /** Nobody takes anything from now on. */
  #break(): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    for (const { lines, done } of held) {
      this.dropped += lines;
      done?.(false);
    }
    this.onChange();
    this.#tell();
  }

  #tell(): void {
    if (this.#held.length > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** A stream for pipes and sockets; undefined for what is written directly. */
function openStream(fd: number): Socket | undefined {
  let stat: ReturnType<typeof fstatSync>;
  try {
    stat = fstatSync(fd);
  } catch {
    return undefined;
  }
  if (stat.isSocket()) return socketOf(fd);
  if (!stat.isFIFO()) return undefined;
  let own: number | undefined;
  try {
    own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    return socketOf(own);
  } catch {
    if (own !== undefined) closeSync(own);
    return undefined;
  }
}

/** libuv never closes descriptors 0 to 2, so a stream over stdout may end without closing it. */
function socketOf(fd: number): Socket {
  return new Socket({ fd, readable: false, writable: true });
}
