/**
 * Prometheus, the real one, for tests: it scrapes one target every second, exemplars included, and
 * ends with the test.
 */

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { findPeer, installCommand } from '../../tools/peers.ts';

/** Why it cannot be started here. */
export function whyNoPrometheus(): string | undefined {
  return findPeer('prometheus') === undefined
    ? `no prometheus: ${installCommand(['prometheus'])}`
    : undefined;
}

/** One that scrapes `target`; its URL once it is ready. */
export async function startPrometheus(t: TestContext, target: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-prometheus-'));
  const config = join(folder, 'prometheus.yml');
  writeFileSync(
    config,
    `global: {scrape_interval: 1s}
scrape_configs:
  - job_name: sidecars
    static_configs: [{targets: ['${target}']}]
`,
  );
  const [port] = await freePorts(1);
  const child = spawn(
    findPeer('prometheus')!.path,
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--enable-feature=exemplar-storage',
      '--log.level=warn',
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.on('close', resolve));
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  const at = `http://127.0.0.1:${port}`;
  await until(async () => (await fetch(`${at}/-/ready`)).ok);
  return at;
}

/** Asks again until `isSo` holds; the test's limit is the guard. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) await wait(100);
}

interface Vector {
  readonly data: { readonly result: readonly { readonly value: readonly [number, string] }[] };
}

/** `sum(query)` now, at the Prometheus of this URL; 0 when it knows nothing of it. */
export async function sumIn(at: string, query: string): Promise<number> {
  const response = await fetch(`${at}/api/v1/query?query=${encodeURIComponent(`sum(${query})`)}`);
  const { data } = (await response.json()) as Vector;
  return Number(data.result[0]?.value[1] ?? 0);
}

/** What promtool says of a page, line by line, but for units that Istio and Jaeger have chosen. */
export function lint(page: string): readonly string[] {
  const unit = 'use base unit "seconds" instead of "milliseconds"';
  const known = ['istio_request', 'traces_span_metrics'].map(
    (name) => `${name}_duration_milliseconds ${unit}`,
  );
  const options = { input: page, encoding: 'utf8' } as const;
  const ended = spawnSync(findPeer('promtool')!.path, ['check', 'metrics'], options);
  return `${ended.stdout}${ended.stderr}`
    .split('\n')
    .filter((line) => line !== '' && !known.includes(line));
}
