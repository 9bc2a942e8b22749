/**
 * What a span of Tracecar says about itself, in sentences: why it was routed, who the other end proved
 * to be, why it was tried again, denied, joined and sampled, and where its time went.
 *
 * For people: the page shows them beside the waterfall, `tracecar explain` prints them. A span of
 * somebody else has none of the attributes and gets few sentences or none; nothing is guessed.
 */

import { type Cause, failureOf } from '../model/failure.ts';
import { causeOf, hasReachedApplication, isOfSidecar } from './blame.ts';
import type { NetworkGap } from './network-gap.ts';
import { attributeText, SpanKind } from './otlp-json.ts';
import { printShare } from './share-text.ts';
import { labelOf, statusOf } from './span-label.ts';
import { printDuration } from './time-bar.ts';
import type { TraceLayout, TraceRow } from './trace-layout.ts';

export type Topic =
  | 'routed'
  | 'sent to'
  | 'proved'
  | 'judged'
  | 'tried again'
  | 'failed'
  | 'joined'
  | 'sampled'
  | 'time';

export interface SpanSentence {
  readonly topic: Topic;
  readonly text: string;
}

/** Sentences in the order of `Topic`; not yet made harmless for terminals or pages. */
export function explainRow(row: TraceRow, layout: TraceLayout, ascii = false): SpanSentence[] {
  const of = (key: string): string => attributeText(row.span.attributes, key) ?? '';
  const sentences: SpanSentence[] = [];
  const say = (topic: Topic, text: string): void => {
    if (text !== '') sentences.push({ topic, text });
  };
  say('routed', routed(row, of));
  say('sent to', sentTo(of));
  say('proved', proved(row, of));
  say('judged', judged(of));
  say('tried again', triedAgain(row, layout, of));
  say('failed', failed(row, layout, of));
  say('joined', joined(row, of('tracecar.join')));
  say('sampled', sampledWords.get(of('tracecar.sampled_by')) ?? '');
  say('time', timeWords(row, ascii));
  return sentences;
}

type Reader = (key: string) => string;

function routed(row: TraceRow, of: Reader): string {
  const route = of('tracecar.route');
  const generation = of('tracecar.generation');
  const table = generation === '' ? '' : ` Routing table ${generation}.`;
  const subset = of('tracecar.subset');
  const weight = of('tracecar.weight');
  if (route === '') {
    const destination = of('tracecar.original_destination');
    if (destination === '' || of('tracecar.direction') !== 'outbound') return '';
    const isOut = denials.has(of('tracecar.cause'));
    const where = isOut ? `it was going to ${destination}` : `it went on to ${destination}`;
    return `No rule was about it: ${where}${isOut ? '' : ', where it was going'}.${table}`;
  }
  const origin = of('tracecar.rule.origin');
  const at = origin === '' ? '' : ` (${origin})`;
  const rule = `Rule ${of('tracecar.rule') || '0'} of route ${route}${at}`;
  if (subset === '') return `${rule} matched.${table}`;
  const chosen = weight === '' ? '' : `, which has weight ${weight}`;
  const verb = row.span.kind === SpanKind.Server ? 'matched; this is subset' : 'chose subset';
  return `${rule} ${verb} ${subset}${chosen}.${table}`;
}

function sentTo(of: Reader): string {
  const endpoint = of('tracecar.endpoint');
  const cluster = of('tracecar.cluster');
  if (cluster === '') return '';
  const candidates = Number(of('tracecar.lb.candidates') || Number.NaN);
  const policy = of('tracecar.lb.policy');
  const among = Number.isFinite(candidates)
    ? `, ${candidates === 1 ? 'the only one' : `one of ${candidates} by ${policy || 'choice'}`}`
    : '';
  const pool = poolName(cluster);
  if (endpoint === '') return `No endpoint of ${pool} was chosen.`;
  const reused = of('tracecar.conn.reused');
  const requests = of('tracecar.conn.requests');
  const connection =
    reused === 'true'
      ? ` The connection was kept from before${requests === '' ? '' : ` (request ${requests} on it)`}.`
      : reused === 'false'
        ? ' A new connection was opened.'
        : '';
  return `Endpoint ${endpoint} of ${pool}${among}.${connection}`;
}

/** `reviews.default.svc.cluster.local:9080` of `outbound|9080|v2|reviews.default...`. */
function poolName(cluster: string): string {
  const [, port, , host] = cluster.split('|');
  return host && port ? `${host}:${port}` : cluster;
}

