/**
 * Where the five strings of a record lie as bytes, so that who wants bytes makes no strings.
 *
 * A view into the ring: valid until the reader's `release`, like the record beside it. Bytes are those
 * of the wire; as strings they are decoded as UTF-8, and what is not UTF-8 becomes U+FFFD.
 *
 *   bytes  ... [ target | authority | user agent | peer address | extra and line feeds ] end ...
 */

import type { ExchangeRecord } from './exchange-record.ts';

const LINE_FEED = 0x0a;

export class RecordText {
  readonly bytes: Buffer;
  /** Offsets in `bytes`; each string ends where the next begins. */
  target = 0;
  authority = 0;
  userAgent = 0;
  peerAddress = 0;
  extra = 0;
  end = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** Sets the strings of `record`. */
  decode(record: ExchangeRecord): void {
    const { bytes } = this;
    record.target = bytes.toString('utf8', this.target, this.authority);
    record.authority = bytes.toString('utf8', this.authority, this.userAgent);
    record.userAgent = bytes.toString('utf8', this.userAgent, this.peerAddress);
    record.peerAddress = bytes.toString('utf8', this.peerAddress, this.extra);
    record.extra = this.hasExtra ? this.#decodeExtra() : '';
  }

  /** Whether the record says what hardly any does. */
  get hasExtra(): boolean {
    return this.end !== this.extra;
  }

  #decodeExtra(): string {
    let { end } = this;
    while (end > this.extra && this.bytes[end - 1] === LINE_FEED) end--;
    return this.bytes.toString('utf8', this.extra, end);
  }
}
