/**
 * Sockets whose writes make no object: the bytes go to the kernel at once, past the stream.
 *
 * Nearly every message is taken whole. Only what the kernel does not take at once, or refuses, meets
 * the stream's machinery, which then knows the same as if it had sent the bytes itself: unsent bytes,
 * 'drain', 'finish', errors. That saves a request object, a tick and its arguments a message: 700
 * bytes and 2 us of CPU a request (Node 26.10, 2026-11-25). This file and socket-reads.ts are the
 * only ones that know the insides of Node.js; without them a plain write does the same.
 */

import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { ReadMemory } from './slab.ts';

/** One write of libuv's; free for the next one when the last was done at once. */
interface WriteRequest {
  oncomplete: (status: number) => void;
  /** Keeps the memory alive that the kernel still has to take. */
  buffer: Uint8Array;
}

/** What Node.js's own `net` works with. */
interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
}

interface StreamHandle {
  /** 0, or an error number of libuv's (negative). */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
}

type Written = (error?: Error | null) => void;

const binding = findBinding();
let spare = binding === undefined ? undefined : new binding.WriteWrap();

export class DirectSocket extends Socket {
  /** Where it reads into, if it is known. */
  readonly reads: ReadMemory | undefined;
  /** Has been given to the kernel, which has not taken all of it. */
  #underWay: WriteRequest | undefined;
  /** Error number of a write that failed at once; 0 = none. */
  #failed = 0;

  constructor(options?: object, reads?: ReadMemory) {
    super(options);
    this.reads = reads;
  }

  /**
   * Sends `bytes`. Returns true when the caller may use their memory again, false when it belongs to
   * this socket from now on. Not for sockets that have been ended.
   */
  send(bytes: Buffer): boolean {
    const handle = (this as unknown as { readonly _handle: StreamHandle | null })._handle;
    if (spare === undefined || handle === null || this.connecting || this.#holdsBytes()) {
      this.write(Buffer.from(bytes));
      return true;
    }
    const error = handle.writeBuffer(spare, bytes);
    if (error === 0 && binding!.streamBaseState[binding!.kLastWriteWasAsync] === 0) return true;
    if (error === 0) {
      // Whole before the stream sees it: the kernel's answer may not find a request half filled in.
      spare.buffer = bytes;
      spare.oncomplete = ignoreStatus;
      this.#underWay = spare;
      spare = new binding!.WriteWrap();
    } else this.#failed = error;
    this.write(bytes);
    return false;
  }

  /**
   * Whether bytes before ours are still in the stream (those of a write under way count), or whether it
   * is corked: it would keep ours from `_write`, and hand them on later together with others.
   */
  #holdsBytes(): boolean {
    return this.writableLength !== 0 || this.writableCorked !== 0;
  }

  /** The stream's way to the kernel; bytes that `send` has given away are only waited for. */
  override _write(chunk: unknown, encoding: BufferEncoding, done: Written): void {
    const request = this.#underWay;
    if (request !== undefined) {
      this.#underWay = undefined;
      request.oncomplete = (status) => done(status < 0 ? writeError(status) : null);
    } else if (this.#failed !== 0) done(writeError(this.#failed));
    else super._write(chunk, encoding, done);
  }
}

/** Of a request until the stream waits for it. */
function ignoreStatus(): void {}

function writeError(status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: 'write' });
}

/** Undefined on a Node.js that shows its binding no more, or another one. */
function findBinding(): StreamBinding | undefined {
  const source = process as unknown as { binding?: (name: string) => Partial<StreamBinding> };
  try {
    const found = source.binding?.('stream_wrap');
    const { WriteWrap, streamBaseState, kLastWriteWasAsync } = found ?? {};
    const isWhole =
      typeof WriteWrap === 'function' &&
      streamBaseState instanceof Int32Array &&
      typeof kLastWriteWasAsync === 'number' &&
      kLastWriteWasAsync < streamBaseState.length;
    return isWhole ? (found as StreamBinding) : undefined;
  } catch {
    return undefined;
  }
}
