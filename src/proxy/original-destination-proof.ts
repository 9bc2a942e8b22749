/**
 * The self-test at start: a dial of the sentinel address shows that the redirection rules of this pod
 * are in force and that original destinations can be read.
 *
 * A dial by the proxy's own user is never redirected, except to the sentinel (injector/init/rules.ts).
 * It listens on the outbound capture port for a moment, so it runs before the proxy opens that port.
 */

import { connect, createServer, type Server } from 'node:net';
import type { WakeUps } from '../base/deadlines.ts';
import type { OriginalDestinationReader } from './original-destination.ts';

/** Addresses of the documentation ranges (RFC 5737, RFC 3849): nobody listens there. */
export const sentinels = Object.freeze({ v4: '192.0.2.1', v6: '2001:db8::1' });

export interface ProofOptions {
  readonly reader: OriginalDestinationReader;
  /** The port of the outbound capture, 15001 in a pod. */
  readonly port: number;
  /** The families that this pod has. */
  readonly families: readonly ('v4' | 'v6')[];
  readonly wakeUps: WakeUps;
  /** How long the dial of one family may take. */
  readonly timeoutMs: number;
}

/** Empty when every family's sentinel came back, else one line for a person. Never rejects. */
export async function proveRedirection(options: ProofOptions): Promise<string> {
  const answers = await Promise.all(options.families.map((family) => proveOne(options, family)));
  return answers.find((answer) => answer !== '') ?? '';
}

async function proveOne(options: ProofOptions, family: 'v4' | 'v6'): Promise<string> {
  const { port } = options;
  const loopback = family === 'v4' ? '127.0.0.1' : '::1';
  const sentinel = sentinels[family];
  const place = family === 'v4' ? `${sentinel}:${port}` : `[${sentinel}]:${port}`;
  const server = createServer();
  try {
    await listening(server, loopback, port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A pod without IPv6 has no ::1 either, whatever its addresses say.
    if (family === 'v6' && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return '';
    return `${loopback}:${port} (outbound capture) could not be opened: ${code}`;
  }
  try {
    const problem = await dialled(options, server, sentinel);
    return problem === '' ? '' : `${problem}, for a dial of the sentinel ${place}`;
  } finally {
    server.close();
  }
}

const missingRules =
  'the redirection rules of this pod are not in force (did `tracecar init` run here? `nft list table inet tracecar` shows them)';

/** Dials the sentinel until our own listener has it; empty then, else what went wrong. */
function dialled(options: ProofOptions, server: Server, sentinel: string): Promise<string> {
  const { reader, port, wakeUps, timeoutMs } = options;
  return new Promise((resolve) => {
    let read = '';
    const dial = connect({ host: sentinel, port });
    const end = (problem: string) => {
      callOff();
      dial.destroy();
      resolve(problem);
    };
    const callOff = wakeUps.after(timeoutMs, () =>
      end(read === '' ? `${missingRules}: no answer` : `the original destination reads as ${read}`),
    );
    dial.on('error', ({ code }: NodeJS.ErrnoException) => end(`${missingRules}: ${code}`));
    server.on('connection', (accepted) => {
      const found = reader.read(accepted);
      accepted.on('error', () => {});
      // An application may call before its restarted proxy listens: it is refused and calls again.
      accepted.destroy();
      if (found?.address === sentinel && found.port === port) end('');
      else read = found === undefined ? 'nothing' : `${found.address} port ${found.port}`;
    });
  });
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.removeListener('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}
