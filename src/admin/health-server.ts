/**
 * The health port, for kubelets and supervisors: ready and live, nothing else.
 *
 * Ready means that the listeners are open and no drain has begun; it never depends on an upstream, a
 * collector or a control plane. Live means that the event loop turns.
 */

import { readyReply } from './admin-server.ts';
import { PageServer, pageLimits } from './page-server.ts';
import { showState } from './print-state.ts';

/** The server of the health port, not yet listening. `whyNotReady` is empty when ready. */
export function createHealthServer(whyNotReady: () => string): PageServer {
  return new PageServer({
    pages: [
      {
        path: '/healthz/ready',
        summary: '200 when this proxy takes traffic, else 503 with the reason',
        get: (wantsText) => readyReply(whyNotReady(), wantsText),
      },
      {
        path: '/healthz/live',
        summary: '200 as long as this process answers',
        get: (wantsText) => showState({ live: true }, wantsText),
      },
    ],
    isLocalOnly: false,
    limits: pageLimits,
  });
}
