/**
 * What the webhook needs to tell about its own work as spans, without knowing who writes them.
 *
 * spans.ts does it by OpenTelemetry's SDK and is loaded only when traces are asked for; `noTracer`
 * stands in its place otherwise. A tracer never throws and never waits.
 */

import type { IncomingHttpHeaders } from 'node:http';

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

export interface WebhookSpan {
  /** Runs `work` inside a child span; what it throws is noted on the child and passed on. */
  child<Result>(name: string, work: () => Result): Result;
  add(attributes: SpanAttributes): void;
  /** `status` is the HTTP status of the answer; 500 and above is an error of ours. */
  end(status: number): void;
}

export interface WebhookTracer {
  /** The SERVER span of one request, `POST /inject/pods`, under the parent that `headers` name. */
  begin(name: string, headers: IncomingHttpHeaders, attributes: SpanAttributes): WebhookSpan;
  /** Sends what is held back; at most a few seconds. */
  close(): Promise<void>;
}

const noSpan: WebhookSpan = {
  child: (_name, work) => work(),
  add() {},
  end() {},
};

export const noTracer: WebhookTracer = {
  begin: () => noSpan,
  close: async () => {},
};
