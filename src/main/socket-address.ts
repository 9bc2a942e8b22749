/**
 * `ADDR:PORT` as people type it.
 *
 * An IP address or `localhost`; an IPv6 address stands in brackets. A port alone keeps the usual
 * address of its flag.
 */

import { UsageError } from './flags.ts';

export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

const pattern = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):)?(\d{1,5})$/;

/** Reads the value of `--flag`; `usual` is what it is by default. Throws UsageError. */
export function readSocketAddress(flag: string, text: string, usual: SocketAddress): SocketAddress {
  const match = pattern.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    const example = `${usual.address}:${usual.port}`;
    throw new UsageError(`--${flag} is ADDR:PORT such as ${example}, not '${text}'`);
  }
  const address = match[1] ?? match[2] ?? '';
  return { address: address === '' ? usual.address : address, port };
}
