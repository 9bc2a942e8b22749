/**
 * Lines to a file descriptor, in batches, for a reader that may be slow, stuck or gone.
 *
 * Never blocks on a pipe or socket: what the reader does not take is held up to a limit, more is
 * dropped and counted. A regular file, /dev/null or a terminal is written at once.
 *
 * A pipe is opened anew through /proc, so that O_NONBLOCK stays ours: the flag belongs to the open
 * file, which other processes of a container share.
 */

import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';

export class LineOutput {
  /** Lines that were not taken. */
  dropped = 0;
  readonly #fd: number;
  readonly #heldBytesMax: number;
  readonly #stream: Socket | undefined;
  #isBroken = false;
  #batch = '';
  #batchLines = 0;

  constructor(fd: number, heldBytesMax: number) {
    this.#fd = fd;
    this.#heldBytesMax = heldBytesMax;
    this.#stream = openStream(fd);
    this.#stream?.on('error', () => {
      this.#isBroken = true;
    });
  }

  /** Adds one line, given without its newline, to the batch. */
  add(line: string): void {
    this.#batch += `${line}\n`;
    this.#batchLines++;
  }

  /** Writes the batch. */
  flush(): void {
    if (this.#batchLines === 0) return;
    if (!this.#write(this.#batch)) this.dropped += this.#batchLines;
    this.#batch = '';
    this.#batchLines = 0;
  }

  /** Resolves when everything held has been taken, or the reader is gone. */
  end(): Promise<void> {
    this.flush();
    const stream = this.#stream;
    if (stream === undefined || this.#isBroken) return Promise.resolve();
    return new Promise((resolve) => {
      stream.once('close', () => resolve());
      stream.end(() => resolve());
    });
  }

  #write(text: string): boolean {
    if (this.#isBroken) return false;
    if (this.#stream !== undefined) {
      if (this.#stream.writableLength + text.length > this.#heldBytesMax) return false;
      this.#stream.write(text);
      return true;
    }
    try {
      writeSync(this.#fd, text);
      return true;
    } catch {
      return false;
    }
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
