/**
 * Asks the application what the kubelet wanted to ask it, on the pod's own address.
 *
 * The sidecar's user is not captured, so the question goes straight to the application. Each probe is
 * a connection of its own and ends in its time; like the kubelet, any certificate is accepted, 200 to
 * 399 is health, and redirects are followed while they stay with the application. A port that refuses
 * is dialled again for a while: the kubelet asks first when the container starts, and not again for a
 * whole period.
 */

import type { IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:https';
import { connect } from 'node:net';
import type { WakeUps } from '../base/deadlines.ts';
import { askGrpcHealth } from './grpc-health.ts';
import type { HttpAction, Probe, TcpAction } from './probe-definition.ts';

// As in page-server.ts: an ESM import of these costs every sidecar 15 MB.
const http = process.getBuiltinModule('node:http');

/** What the application said; `status` is an HTTP status, 503 when it said nothing good. */
export interface ProbeAnswer {
  readonly status: number;
  /** For a person who reads the pod's events; at most `bodyBytesMax` bytes. */
  readonly text: string;
}

/** The kubelet reads no more of a probe's answer. */
const bodyBytesMax = 10 * 1024;
const redirectsMax = 10;

/** How long a refusing port is dialled again: part of the probe's time, and no more than this. */
const holdShare = 0.5;
const holdMsMax = 2_000;
const holdPauseMs = 10;

export interface ProbeSettings {
  /** Where the application listens: an address of the pod. */
  readonly address: string;
  readonly wakeUps: WakeUps;
}

/** Never rejects. */
export function runProbe(
  probe: Probe,
  userAgent: string,
  settings: ProbeSettings,
): Promise<ProbeAnswer> {
  const { timeoutMs } = probe;
  const { wakeUps } = settings;
  return new Promise((resolve) => {
    const aborting = new AbortController();
    const { signal } = aborting;
    const callOff = wakeUps.after(timeoutMs, () =>
      aborting.abort(new Error(`no answer within ${timeoutMs / 1_000} s`)),
    );
    let isHeld = true;
    const callOffHold = wakeUps.after(Math.min(timeoutMs * holdShare, holdMsMax), () => {
      isHeld = false;
    });
    const end = (answer: ProbeAnswer) => {
      callOff();
      callOffHold();
      resolve(answer);
    };
    const askOnce = () => {
      ask(probe, userAgent, settings.address, signal).then(end, (error: unknown) => {
        if (isHeld && isRefusal(error)) wakeUps.after(holdPauseMs, askOnce);
        else end({ status: 503, text: reasonOf(error, signal) });
      });
    };
    askOnce();
  });
}

function ask(
  { action }: Probe,
  userAgent: string,
  address: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  if (action.kind === 'http') return askHttp(action, userAgent, address, signal);
  if (action.kind === 'tcp') return askTcp(action, address, signal);
  return askGrpcHealth(action, address, signal);
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ECONNREFUSED';
}

function reasonOf(error: unknown, signal: AbortSignal): string {
  const cause = signal.aborted ? signal.reason : error;
  return cause instanceof Error ? cause.message : String(cause);
}

async function askHttp(
  action: HttpAction,
  userAgent: string,
  address: string,
  signal: AbortSignal,
): Promise<ProbeAnswer> {
  let url = new URL(originOf(action, address) + action.path);
  const { origin } = url;
  for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
    const { response, text } = await getOnce(action, url, userAgent, signal);
    const status = response.statusCode ?? 503;
    const { location } = response.headers;
    if (status < 300 || status > 399 || location === undefined) return { status, text };
    const next = URL.parse(location, url);
    if (next === null) return { status: 503, text: `it redirects to no address: ${location}` };
    if (next.origin !== origin && next.hostname !== hostOf(action)) {
      return { status: 200, text: `it redirects to ${next.host}` };
    }
    // Its own name may stand in the address; the connection still goes to this pod.
    url = new URL(next.pathname + next.search, origin);
  }
  return { status: 503, text: `it redirects more than ${redirectsMax} times` };
}

function originOf({ isTls, port }: HttpAction, address: string): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `${isTls ? 'https' : 'http'}://${host}:${port}`;
}

/** The Host that the probe's definition wants, without a port. */
function hostOf({ headers }: HttpAction): string | undefined {
  const host = headers.find(([name]) => name.toLowerCase() === 'host')?.[1];
  return host?.replace(/:\d+$/, '');
}

function getOnce(
  action: HttpAction,
  url: URL,
  userAgent: string,
  signal: AbortSignal,
): Promise<{ response: IncomingMessage; text: string }> {
  const headers: Record<string, string | string[]> = { 'User-Agent': userAgent, Accept: '*/*' };
  for (const [name, value] of action.headers) addHeader(headers, name, value);
  const options: RequestOptions = { headers, signal, agent: false, rejectUnauthorized: false };
  const { request } = action.isTls ? process.getBuiltinModule('node:https') : http;
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > bodyBytesMax) {
          text = text.slice(0, bodyBytesMax);
          response.destroy();
          resolve({ response, text });
        }
      });
      response.on('end', () => resolve({ response, text }));
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** A name given twice is sent twice; one of ours gives way to the definition's, as the kubelet's does. */
function addHeader(headers: Record<string, string | string[]>, name: string, value: string): void {
  const held = Object.keys(headers).find((each) => each.toLowerCase() === name.toLowerCase());
  if (held === undefined || held === 'User-Agent' || held === 'Accept') {
    if (held !== undefined) delete headers[held];
    // An empty value takes the header away (Kubernetes, Probe.httpHeaders).
    if (value !== '') headers[name] = value;
  } else {
    headers[held] = [headers[held]!, value].flat();
  }
}

function askTcp({ port }: TcpAction, host: string, signal: AbortSignal): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.on('error', reject);
    socket.on('connect', () => {
      socket.destroy();
      resolve({ status: 200, text: 'connected' });
    });
  });
}
