/**
 * One page for a scraper that the pod asks for: the application's metrics, merged with the sidecar's.
 *
 *   prometheus.io/port: 8080  ──►  15020, where the sidecar answers with both (TRACECAR_APP_METRICS)
 *
 * A scraper has no identity: where a workload takes mutual TLS alone it could not ask the application.
 * Port and path of the annotations lead to the sidecar, which asks inside the pod; what they were is
 * kept in the status annotation, from which `restoreScrape` brings them back.
 */

import { ports } from './patch-names.ts';
import { applicationOf } from './patch-workload.ts';
import type { Pod, TextMap } from './pod.ts';

const keys = Object.freeze({
  scrape: 'prometheus.io/scrape',
  scheme: 'prometheus.io/scheme',
  port: 'prometheus.io/port',
  path: 'prometheus.io/path',
});

/** What a scraper is told instead. */
const merged: TextMap = { [keys.port]: String(ports.merged), [keys.path]: '/metrics' };

const pathCharactersMax = 1_024;

/** `PORT/PATH` of the application's page, or why there is none to merge; undefined: nobody scrapes. */
export type AppMetrics = { readonly page: string } | { readonly problem: string } | undefined;

/** What the annotations of a pod without a sidecar ask for. */
export function appMetricsOf(pod: Pod): AppMetrics {
  const annotations = pod.metadata?.annotations ?? {};
  const read = (key: string) => (Object.hasOwn(annotations, key) ? annotations[key]! : '');
  if (read(keys.scrape) !== 'true') return undefined;
  const scheme = read(keys.scheme);
  if (scheme !== '' && scheme.toLowerCase() !== 'http') {
    return { problem: `${keys.scheme} is not http` };
  }
  const said = read(keys.port);
  const port = said === '' ? (firstPort(pod) ?? 0) : Number(/^\d{1,5}$/.test(said) ? said : 0);
  // Somebody who scrapes the sidecar by hand knows where.
  if (port === ports.merged || port === ports.metrics) return undefined;
  if (port < 1 || port > 65_535) {
    const what = said === '' ? 'is missing and the application declares no port' : 'is no port';
    return { problem: `${keys.port} ${what}` };
  }
  const path = read(keys.path) || '/metrics';
  if (path.length > pathCharactersMax || !/^[\x21-\x7e]+$/.test(path)) {
    return { problem: `${keys.path} is no path` };
  }
  return { page: `${port}${path.startsWith('/') ? '' : '/'}${path}` };
}

function firstPort(pod: Pod): number | undefined {
  const isTcp = ({ protocol }: { readonly protocol?: string | null }) =>
    (protocol ?? 'TCP') === 'TCP';
  return applicationOf(pod)?.ports?.find(isTcp)?.containerPort ?? undefined;
}

/** The annotations that lead a scraper to the sidecar, and what they were. */
export function redirectScrape(annotations: TextMap): {
  readonly changed: TextMap;
  readonly replaced: Readonly<Record<string, string | null>>;
} {
  const old = Object.keys(merged).map((key) => [key, annotations[key] ?? null] as const);
  return { changed: merged, replaced: Object.fromEntries(old) };
}

/** Undoes redirectScrape: what has been changed again since then stays. */
export function restoreScrape(
  annotations: TextMap,
  replaced: Readonly<Record<string, string | null>>,
): TextMap {
  const entries = Object.entries(annotations).flatMap(([key, value]): [string, string][] => {
    const isOurs = Object.hasOwn(merged, key) && Object.hasOwn(replaced, key);
    if (!isOurs || merged[key] !== value) return [[key, value]];
    const old = replaced[key];
    return old === null || old === undefined ? [] : [[key, old]];
  });
  return Object.fromEntries(entries);
}

/** Warnings about pages that a scraper may not get. */
export function scrapeWarnings(pod: Pod): string[] {
  const found = appMetricsOf(pod);
  if (found === undefined || 'page' in found) return [];
  return [
    `metrics of the application are not merged with the sidecar's: ${found.problem}; where only mutual TLS is taken (STRICT) nobody can scrape them`,
  ];
}
