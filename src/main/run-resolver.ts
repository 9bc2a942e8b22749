/**
 * The resolver of a command in a network of its own: UDP is not redirected, so its name servers must be
 * reachable from there, and one on the machine's loopback is not.
 */

import { readFileSync } from 'node:fs';
import { StartError } from './listen-problem.ts';

/** The one of systemd-resolved, which names the servers that it asks itself. */
const realServers = '/run/systemd/resolve/resolv.conf';

/** Content of the command's /etc/resolv.conf; undefined: the machine's own will do. Throws StartError. */
export function resolverOf(read: (path: string) => string = readText): string | undefined {
  if (hasReachable(read('/etc/resolv.conf'))) return undefined;
  const text = read(realServers);
  if (hasReachable(text)) return text;
  throw new StartError(
    "every name server of /etc/resolv.conf is on this machine's loopback, which the command cannot reach; add one that it can",
  );
}

/** A resolver without servers asks the loopback too. */
function hasReachable(text: string): boolean {
  const servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1]!);
  return servers.some((server) => !/^(127\.|::1$|0\.0\.0\.0$|::$)/.test(server));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
