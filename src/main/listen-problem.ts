/**
 * Why a port could not be opened, for the person who wanted it: likely cause and next command.
 *
 * One line, used at start (status 2) and when a changed configuration asks for a new listener.
 */

import { problemKind } from './problem-kind.ts';

/** A program cannot start; its message is the one line that says why and what to do next. */
export class StartError extends Error {
  override readonly name = 'StartError';
  readonly [problemKind] = 'start';
}

/**
 * `what` says which port it was and how to choose another: `the admin port (--admin)`. `code` is the
 * system's, `EADDRINUSE`.
 */
export function listenProblem(what: string, address: string, port: number, code: string): string {
  const place = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return `${place}, ${what}, is in use by another process, perhaps a sidecar that still runs; \`ss -ltnp 'sport = :${port}'\` names it`;
    case 'EACCES':
      return `${place}, ${what}, may not be opened by this user; take a port above 1023 (\`sysctl net.ipv4.ip_unprivileged_port_start\` shows the limit)`;
    case 'EADDRNOTAVAIL':
      return `${place}, ${what}, is not an address of this machine; \`ip addr\` lists those`;
    default:
      return `${place}, ${what}, could not be opened: ${code}`;
  }
}

/** The system's word in an error, `EADDRINUSE`; its text when there is none. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code ?? error.message;
}
