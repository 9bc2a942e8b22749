/**
 * Which release this is, and whether it runs from a bundle or from the sources.
 *
 * The package's manifest is the one place that a release changes: the build puts its version into the
 * bundles, the sources read it.
 */

import { readFileSync } from 'node:fs';

/** Set by tools/build.ts; absent when the sources run. */
declare const TRACECAR_VERSION: string | undefined;

/** `0.1.0`. */
export function tracecarVersion(): string {
  if (typeof TRACECAR_VERSION === 'string') return TRACECAR_VERSION;
  const manifest = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}

/** A worker's bundle beside ours; undefined in the sources, where its room knows it. */
export function bundledWorker(
  name: 'telemetry-worker' | 'compile-worker' | 'health-worker',
): URL | undefined {
  if (typeof TRACECAR_VERSION !== 'string') return undefined;
  return new URL(`./${name}.cjs`, import.meta.url);
}
