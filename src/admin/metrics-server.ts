/**
 * The metrics port: one page, made when it is asked for, as OpenMetrics for who prefers that and in
 * Prometheus' text format else.
 *
 * Counting happens elsewhere; a scrape costs the rendering and nothing more.
 */

import { contentTypes, type TextFormat } from '../telemetry/metrics/metric-text.ts';
import { type PageReply, PageServer, pageLimits } from './page-server.ts';

/** The server of the metrics port, not yet listening. `render` gives the page's text. */
export function createMetricsServer(
  render: (format: TextFormat) => PageReply['body'] | Promise<PageReply['body']>,
): PageServer {
  return new PageServer({
    pages: [
      {
        path: '/metrics',
        summary: 'metrics for Prometheus',
        get: async (_wantsText, { accept = '' }) => {
          const format = formatOf(accept);
          return { status: 200, contentType: contentTypes[format], body: await render(format) };
        },
      },
    ],
    isLocalOnly: false,
    limits: pageLimits,
  });
}

/** OpenMetrics where the reader names it and likes it at least as well as plain text. */
export function formatOf(accept: string): TextFormat {
  let plain = 0;
  let open = 0;
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const quality = parameters.find((each) => each.startsWith('q='))?.slice(2) ?? '1';
    const value = Number(quality) || 0;
    if (type === 'application/openmetrics-text') open = Math.max(open, value);
    else if (type === 'text/plain') plain = Math.max(plain, value);
  }
  return open > 0 && open >= plain ? 'openmetrics' : 'prometheus';
}
