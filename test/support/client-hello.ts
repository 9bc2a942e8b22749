/**
 * ClientHello messages as bytes, right and wrong ones, put together field by field.
 */

/** `bytes` after their length in `lengthBytes` bytes. */
export function vector(lengthBytes: number, ...parts: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(bytes.length, 0, lengthBytes);
  return Buffer.concat([length, bytes]);
}

export function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), vector(2, data)]);
}

export function serverName(name: string): Buffer {
  return extension(
    0,
    vector(2, Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name, 'latin1'))])),
  );
}

export function alpn(...names: readonly string[]): Buffer {
  return extension(16, vector(2, ...names.map((name) => vector(1, Buffer.from(name, 'latin1')))));
}

/** The message, without records. */
export function helloMessage(...extensions: readonly Buffer[]): Buffer {
  return Buffer.concat([
    Buffer.from([1]),
    vector(
      3,
      Buffer.from([3, 3]),
      Buffer.alloc(32, 7),
      vector(1, Buffer.alloc(32, 8)),
      vector(2, Buffer.from([0x13, 0x01, 0x13, 0x02])),
      vector(1, Buffer.from([0])),
      vector(2, ...extensions),
    ),
  ]);
}

/** `message` in handshake records of at most `recordBytes`. */
export function inRecords(message: Buffer, recordBytes = 16 * 1024): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes) {
    const part = message.subarray(at, at + recordBytes);
    records.push(Buffer.concat([Buffer.from([22, 3, 1]), vector(2, part)]));
  }
  return Buffer.concat(records);
}
