/**
 * The health port, for kubelets and supervisors: ready, live, the application's own probes, drain.
 *
 * Ready means that the listeners are open, the hot path is warm, the redirection rules are in force and
 * no drain has begun; it never depends on an upstream, a collector or a control plane. Live means that
 * the event loop of traffic turns. The port is reachable from the network, so the one page that changes
 * anything asks for this pod's secret. With probes it runs in a thread of its own (health-link.ts).
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

/** Why a proxy is neither live nor ready whose event loop does not turn. */
export const stuck = 'its event loop has stood still for ten seconds';

export interface HealthOptions {
  /** Empty when ready. */
  whyNotReady(): string;
  /** Why who asks from `peer` must hear that this proxy is not ready; empty: no reason. */
  judge?(peer: string): string;
  /** Empty when connections are taken: also by a proxy that is not warm yet. */
  whyNotOpen(): string;
  /** Whether the event loop of traffic turns; absent where it is the one that answers. */
  isLive?(): boolean;
  /** Begins the end of the pod and resolves when that is so; called again it does nothing more. */
  leave(): void | Promise<void>;
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
        get: (wantsText, _headers, peer) =>
          readyReply(options.judge?.(peer) || options.whyNotReady(), wantsText),
      },
      {
        path: '/healthz/open',
        summary: '200 when this proxy takes traffic, warm or not: what an application may wait for',
        get: (wantsText) => openReply(options.whyNotOpen(), wantsText),
      },
      {
        path: '/healthz/live',
        summary: '200 as long as this proxy works',
        get: (wantsText) => liveReply(options.isLive?.() ?? true, wantsText),
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

function liveReply(isLive: boolean, wantsText: boolean) {
  return showState(
    isLive ? { live: true } : { live: false, reason: stuck },
    wantsText,
    isLive ? 200 : 503,
  );
}

function drainPage({ drainSecret, leave }: HealthOptions): Page {
  return {
    path: '/drain',
    summary: `the pod is ending: not ready, inbound connections move away (${drainSecretHeader})`,
    refuse: secretCheck({ drainSecret }),
    takesPost: true,
    get: async (wantsText) => {
      await leave();
      return showState({ draining: true }, wantsText);
    },
  };
}

function secretCheck({
  drainSecret,
}: Pick<HealthOptions, 'drainSecret'>): NonNullable<Page['refuse']> {
  return (headers) =>
    isSecret(headers[drainSecretHeader], drainSecret)
      ? undefined
      : refusal(403, `${drainSecretHeader} is not this pod's secret`);
}

/** In a time that says nothing about how much of it was right. */
function isSecret(given: string | string[] | undefined, secret: string): boolean {
  if (typeof given !== 'string' || secret === '') return false;
  const [left, right] = [Buffer.from(given), Buffer.from(secret)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function probePage(probe: Probe, options: HealthOptions): Page {
  const { action, isHook, path } = probe;
  const settings = { address: options.applicationAddress, wakeUps: options.wakeUps };
  return {
    path,
    summary: `the application's own ${isHook ? 'hook' : 'probe'} (${action.kind}, port ${action.port})`,
    ...(isHook ? { refuse: secretCheck(options) } : {}),
    get: async (_wantsText, headers) => {
      const userAgent = headers['user-agent'] ?? 'kube-probe';
      const { status, text } = await runProbe(probe, userAgent, settings);
      // The kubelet takes 200 to 399 for health and would follow a redirect to this port.
      if (status >= 200 && status <= 399) return refusal(200, text);
      return refusal(status >= 400 ? status : 503, text);
    },
  };
}
