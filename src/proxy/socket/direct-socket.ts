/**
 * Sockets that go to the kernel at once, past the stream: writes that make no object, dials without a
 * tick and the branches for names.
 *
 * Nearly every message is taken whole. Only what the kernel does not take at once, or refuses, meets
 * the stream's machinery, which then knows the same as if it had sent the bytes itself: unsent bytes,
 * 'drain', 'finish', errors. That saves a request object, a tick and its arguments a message: 700
 * bytes and 2 us of CPU a request (Node 26.10, 2026-11-25). This file, secure-socket.ts and socket-reads.ts
 * are the only ones that know the insides of Node.js; without them a plain write and connect do the same.
 */

import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { ReadMemory } from './slab.ts';

/** One write of libuv's; free for the next one when the last was done at once. */
export interface WriteRequest {
  oncomplete: ((status: number) => void) | null;
  /** Keeps the memory alive that the kernel still has to take. */
  buffer: Uint8Array;
  /** How it ended where nobody listened: 0 or an error number; Node.js never sets it back to null. */
  writeStatus: number | null;
}

/** What Node.js's own `net` works with. */
interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest;
  readonly streamBaseState: Int32Array;
  readonly kLastWriteWasAsync: number;
  readonly kReadBytesOrError: number;
}

/** Of the stream's own state: its getters ask for it anew each time. */
export interface WritableParts {
  /** Bytes that the stream holds. */
  readonly length: number;
  readonly corked: number;
}

interface StreamHandle {
  /** 0, or an error number of libuv's (negative). */
  writeBuffer(request: WriteRequest, bytes: Uint8Array): number;
}

/** A connect of libuv's under way. */
interface ConnectRequest {
  oncomplete: (this: ConnectRequest, status: number) => void;
  socket: DirectSocket;
}

/** A TCP socket of libuv's. Its calls give 0, or an error number (negative). */
interface TcpHandle {
  connect(request: ConnectRequest, address: string, port: number): number;
  connect6(request: ConnectRequest, address: string, port: number): number;
  setNoDelay(isOn: boolean): number;
  close(): void;
}

interface TcpBinding {
  readonly TCP: new (type: number) => TcpHandle;
  readonly TCPConnectWrap: new () => ConnectRequest;
  readonly constants: { readonly SOCKET: number };
}

const [DOT, DIGIT_0, DIGIT_9, COLON] = [0x2e, 0x30, 0x39, 0x3a];

/** EINVAL of libuv: what it got is no IP address. */
const NO_ADDRESS = -22;

type Written = (error?: Error | null) => void;

const binding = findBinding();
const tcp = findTcpBinding();
let spare = binding === undefined ? undefined : new binding.WriteWrap();

/** A connect that has begun, or has failed at once; a socket follows in the same turn. */
export interface Dial {
  readonly handle: TcpHandle;
  readonly request: ConnectRequest;
  /** 0, or an error number. */
  readonly error: number;
}

/**
 * Dials an IP address before this returns, so that the peer answers while everything else is made.
 * Undefined for a name, and where Node.js does not let us.
 */
export function beginDial(host: string, port: number): Dial | undefined {
  const family = tcp === undefined ? 0 : familyOf(host);
  if (family === 0) return undefined;
  const handle = new tcp!.TCP(tcp!.constants.SOCKET);
  const request = new tcp!.TCPConnectWrap();
  request.oncomplete = onConnected;
  const error =
    family === 6 ? handle.connect6(request, host, port) : handle.connect(request, host, port);
  if (error !== NO_ADDRESS) return { handle, request, error };
  handle.close();
  return undefined;
}

/** 4, 6, or 0 for a name; by its characters alone: libuv knows better, and the regex of `isIP` is slow. */
function familyOf(host: string): number {
  let family = 4;
  for (let at = 0; at < host.length; at++) {
    const code = host.charCodeAt(at);
    if (code === COLON) return 6;
    if (code !== DOT && (code < DIGIT_0 || code > DIGIT_9)) family = 0;
  }
  return family;
}

export class DirectSocket extends Socket {
  /** Where it reads into, if it is known. */
  readonly reads: ReadMemory | undefined;
  /** Has been given to the kernel, which has not taken all of it. */
  #underWay: WriteRequest | undefined;
  readonly #writable: WritableParts;
  /** Error number of a write that failed at once; 0 = none. */
  #failed = 0;

  constructor(options?: object, reads?: ReadMemory) {
    super(options);
    this.reads = reads;
    this.#writable = writablePartsOf(this);
  }