/** Who the other end is by its certificate, which the sidecar verified before a byte was passed on. */
function proved({ span }: TraceRow, of: Reader): string {
  const identity = of('tracecar.peer.identity');
  if (identity === '') return '';
  const who = span.kind === SpanKind.Client ? 'endpoint' : 'caller';
  const version = of('tls.protocol.version');
  const expected = of('tracecar.peer.expected');
  const instead = expected === '' ? '' : `, and had to be ${expected}`;
  return `The ${who} proved to be ${identity}${version === '' ? '' : ` (TLS ${version})`}${instead}.`;
}

/** What policies say that did not keep it out; who did is told with the failure. */
function judged(of: Reader): string {
  const [would, audit] = [of('tracecar.policy.would'), of('tracecar.policy.audit')];
  const origin = of('tracecar.policy.origin');
  const where = origin === '' ? '' : ` (${origin})`;
  // Where there are two, the place is of the one that says more.
  const isAlone = would === '' && of('tracecar.policy') === '';
  const asked =
    audit === '' ? '' : `Policy ${audit}${isAlone ? where : ''} asks for an audit of it.`;
  if (would === '') return asked;
  return `Policy ${would}${where}, a dry run, would have denied it. ${asked}`.trimEnd();
}

/** A try after the first says what the one before it met. */
function triedAgain({ span, parent }: TraceRow, { rows }: TraceLayout, of: Reader): string {
  const resends = Number(of('http.request.resend_count') || 0);
  if (!(resends > 0)) return '';
  const before = rows.find((row) => {
    if (row.parent !== parent || row.span.kind !== span.kind || row.span === span) return false;
    const count = Number(attributeText(row.span.attributes, 'http.request.resend_count') ?? 0);
    return count === resends - 1 && row.span.startNs <= span.startNs;
  });
  const reason = of('tracecar.attempt.reason') || (before === undefined ? '' : wordOf(before));
  const sentence = sentenceOf(reason);
  const why = reason === '' ? 'failed' : `met ${reason}`;
  return `Try ${resends + 1}: the one before ${why}.${sentence === '' ? '' : ` ${sentence}`}`;
}

/** What the closed table of failures says of a cause; empty for a word that is not in it. */
function sentenceOf(cause: string): string {
  return failureOf(cause)?.sentence ?? '';
}

function wordOf({ span }: TraceRow): string {
  const of = (key: string): string => attributeText(span.attributes, key) ?? '';
  return of('tracecar.cause') || of('error.type') || of('http.response.status_code');
}

function failed(row: TraceRow, layout: TraceLayout, of: Reader): string {
  const { span, isError } = row;
  const cause = of('tracecar.cause');
  const message = span.statusMessage === '' ? '' : ` "${span.statusMessage}"`;
  if (cause !== '') {
    const verb = denials.has(cause) ? 'Denied' : 'Cause';
    const sentence = sentenceOf(cause);
    const detail = of('tracecar.detail');
    const about = detail === '' ? '' : ` (${detail})`;
    return `${verb}: ${cause}${policyWords(of)}.${sentence === '' ? '' : ` ${sentence}`}${about}${message}`;
  }
  if (!isError) return '';
  const status = of('http.response.status_code');
  if (status !== '') return `${whoAnswered(row, layout, status)}${message}`;
  const type = of('error.type');
  return type === '' ? `It is marked as an error.${message}` : `Error of type ${type}.${message}`;
}

/** By which resource somebody was kept out. */
function policyWords(of: Reader): string {
  const policy = of('tracecar.policy');
  const origin = of('tracecar.policy.origin');
  if (policy === '') return '';
  const isForLack = of('tracecar.policy.reason') === 'none-allows';
  const by = isForLack
    ? `, for no ALLOW policy lets it in: ${policy} could have`
    : `, by ${policy}`;
  return `${by}${origin === '' ? '' : ` (${origin})`}`;
}

/** Causes by which somebody is kept out, and not something missing. */
const denials: ReadonlySet<string> = new Set<Cause>([
  'egress-denied',
  'no-identity',
  'denied',
  'policy-unsupported',
]);

/**
 * Whose answer an error is. The application's own it is only where its sidecar passed it on without a
 * cause of its own, and nothing below failed.
 */
