/**
 * Reads Protocol Buffers by a table of fields into the objects that the message has in JSON.
 *
 * Only what OTLP uses: no groups, no maps, no extensions. Fields that no table names are skipped, a
 * field of another wire type than its own counts as unknown. It is bounded by depth and by the number
 * of messages and elements, since a byte or two of input may be an object each. Source:
 * protobuf.dev/programming-guides/encoding.
 */

/** What a field holds, and as what it comes out. */
export const FieldKind = {
  /** A string; bytes that are not UTF-8 come out as U+FFFD. */
  Text: 0,
  /** Bytes as lower-case hex, as OTLP's JSON has ids; as base64 for all others. */
  Hex: 1,
  Base64: 2,
  /** uint32 or enum: a number. */
  Uint32: 3,
  /** A number where it is exact, else decimal digits. */
  Int64: 4,
  Bool: 5,
  Fixed32: 6,
  /** Decimal digits, as in JSON. */
  Fixed64: 7,
  Sfixed64: 8,
  Double: 9,
  Message: 10,
} as const;

/** One field of a message. */
export interface Field {
  readonly name: string;
  readonly kind: number;
  readonly isRepeated: boolean;
  /** Of a Message. */
  readonly message: Message | undefined;
}

/** Fields by number. */
export type Message = (Field | undefined)[];

/** What one message may cost. */
export interface ProtobufLimits {
  readonly depthMax: number;
  /** Messages and elements of repeated fields. */
  readonly valuesMax: number;
}

/** The bytes are no such message; `isExcess`: they may be one, but hold too many values. */
export class MalformedProtobuf extends Error {
  override readonly name = 'MalformedProtobuf';
  readonly isExcess: boolean;

  constructor(message: string, isExcess = false) {
    super(message);
    this.isExcess = isExcess;
  }
}

type Fields = Record<string, unknown>;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const wireTypeOf: readonly number[] = [
  BYTES,
  BYTES,
  BYTES,
  VARINT,
  VARINT,
  VARINT,
  FIXED32,
  FIXED64,
  FIXED64,
  FIXED64,
  BYTES,
];

/** The message as an object. Throws MalformedProtobuf. */
export function readProtobuf(bytes: Buffer, message: Message, limits: ProtobufLimits): Fields {
  return new Reader(bytes, limits).message(bytes.length, message, 1);
}

class Reader {
  readonly #bytes: Buffer;
  readonly #limits: ProtobufLimits;
  #at = 0;
  #values = 0;
  /** The two halves of the last varint. */
  #low = 0;
  #high = 0;

  constructor(bytes: Buffer, limits: ProtobufLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  message(end: number, message: Message, depth: number): Fields {
    if (depth > this.#limits.depthMax) {
      throw new MalformedProtobuf(`the message nests deeper than ${this.#limits.depthMax} levels`);
    }
    const fields: Fields = {};
    while (this.#at < end) {
      this.#varint(end);
      const tag = this.#low;
      const wireType = tag & 7;
      const field = message[tag >>> 3];
      if (field === undefined || this.#high !== 0) {
        this.#skip(wireType, end);
      } else if (wireType === wireTypeOf[field.kind]) {
        this.#set(fields, field, this.#value(field, end, depth));
      } else if (wireType === BYTES && field.isRepeated) {
        this.#packed(fields, field, end);
      } else {
        this.#skip(wireType, end);
      }
    }
    return fields;
  }

  #set(fields: Fields, field: Field, value: unknown): void {
    if (!field.isRepeated) {
      fields[field.name] = value;
      return;
    }
    this.#count();
    const list = fields[field.name] as unknown[] | undefined;
    if (list === undefined) fields[field.name] = [value];
    else list.push(value);
  }

  #packed(fields: Fields, field: Field, end: number): void {
    const last = this.#lengthEnd(end);
    while (this.#at < last) this.#set(fields, field, this.#value(field, last, 0));
  }

  #count(): void {
    if (++this.#values <= this.#limits.valuesMax) return;
    const message = `the message holds over ${this.#limits.valuesMax} values; send smaller batches`;
    throw new MalformedProtobuf(message, true);
  }

  #value(field: Field, end: number, depth: number): unknown {
    switch (field.kind) {
      case FieldKind.Text:
        return this.#text(end, 'utf8');
      case FieldKind.Hex:
        return this.#text(end, 'hex');
      case FieldKind.Base64:
        return this.#text(end, 'base64');
      case FieldKind.Message: {
        const last = this.#lengthEnd(end);
        this.#count();
        return this.message(last, field.message!, depth + 1);
      }
      case FieldKind.Uint32:
        this.#varint(end);
        return this.#low;
      case FieldKind.Bool:
        this.#varint(end);
        return this.#low !== 0 || this.#high !== 0;
      case FieldKind.Int64:
        this.#varint(end);
        return this.#int64();
      case FieldKind.Fixed32:
        return this.#bytes.readUInt32LE(this.#take(4, end));
      case FieldKind.Fixed64:
        return String(this.#bytes.readBigUInt64LE(this.#take(8, end)));
      case FieldKind.Sfixed64:
        return String(this.#bytes.readBigInt64LE(this.#take(8, end)));
      default:
        return this.#bytes.readDoubleLE(this.#take(8, end));
    }
  }

  #int64(): number | string {
    const value = (this.#high | 0) * 2 ** 32 + this.#low;
    if (Number.isSafeInteger(value)) return value;
    return String((BigInt(this.#high | 0) << 32n) + BigInt(this.#low));
  }

  #text(end: number, encoding: 'utf8' | 'hex' | 'base64'): string {
    const last = this.#lengthEnd(end);
    const text = this.#bytes.toString(encoding, this.#at, last);
    this.#at = last;
    return text;
  }

  /** Reads a length; gives where what it counts ends. */
  #lengthEnd(end: number): number {
    this.#varint(end);
    const last = this.#at + this.#low;
    if (this.#high !== 0 || last > end) throw cut();
    return last;
  }

  /** Moves on by `count` bytes; gives where they begin. */
  #take(count: number, end: number): number {
    const start = this.#at;
    this.#at += count;
    if (this.#at > end) throw cut();
    return start;
  }

  #varint(end: number): void {
    const bytes = this.#bytes;
    let at = this.#at;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (at >= end) throw cut();
      const byte = bytes[at++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#at = at;
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new MalformedProtobuf('a number is longer than 10 bytes');
  }

  #skip(wireType: number, end: number): void {
    if (wireType === VARINT) this.#varint(end);
    else if (wireType === FIXED64) this.#take(8, end);
    else if (wireType === BYTES) this.#at = this.#lengthEnd(end);
    else if (wireType === FIXED32) this.#take(4, end);
    else throw new MalformedProtobuf(`wire type ${wireType} is not used in OTLP`);
  }
}

function cut(): MalformedProtobuf {
  return new MalformedProtobuf('it ends in the middle of a field');
}