  /** The socket of a dial that has begun. `options`: those of `Socket`. */
  static ofDial(dial: Dial, options: object, reads: ReadMemory): DirectSocket {
    const { handle, request, error } = dial;
    const socket = new DirectSocket({ ...options, handle, manualStart: true }, reads);
    request.socket = socket;
    (socket as { connecting: boolean }).connecting = true;
    if (error !== 0) socket.destroy(systemError('connect', error));
    return socket;
  }

  /** The end of a dial, good or bad. */
  connected(status: number): void {
    // It may have been destroyed meanwhile.
    if (this.destroyed) return;
    (this as { connecting: boolean }).connecting = false;
    if (status !== 0) {
      this.destroy(systemError('connect', status));
      return;
    }
    this.emit('connect');
    if (!this.isPaused()) this.read(0);
    // After the first bytes, which nothing delays: they may come in this very turn.
    setImmediate(endDelay, this);
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
    const { length, corked } = this.#writable;
    return length !== 0 || corked !== 0;
  }

  /** The stream's way to the kernel; bytes that `send` has given away are only waited for. */
  override _write(chunk: unknown, encoding: BufferEncoding, done: Written): void {
    const request = this.#underWay;
    if (request !== undefined) {
      this.#underWay = undefined;
      request.oncomplete = (status) => done(status < 0 ? systemError('write', status) : null);
    } else if (this.#failed !== 0) done(systemError('write', this.#failed));
    else super._write(chunk, encoding, done);
  }
}

/** Where Node.js shows us no state the socket tells the same itself. */
export function writablePartsOf(socket: Socket): WritableParts {
  const { _writableState: state } = socket as unknown as { _writableState?: WritableParts };
  if (typeof state?.length === 'number' && typeof state.corked === 'number') return state;
  return {
    get length() {
      return socket.writableLength;
    },
    get corked() {
      return socket.writableCorked;
    },
  };
}

/** Of a request until the stream waits for it. */
function ignoreStatus(): void {}

function onConnected(this: ConnectRequest, status: number): void {
  this.socket.connected(status);
}

/** Ends Nagle's delay. */
function endDelay(socket: Socket): void {
  const { _handle: handle } = socket as unknown as { readonly _handle: TcpHandle | null };
  handle?.setNoDelay(true);
}

/** A request that tells in `writeStatus` how it ended, free at first; undefined where Node.js has none. */
export function newWriteRequest(): WriteRequest | undefined {
  if (binding === undefined) return undefined;
  const request = new binding.WriteWrap();
  if (request.writeStatus !== null) return undefined;
  request.writeStatus = 0;
  return request;
}

/**
 * How many bytes the read has brought whose end Node.js is telling of; 0 or less: none. Undefined where
 * Node.js does not let us know.
 */
export const lastReadLength: (() => number) | undefined =
  binding === undefined ? undefined : () => binding.streamBaseState[binding.kReadBytesOrError]!;

export function systemError(syscall: string, status: number): Error {
  const code = getSystemErrorName(status);
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno: status, syscall });
}

/** Of one of Node.js's own parts; undefined on a Node.js that shows it no more. */
function bindingOf<Binding>(name: string): Partial<Binding> | undefined {
  const source = process as unknown as { binding?: (name: string) => Partial<Binding> };
  try {
    return source.binding?.(name);
  } catch {
    return undefined;
  }
}

/** Undefined where there is none, or another one. */
function findBinding(): StreamBinding | undefined {
  const found = bindingOf<StreamBinding>('stream_wrap');
  const { WriteWrap, streamBaseState, kLastWriteWasAsync, kReadBytesOrError } = found ?? {};
  const isWhole =
    typeof WriteWrap === 'function' &&
    streamBaseState instanceof Int32Array &&
    typeof kLastWriteWasAsync === 'number' &&
    kLastWriteWasAsync < streamBaseState.length &&
    typeof kReadBytesOrError === 'number' &&
    kReadBytesOrError < streamBaseState.length;
  return isWhole ? (found as StreamBinding) : undefined;
}

function findTcpBinding(): TcpBinding | undefined {
  const found = bindingOf<TcpBinding>('tcp_wrap');
  const { TCP, TCPConnectWrap, constants } = found ?? {};
  if (typeof TCPConnectWrap !== 'function' || typeof constants?.SOCKET !== 'number')
    return undefined;
  const methods = ['connect', 'connect6', 'setNoDelay', 'close'];
  const isWhole = methods.every((name) => typeof TCP?.prototype[name] === 'function');
  return isWhole ? (found as TcpBinding) : undefined;
}
