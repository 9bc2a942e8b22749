/**
 * Ports whose protocol everybody knows and that is not HTTP: mail, databases, caches.
 *
 * In many of these protocols the server speaks first, in none does reading along help. The list is for
 * ports about which nothing else is known: what is declared comes first.
 */

/** SMTP, POP3, IMAP, submission, IMAPS, MySQL, PostgreSQL, Redis, Elasticsearch, Memcached, MongoDB. */
const knownPorts: ReadonlySet<number> = new Set([
  25, 110, 143, 587, 993, 3306, 5432, 6379, 9300, 11211, 27017,
]);

/** Whether connections to `port` are relayed without a look unless something else is declared. */
export function hasKnownProtocol(port: number): boolean {
  return knownPorts.has(port);
}

/**
 * Where a captured pod answers keep messages: nobody listens there, the kernel redirects it to the
 * inbound half like every other port of the pod.
 */
export const KEEP_PORT = 15_004;
