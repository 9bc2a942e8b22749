/**
 * The port of merged metrics, 15020: the sidecar's page and the application's in one.
 *
 *   scraper ──► ours, without `process_*` ──► `tracecar_app_metrics_up` ──► the application's
 *
 * Ours come whatever is wrong with the application's. A family that both have is described once.
 */

import type { Milliseconds } from '../base/clock.ts';
import { appMetricsLimits } from '../model/metrics-limits.ts';
import { contentTypes, MetricText, type TextFormat } from '../telemetry/metrics/metric-text.ts';
import type { AppMetrics, AppMetricsAnswer } from './app-metrics.ts';
import { formatOf } from './metrics-server.ts';
import { PageServer, pageLimits } from './page-server.ts';

/** The server, not yet listening. `own` gives our page in parts, without what the application has too. */
export function createMergedServer(
  own: (format: TextFormat) => Promise<Iterable<string>>,
  application: Pick<AppMetrics, 'ask'>,
): PageServer {
  return new PageServer({
    pages: [
      {
        path: '/metrics',
        summary: 'metrics of the application and of this sidecar, for Prometheus',
        get: async (_wantsText, headers) => {
          const wanted = formatOf(headers.accept ?? '');
          const answer = await application.ask(wanted, timeLeft(headers[timeoutHeader]));
          const format = 'problem' in answer ? wanted : answer.format;
          const body = mergePages(await own(format), format, answer);
          return { status: 200, contentType: contentTypes[format], body };
        },
      },
    ],
    isLocalOnly: false,
    limits: { ...pageLimits, answerTimeoutMs: appMetricsLimits.askTimeoutMs },
  });
}

/** What Prometheus says of its own patience, in seconds. */
const timeoutHeader = 'x-prometheus-scrape-timeout-seconds';

/** Less than the scraper waits, so that it gets ours in any case. */
function timeLeft(written: string | readonly string[] | undefined): Milliseconds {
  const { askTimeoutMs, patienceShare } = appMetricsLimits;
  const patienceMs = Number(written) * 1_000;
  return patienceMs > 0 ? Math.min(patienceMs * patienceShare, askTimeoutMs) : askTimeoutMs;
}

function* mergePages(
  own: Iterable<string>,
  format: TextFormat,
  answer: AppMetricsAnswer,
): Generator<string> {
  const families = new Set<string>();
  for (const part of own) {
    for (const [, family = ''] of part.matchAll(/^# TYPE (\S+)/gm)) families.add(family);
    yield part.replace(/^# EOF\n$/m, '');
  }
  const text = new MetricText(format);
  text.family(
    'tracecar_app_metrics_up',
    'gauge',
    'Whether the metrics of the application are on this page.',
  );
  text.sample('tracecar_app_metrics_up', '', 'problem' in answer ? 0 : 1);
  let joined = text.take();
  for (const { family, head, samples } of 'problem' in answer ? [] : answer.blocks) {
    joined += families.has(family) ? samples : head + samples;
    if (joined.length < appMetricsLimits.partLength) continue;
    yield joined;
    joined = '';
  }
  text.end();
  yield joined + text.take();
}
