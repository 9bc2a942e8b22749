/** The bytes of TLS over a connection that a test may write to as well, past TLS. */

import { Duplex } from 'node:stream';
import type { RawConnection } from './raw-connection.ts';

/** For `tls.connect({ socket })`; what TLS says goes out at `carrier`, what comes there is TLS's. */
export function carriedBy({ socket }: RawConnection): Duplex {
  const carried = new Duplex({
    read: () => undefined,
    write: (chunk, _encoding, done) => void socket.write(chunk, done),
  });
  socket.on('data', (chunk) => carried.push(chunk));
  return carried;
}

/** Bytes that are no records of a connection whose handshake is over. */
export const tornRecords: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['a record of 65535 bytes', Buffer.from([23, 3, 3, 0xff, 0xff, 1, 2, 3])],
  ['a record of other keys', Buffer.concat([Buffer.from([23, 3, 3, 0, 64]), Buffer.alloc(64)])],
  ['a thousand alerts in the clear', Buffer.alloc(7_000, Buffer.from([21, 3, 3, 0, 2, 1, 0]))],
  ['another ClientHello', Buffer.from([22, 3, 1, 0, 5, 1, 0, 0, 1, 0])],
  ['plain HTTP', Buffer.from('GET /forged HTTP/1.1\r\nHost: a\r\n\r\n')],
];
