/**
 * The first message of a TLS downstream: which name it asks for, which protocols it offers. Sans-IO.
 *
 *   records   [ 22 | 3 x | length:2 | part of the message ] ...        joined
 *   message   [ 1 | length:3 | version, random, session, ciphers, compression | extensions ]
 *
 * It only looks (RFC 8446 4.1.2, RFC 6066 3, RFC 7301 3.1): nothing is refused, nothing is changed, and
 * what it cannot make sense of is `Other`. The answer is the same however the bytes are split. A hello
 * that is longer than 16 KiB, has more than 64 extensions or comes in more than 512 records is not read.
 */

export const HelloState = { More: 0, Done: 1, Other: 2 } as const;

const MESSAGE_BYTES_MAX = 16 * 1024;
const EXTENSIONS_MAX = 64;
/** Each record's part is joined by a copy: records of one byte would cost the square of the size. */
const RECORDS_MAX = 512;
const NAME_BYTES_MAX = 255;

const RECORD_HEAD_BYTES = 5;
const MESSAGE_HEAD_BYTES = 4;
/** The first byte of a TLS connection. */
export const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const RANDOM_BYTES = 32;

const SERVER_NAME = 0;
const HOST_NAME = 0;
const ALPN = 16;

const hostname = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

export class ClientHelloReader {
  state: number = HelloState.More;
  /** Lower-case, without a dot at its end; '' when none is asked for, or one that is no hostname. */
  serverName = '';
  /** As offered, in order; latin1 text. */
  alpn: readonly string[] = [];
  /** The message so far, without the heads of records. */
  #message: Buffer = Buffer.alloc(0);
  /** Bytes of the record head under way; then of its content that are still to come. */
  #headBytes = 0;
  #recordLeft = 0;
  #records = 0;

  /** Takes the next bytes of the connection; returns `HelloState`. Copies what it has to keep. */
  feed(bytes: Buffer): number {
    for (let at = 0; at < bytes.length && this.state === HelloState.More; ) {
      if (this.#headBytes < RECORD_HEAD_BYTES) this.#takeHead(bytes[at++]!);
      else {
        const end = Math.min(bytes.length, at + this.#recordLeft);
        this.#takeContent(bytes.subarray(at, end));
        at = end;
      }
    }
    return this.state;
  }

  #takeHead(byte: number): void {
    const at = this.#headBytes++;
    if ((at === 0 && byte !== HANDSHAKE_RECORD) || (at === 1 && byte !== 3)) this.#stop();
    else if (at === 3) this.#recordLeft = byte << 8;
    else if (at === 4) {
      this.#recordLeft |= byte;
      const isTooLong = this.#recordLeft > MESSAGE_BYTES_MAX || ++this.#records > RECORDS_MAX;
      if (this.#recordLeft === 0 || isTooLong) this.#stop();
    }
  }

  #takeContent(part: Buffer): void {
    this.#message = Buffer.concat([this.#message, part]);
    this.#recordLeft -= part.length;
    if (this.#recordLeft === 0) this.#headBytes = 0;
    const message = this.#message;
    if (message[0] !== CLIENT_HELLO) this.#stop();
    else if (message.length >= MESSAGE_HEAD_BYTES) {
      const end = MESSAGE_HEAD_BYTES + message.readUIntBE(1, 3);
      if (end > MESSAGE_BYTES_MAX) this.#stop();
      else if (message.length >= end) this.#finish(message.subarray(MESSAGE_HEAD_BYTES, end));
    }
  }

  #finish(body: Buffer): void {
    try {
      this.#readBody(new Fields(body));
      this.state = HelloState.Done;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.serverName = '';
      this.alpn = [];
      this.state = HelloState.Other;
    }
    this.#message = Buffer.alloc(0);
  }

  #stop(): void {
    this.state = HelloState.Other;
    this.#message = Buffer.alloc(0);
  }

  #readBody(body: Fields): void {
    body.take(2 + RANDOM_BYTES);
    body.vector(1);
    body.vector(2);
    body.vector(1);
    // Before TLS 1.2 extensions may be missing altogether.
    if (body.left === 0) return;
    const extensions = body.vector(2);
    for (let count = 0; extensions.left > 0; count++) {
      if (count === EXTENSIONS_MAX) throw new RangeError('too many extensions');
      const type = extensions.number(2);
      const data = extensions.vector(2);
      if (type === SERVER_NAME) this.serverName = readServerName(data);
      else if (type === ALPN) this.alpn = readNames(data.vector(2));
    }
  }
}

/** The first host name of the list. */
function readServerName(data: Fields): string {
  const list = data.vector(2);
  while (list.left > 0) {
    const type = list.number(1);
    const name = list.vector(2);
    if (type !== HOST_NAME) continue;
    const text = name.text().toLowerCase().replace(/\.$/, '');
    return text.length <= NAME_BYTES_MAX && hostname.test(text) ? text : '';
  }
  return '';
}

function readNames(list: Fields): readonly string[] {
  const names: string[] = [];
  while (list.left > 0) names.push(list.vector(1).text());
  return names;
}

/** Takes fields off the front of `bytes`; a RangeError when there is less than is taken. */
class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  take(length: number): Buffer {
    if (length > this.left) throw new RangeError('a field ends early');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  number(length: number): number {
    return this.take(length).readUIntBE(0, length);
  }

  /** What is preceded by its length in `lengthBytes` bytes. */
  vector(lengthBytes: number): Fields {
    return new Fields(this.take(this.number(lengthBytes)));
  }

  text(): string {
    return this.#bytes.toString('latin1', this.#at);
  }
}
