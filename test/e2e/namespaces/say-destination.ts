/**
 * A program for a pod: accepts on the capture ports and tells each caller where it was going.
 */

import { createServer } from 'node:net';
import {
  byKoffi,
  openOriginalDestination,
} from '../../../src/proxy/socket/original-destination.ts';

const way = process.argv[2] === 'koffi' ? [byKoffi] : undefined;
const opened = openOriginalDestination(way);
if ('problem' in opened) throw new Error(opened.problem);
const { reader, by } = opened;

const places: readonly (readonly [string, string, number])[] = [
  ['outbound', '127.0.0.1', 15_001],
  ['outbound', '::1', 15_001],
  ['inbound', '::', 15_006],
];
let open = 0;
for (const [name, host, port] of places) {
  const server = createServer((socket) => {
    const { address, port: asked } = reader.read(socket) ?? { address: 'nowhere', port: 0 };
    socket.on('error', () => {});
    socket.end(`${name} ${address} ${asked}\n`);
  });
  server.listen({ host, port }, () => {
    open += 1;
    if (open === places.length) process.stdout.write(`ready by ${by}\n`);
  });
}