function whoAnswered(row: TraceRow, layout: TraceLayout, status: string): string {
  const isCall = row.span.kind === SpanKind.Client;
  const answered = `${isCall ? 'The callee' : 'It'} answered ${status}`;
  const server = isCall ? calleeOf(row, layout) : row;
  const cause = server === undefined ? '' : causeOf(server.span);
  if (cause !== '') {
    return hasReachedApplication(cause)
      ? `${answered}; its sidecar says why: ${cause}.`
      : `${answered}: its sidecar did, not the application (${cause}).`;
  }
  const seen =
    server === undefined
      ? status
      : (attributeText(server.span.attributes, 'http.response.status_code') ?? 'no status');
  if (seen !== status) return `${answered}; its own span has ${seen}: it was changed on the way.`;
  const origin = lastErrorBelow(server ?? row, layout);
  if (origin !== undefined) {
    const end = statusOf(origin.span).replace(/^! /, '');
    const name = `${origin.span.service || '(no service)'} ${labelOf(origin.span)}`;
    return `${answered} after something below it had failed: ${name} (${end}).`;
  }
  if (server === undefined) {
    return `${answered}; it has no span in this trace, so whose answer it was is not known.`;
  }
  return isOfSidecar(server.span)
    ? `${answered}: it is the application's own answer.`
    : `${answered}; its span does not say why.`;
}

function calleeOf({ gap }: TraceRow, { rows }: TraceLayout): TraceRow | undefined {
  return gap === undefined ? undefined : rows[gap.server];
}

/** Where an error began, of the rows below; the last, for what came before may have been mended. */
function lastErrorBelow(row: TraceRow, { rows }: TraceLayout): TraceRow | undefined {
  const { index, below, isErrorOrigin } = row;
  if (isErrorOrigin) return undefined;
  for (let at = index + below; at > index; at--) {
    if (rows[at]!.isErrorOrigin) return rows[at];
  }
  return undefined;
}

function joined({ span }: TraceRow, join: string): string {
  if (span.kind !== SpanKind.Client || join === '') return '';
  if (join === 'preload') {
    return 'To the request that caused it by the propagation preload; the application did nothing.';
  }
  if (join === 'app')
    return 'To the request that caused it by the headers that the application sent.';
  if (join.startsWith('correlation:')) {
    const header = join.slice('correlation:'.length);
    return `To the one open request that came with the same ${header}.`;
  }
  if (join === 'gateway') return 'To the request that has come: a gateway passes it on.';
  return join === 'none'
    ? 'To nothing: no header said which request caused it, so it began a trace of its own.'
    : `By ${join}.`;
}

/** By the values of `tracecar.sampled_by`. */
const sampledWords: ReadonlyMap<string, string> = new Map([
  ['parent', 'The caller had decided: its traceparent said so.'],
  ['ratio', "The head sampler's ratio chose the trace where it began."],
  ['error', 'Kept because of an error, whatever the ratio said.'],
  ['slow', 'Kept because it was slower than the limit of its route.'],
  ['retry', 'Kept because a request was tried again.'],
  ['denied', 'Kept because a request was denied.'],
  ['retro', 'Recalled from history: another hop of the trace found a reason to keep it.'],
  ['debug', 'Kept because the caller asked with a debug token.'],
  ['cap', 'Not kept: more callers asked to be sampled than the limit allows.'],
]);

function gapWords(
  { gapNs, beforeNs, afterNs }: NetworkGap,
  callNs: number,
  took: (ns: number) => string,
): string {
  if (gapNs < 0) {
    return `The callee says it took ${took(gapNs)} longer than this call: it noted its end late, or clocks differ.`;
  }
  const words = `Network and waiting: ${took(gapNs)} (this call minus the callee's own time).`;
  if (beforeNs < 0) return `${words} The callee began before it was called: clocks differ.`;
  if (beforeNs > callNs) {
    return `${words} The callee began when the call was over: clocks differ, or it was late.`;
  }
  if (afterNs >= 0) return words;
  return `${words} The callee noted its end after the answer was here, or clocks differ.`;
}

function timeWords({ span, gap, pathNs, proxyNs }: TraceRow, ascii: boolean): string {
  const took = (ns: number): string => printDuration(Math.abs(ns), ascii);
  const words: string[] = [];
  if (pathNs > 0) {
    const share = printShare(pathNs / Math.max(1, span.durationNs));
    words.push(`On the critical path for ${took(pathNs)}, ${share} of its time.`);
  }
  if (gap !== undefined) words.push(gapWords(gap, span.durationNs, took));
  if (proxyNs !== undefined) {
    const share = printShare(proxyNs / Math.max(1, span.durationNs));
    words.push(`The sidecar itself took ${took(proxyNs)}, ${share}.`);
  }
  return words.join(' ');
}
