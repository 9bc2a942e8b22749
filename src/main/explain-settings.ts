/**
 * What `tracecar explain` is told by its flags: which trace, whom to ask, and how to print it.
 */

import { type Environment, type Flag, readFlags, UsageError } from './flags.ts';
import { type ShowSettings, showSettings } from './view-settings.ts';

export const explainFlags: readonly Flag[] = [
  {
    name: 'trace',
    value: 'ID',
    otherwise: '',
    help: 'the trace: 32 hex digits, as a response, a log line or the page has them',
    typedOnly: true,
  },
  {
    name: 'query',
    value: 'ADDR:PORT',
    otherwise: '127.0.0.1:16686',
    help: 'where to ask: a viewer, or Jaeger 2; also a URL',
  },
  {
    name: 'json',
    value: '',
    otherwise: '',
    help: 'one JSON object for tools instead of text',
    typedOnly: true,
  },
  {
    name: 'width',
    value: 'COLUMNS',
    otherwise: 'the terminal',
    help: 'columns of the text, 60 to 500',
    typedOnly: true,
  },
  {
    name: 'no-color',
    value: '',
    otherwise: '',
    help: 'no colors (so does NO_COLOR)',
    typedOnly: true,
  },
];

/** Reads flags and environment. Throws UsageError with one line about the first mistake. */
export function readExplainSettings(
  args: readonly string[],
  environment: Environment,
): ShowSettings {
  const given = readFlags(explainFlags, args, environment);
  const trace = given.values.get('trace')?.[0];
  if (trace === undefined) {
    throw new UsageError('--trace ID says which trace; `tracecar view` lists them on its page');
  }
  return showSettings(trace, given);
}
