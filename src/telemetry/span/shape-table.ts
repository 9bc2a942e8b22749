/**
 * Shapes of spans by all of a record that is no slot: what has come twice is kept, up to a number. Not
 * for records with an `extra`.
 *
 * The key is compared whole, so a record never gets another's shape. Two that fall on one place drive
 * each other out; a process whose records are all different keeps a hash of each and no shape.
 */

import type { ExchangeRecord } from '../record/exchange-record.ts';
import { attemptWordOf, causeWordOf, kindWordOf } from '../record/record-layout.ts';
import type { RecordText } from '../record/record-text.ts';

/** A shape is some 2 KB: 1 MB at most. */
const SHAPES_MAX = 512;
const HASHES_KEPT = 4_096;
const KEY_WORDS = 16;

interface Entry<Shape> {
  readonly key: Int32Array;
  /** Authority, user agent and peer address. */
  readonly text: Uint8Array;
  readonly shape: Shape;
}

export class ShapeTable<Shape> {
  readonly #entries: (Entry<Shape> | undefined)[] = new Array(SHAPES_MAX).fill(undefined);
  readonly #hashes = new Int32Array(HASHES_KEPT);
  readonly #key = new Int32Array(KEY_WORDS);
  #hash = 0;

  /** Forgets all shapes. */
  clear(): void {
    this.#entries.fill(undefined);
  }

  /** The shape of the record's span, `hasQuery` when its URL has one. */
  find(record: ExchangeRecord, text: RecordText, hasQuery: boolean): Shape | undefined {
    const key = this.#key;
    setKey(key, record, text, hasQuery);
    const hash = hashOf(key, text);
    this.#hash = hash;
    const entry = this.#entries[hash & (SHAPES_MAX - 1)];
    if (entry === undefined || !isSameKey(entry.key, key)) return undefined;
    return isSameText(entry.text, text) ? entry.shape : undefined;
  }

  /** Whether a record like the one that was not found has come before it. */
  isRepeated(): boolean {
    const place = (this.#hash >>> 9) & (HASHES_KEPT - 1);
    if (this.#hashes[place] === this.#hash) return true;
    this.#hashes[place] = this.#hash;
    return false;
  }

  /** Keeps the shape of the record that was not found, with its `text`. */
  add(text: RecordText, shape: Shape): void {
    this.#entries[this.#hash & (SHAPES_MAX - 1)] = {
      key: this.#key.slice(),
      text: Uint8Array.from(text.bytes.subarray(text.authority, text.extra)),
      shape,
    };
  }
}

/** Everything that an attribute may be made of but for the values of slots; of those: which there are. */
function setKey(
  key: Int32Array,
  record: ExchangeRecord,
  text: RecordText,
  hasQuery: boolean,
): void {
  key[0] = kindWordOf(record);
  key[1] = record.status | (presenceOf(record, hasQuery) << 16);
  key[2] = attemptWordOf(record);
  key[3] = record.routeId;
  key[4] = record.clusterId;
  key[5] = record.subsetId;
  key[6] = record.endpointId;
  key[7] = record.weight;
  key[8] = record.generation;
  key[9] = (text.userAgent - text.authority) | ((text.peerAddress - text.userAgent) << 16);
  key[10] = text.extra - text.peerAddress;
  key[11] = record.destinationId;
  key[12] = causeWordOf(record);
  key[13] = record.principalId;
  key[14] = record.policyId;
  key[15] = record.policyBits;
}

function presenceOf(record: ExchangeRecord, hasQuery: boolean): number {
  return (
    (record.connectUs >= 0 ? 1 : 0) |
    (record.requestUs >= 0 ? 2 : 0) |
    (record.firstByteUs >= 0 ? 4 : 0) |
    (record.responseUs >= 0 ? 8 : 0) |
    (record.proxyUs >= 0 ? 16 : 0) |
    (record.peerPort !== 0 ? 32 : 0) |
    (record.connectionId !== 0 ? 64 : 0) |
    (hasQuery ? 128 : 0) |
    (record.queueUs >= 0 ? 256 : 0) |
    (record.dnsUs >= 0 ? 512 : 0) |
    (record.tlsUs >= 0 ? 1024 : 0)
  );
}

/** Every fourth byte of the text and the last of it, where addresses differ. */
function hashOf(key: Int32Array, { bytes, authority, extra: end }: RecordText): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < KEY_WORDS; index++) {
    hash = Math.imul(hash ^ key[index]!, 0x01000193);
    hash ^= hash >>> 15;
  }
  for (let index = authority; index < end; index += 4) {
    hash = Math.imul(hash ^ bytes[index]!, 0x01000193);
  }
  for (let index = Math.max(authority, end - 5); index < end; index++) {
    hash = Math.imul(hash ^ bytes[index]!, 0x01000193);
  }
  return hash ^ (hash >>> 16);
}

function isSameKey(left: Int32Array, right: Int32Array): boolean {
  for (let index = 0; index < KEY_WORDS; index++) {
    if (left[index] !== right[index]) return false;
  }
  return true;
}

function isSameText(kept: Uint8Array, { bytes, authority }: RecordText): boolean {
  for (let index = 0; index < kept.length; index++) {
    if (kept[index] !== bytes[authority + index]) return false;
  }
  return true;
}
