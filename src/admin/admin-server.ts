/**
 * The admin port: shows what this sidecar runs with. Loopback only; it never touches traffic.
 *
 * JSON unless the reader accepts only text/plain. What can be changed is the log level, and that the
 * pod is ending, each by PUT: a web page elsewhere cannot send one. The state comes in closures, so
 * this room knows neither the proxy nor the configuration.
 */

import { type Page, PageServer, pageLimits, refusal } from './page-server.ts';
import { showState } from './print-state.ts';

/** What the pages show, read at the moment of the request. */
export interface AdminState {
  /** Empty when this proxy takes traffic, else why not. */
  whyNotReady(): string;
  /** Compiled routing table, generation, diagnostics. */
  config(): unknown;
  clusters(): unknown;
  connections(): unknown;
  /** What `tracecar check --strict` asks for. */
  plaintextCallers(): unknown;
  stats(): unknown;
  logLevel(): string;
  /** Answers whether `level` is one; then it holds at once. */
  setLogLevel(level: string): boolean;
  readonly logLevels: readonly string[];
  isDraining(): boolean;
  /** Begins the end of the pod; called again it does nothing more. */
  leave(): void;
}

/** The server of the admin port, not yet listening. Its Host must be loopback too. */
export function createAdminServer(state: AdminState): PageServer {
  return new PageServer({ pages: adminPages(state), isLocalOnly: true, limits: pageLimits });
}

function adminPages(state: AdminState): readonly Page[] {
  return [
    {
      path: '/ready',
      summary: 'whether this proxy takes traffic, and why not',
      get: (wantsText) => readyReply(state.whyNotReady(), wantsText),
    },
    show('/config', 'compiled routing table, generation, diagnostics', () => state.config()),
    show('/clusters', 'endpoints and what is under way to each', () => state.clusters()),
    show('/connections', 'listeners and open connections, relayed ones first', () =>
      state.connections(),
    ),
    show('/plaintext-callers', 'who came without mutual TLS, and would be refused by STRICT', () =>
      state.plaintextCallers(),
    ),
    show('/stats', 'counters of this process', () => state.stats()),
    {
      path: '/log-level',
      summary: `the log level; PUT one of ${state.logLevels.join(', ')}`,
      get: (wantsText) => showState({ level: state.logLevel() }, wantsText),
      put: (body) =>
        state.setLogLevel(body.trim())
          ? showState({ level: state.logLevel() }, false)
          : refusal(400, `a level is one of ${state.logLevels.join(', ')}`),
    },
    {
      path: '/drain',
      summary: 'whether the pod is ending; PUT begins it: not ready, inbound connections move away',
      get: (wantsText) => showState({ draining: state.isDraining() }, wantsText),
      put: () => {
        state.leave();
        return showState({ draining: true }, false);
      },
    },
  ];
}

/** 200 or 503 with `{ready, reason}`. */
export function readyReply(whyNot: string, wantsText: boolean) {
  const isReady = whyNot === '';
  const state = isReady ? { ready: true } : { ready: false, reason: whyNot };
  return showState(state, wantsText, isReady ? 200 : 503);
}

function show(path: string, summary: string, read: () => unknown): Page {
  return { path, summary, get: (wantsText) => showState(read(), wantsText) };
}
