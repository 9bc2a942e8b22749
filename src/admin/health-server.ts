/**
 * The health port, for kubelets and supervisors: ready, live, the application's own probes, drain.
 *
 * Ready means that the listeners are open, the hot path is warm and no drain has begun; it never
 * depends on an upstream, a collector or a control plane. Live means that the event loop turns. The port is reachable from the
 * network, so the one page that changes anything asks for this pod's secret.
 */

import { timingSafeEqual } from 'node:crypto';
import type { WakeUps } from '../base/deadlines.ts';
import { readyReply } from './admin-server.ts';
import { type Page, PageServer, pageLimits, refusal } from './page-server.ts';
import { showState } from './print-state.ts';
import type { Probe } from './probe-definition.ts';
import { runProbe } from './run-probe.ts';

/** The header that carries the drain secret, lower-case. */
export const drainSecretHeader = 'x-tracecar-drain-secret';

export interface HealthOptions {
  /** Empty when ready. */
  whyNotReady(): string;
  /** Empty when connections are taken: also by a proxy that is not warm yet. */
  whyNotOpen(): string;
  /** Begins the end of the pod; called again it does nothing more. */
  leave(): void;
  /** Empty: nobody may drain through this port. */
  readonly drainSecret: string;
  readonly probes: readonly Probe[];
  /** An address of this pod, where its application is asked. */
  readonly applicationAddress: string;
  readonly wakeUps: WakeUps;
}

/** The server of the health port, not yet listening. */
export function createHealthServer(options: HealthOptions): PageServer {
  const slowest = Math.max(0, ...options.probes.map(({ timeoutMs }) => timeoutMs));
  return new PageServer({
    pages: [
      {
        path: '/healthz/ready',
        summary: '200 when this proxy takes traffic, else 503 with the reason',
        get: (wantsText) => readyReply(options.whyNotReady(), wantsText),
      },
      {
        path: '/healthz/open',
        summary: '200 when this proxy takes traffic, warm or not: what an application may wait for',
        get: (wantsText) => openReply(options.whyNotOpen(), wantsText),
      },
      {
        path: '/healthz/live',
        summary: '200 as long as this process answers',
        get: (wantsText) => showState({ live: true }, wantsText),
      },
      drainPage(options),
      ...options.probes.map((probe) => probePage(probe, options)),
    ],
    isLocalOnly: false,
    limits: { ...pageLimits, answerTimeoutMs: slowest },
  });
}

function openReply(reason: string, wantsText: boolean) {
  const isOpen = reason === '';
  return showState(
    isOpen ? { open: true } : { open: false, reason },
    wantsText,
    isOpen ? 200 : 503,
  );
}

function drainPage({ drainSecret, leave }: HealthOptions): Page {
  return {
    path: '/drain',
    summary: `the pod is ending: not ready, inbound connections move away (${drainSecretHeader})`,
    takesPost: true,
    get: (wantsText, headers) => {
      if (!isSecret(headers[drainSecretHeader], drainSecret)) {
        return refusal(403, `${drainSecretHeader} is not this pod's secret`);
      }
      leave();
      return showState({ draining: true }, wantsText);
    },
  };
}

/** In a time that says nothing about how much of it was right. */
function isSecret(given: string | string[] | undefined, secret: string): boolean {
  if (typeof given !== 'string' || secret === '') return false;
  const [left, right] = [Buffer.from(given), Buffer.from(secret)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function probePage(probe: Probe, options: HealthOptions): Page {
  const { action, path } = probe;
  const settings = { address: options.applicationAddress, wakeUps: options.wakeUps };
  return {
    path,
    summary: `the application's own probe (${action.kind}, port ${action.port})`,
    get: async (_wantsText, headers) => {
      const userAgent = headers['user-agent'] ?? 'kube-probe';
      const { status, text } = await runProbe(probe, userAgent, settings);
      // The kubelet takes 200 to 399 for health and would follow a redirect to this port.
      if (status >= 200 && status <= 399) return refusal(200, text);
      return refusal(status >= 400 ? status : 503, text);
    },
  };
}
