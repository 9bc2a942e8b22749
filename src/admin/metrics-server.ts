/**
 * The metrics port: one page in Prometheus' text format, made when it is asked for.
 *
 * Counting happens elsewhere; a scrape costs the rendering and nothing more.
 */

import { PageServer, pageLimits } from './page-server.ts';

/** The server of the metrics port, not yet listening. `render` gives the page's text. */
export function createMetricsServer(render: () => string): PageServer {
  return new PageServer({
    pages: [
      {
        path: '/metrics',
        summary: 'metrics for Prometheus',
        get: () => ({
          status: 200,
          contentType: 'text/plain; version=0.0.4; charset=utf-8',
          body: render(),
        }),
      },
    ],
    isLocalOnly: false,
    limits: pageLimits,
  });
}
