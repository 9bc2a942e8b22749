/**
 * A scripted end of a TCP connection: sends exactly what it is told, remembers what it got.
 *
 * Both ends of the tests are made of it: downstreams by `connectRaw`, upstreams by RawOrigin.
 * Waiting is for events, never for time; the guard only turns a hang into a message that says what
 * was there.
 */

import { connect, type Socket } from 'node:net';

/** How a connection came to its end, as this side saw it. */
export type Ending = 'open' | 'fin' | 'reset';

export interface RawResponse {
  readonly status: number;
  /** Status line and fields, without the empty line. */
  readonly head: string;
  /** Without framing. */
  readonly body: string;
  /** As it came, with chunk framing. */
  readonly rawBody: string;
}

/** Beyond what a machine that stands still now and then needs: only a hang gets there. */
const GUARD_MS = 20_000;

export class RawConnection {
  readonly socket: Socket;
  /** Everything that has come, as latin1 text. */
  received = '';
  ending: Ending = 'open';
  isClosed = false;
  /** How many bytes `response` has taken already. */
  #taken = 0;
  #checks: ((isLast: boolean) => boolean)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#check();
    });
    socket.on('end', () => {
      if (this.ending === 'open') this.ending = 'fin';
      this.#check();
    });
    socket.on('error', () => {
      this.ending = 'reset';
    });
    socket.on('close', () => {
      this.isClosed = true;
      this.#checks = this.#checks.filter((check) => !check(true));
    });
  }

  /** Sends latin1 text or bytes; resolves when the kernel has them. */
  send(data: string | Buffer): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    return new Promise((resolve) => this.socket.write(bytes, () => resolve()));
  }

  /** Sends FIN; reading goes on. */
  finish(): void {
    this.socket.end();
  }

  /** Sends RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Waits until `holds`; rejects with what was received at the end or after the guard time. */
  until(holds: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const complain = () => {
        const got = JSON.stringify(this.received.slice(-2_000));
        reject(new Error(`waited for ${what}; ${this.ending}, received ${got}`));
      };
      const guard = setTimeout(complain, GUARD_MS);
      const check = (isLast: boolean): boolean => {
        const isMet = holds();
        if (!isMet && !isLast) return false;
        clearTimeout(guard);
        if (isMet) resolve();
        else complain();
        return true;
      };
      if (!check(this.isClosed)) this.#checks.push(check);
    });
  }

  untilReceived(text: string): Promise<void> {
    return this.until(() => this.received.includes(text), JSON.stringify(text));
  }

  /** How the peer ended it: FIN or RST. */
  async ended(): Promise<Ending> {
    await this.until(() => this.ending !== 'open' || this.isClosed, 'the end of the connection');
    return this.ending;
  }

  async closed(): Promise<Ending> {
    await this.until(() => this.isClosed, 'the close of the connection');
    return this.ending;
  }

  /** The next whole response; `toHead`: it answers HEAD and so has no body. */
  async response(toHead = false): Promise<RawResponse> {
    let found: { response: RawResponse; end: number } | undefined;
    await this.until(() => {
      found = cutResponse(this.received, this.#taken, toHead, this.ending !== 'open');
      return found !== undefined;
    }, 'a whole response');
    this.#taken = found!.end;
    return found!.response;
  }

  /** What came after the responses that were taken. */
  get rest(): string {
    return this.received.slice(this.#taken);
  }

  #check(): void {
    this.#checks = this.#checks.filter((check) => !check(false));
  }
}

/** A downstream of the proxy under test. */
export function connectRaw(port: number, host = '127.0.0.1'): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.removeListener('error', reject);
      resolve(new RawConnection(socket));
    });
  });
}

/** The whole response at `from`, if it is there. */
function cutResponse(
  text: string,
  from: number,
  toHead: boolean,
  isEnded: boolean,
): { response: RawResponse; end: number } | undefined {
  const cut = cutMessage(text, from, toHead ? 'head-response' : 'response', isEnded);
  if (cut === undefined) return undefined;
  const { head, body, end } = cut;
  const rawBody = text.slice(from + head.length + 4, end);
  return { response: { status: Number(head.slice(9, 12)), head, body, rawBody }, end };
}

export interface CutMessage {
  /** Start line and fields, without the empty line. */
  readonly head: string;
  /** Without framing. */
  readonly body: string;
  /** Index just past the message. */
  readonly end: number;
}

/** The whole message at `from`, read as a lenient peer would; undefined if it is not complete. */
export function cutMessage(
  text: string,
  from: number,
  kind: 'request' | 'response' | 'head-response',
  isEnded: boolean,
): CutMessage | undefined {
  const headEnd = text.indexOf('\r\n\r\n', from);
  if (headEnd === -1) return undefined;
  const head = text.slice(from, headEnd);
  const start = headEnd + 4;
  const status = kind === 'request' ? 200 : Number(head.slice(9, 12));
  const isBodiless = kind === 'head-response' || status < 200 || status === 204 || status === 304;
  if (isBodiless) return { head, body: '', end: start };
  if (/^transfer-encoding: *chunked$/im.test(head)) {
    const chunked = cutChunked(text, start);
    return chunked && { head, ...chunked };
  }
  const length = /^content-length: *(\d+)$/im.exec(head)?.[1];
  if (length !== undefined || kind === 'request') {
    const end = start + Number(length ?? 0);
    return text.length < end ? undefined : { head, body: text.slice(start, end), end };
  }
  return isEnded ? { head, body: text.slice(start), end: text.length } : undefined;
}

function cutChunked(text: string, from: number): { body: string; end: number } | undefined {
  let body = '';
  for (let at = from; ; ) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (size === 0) {
      const end = text.startsWith('\r\n', lineEnd + 2)
        ? lineEnd
        : text.indexOf('\r\n\r\n', lineEnd);
      return end === -1 || end + 4 > text.length ? undefined : { body, end: end + 4 };
    }
    if (text.length < lineEnd + 2 + size + 2) return undefined;
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}
