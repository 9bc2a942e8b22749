/**
 * Noted headers: the fields of messages that spans carry because somebody asked for them, as custom tags
 * of a Telemetry resource or as captured headers.
 *
 * What is noted is lines of `record.extra` (telemetry/record/record-extra.ts). Where nothing is asked for, which
 * is the usual case, there is no NotedHeaders and nothing is looked at.
 */

import type { CustomTag } from '../../model/routing-table.ts';
import { telemetryLimits } from '../../model/telemetry-limits.ts';
import type { CapturedHeaders } from '../../telemetry/settings/captured-headers.ts';
import type { MessageHead } from '../../wire/http1/message-head.ts';

export interface NotedHeaders {
  readonly request: readonly NotedField[];
  readonly response: readonly NotedField[];
}

interface NotedField {
  /** Lower-case. */
  readonly name: string;
  /** What a line begins with: `c2:`, `h0:`. */
  readonly prefix: string;
  /** Of several fields with the name only the first counts, as in Envoy. */
  readonly isSingle: boolean;
}

/** For one direction; undefined when no field is asked for. */
export function notedHeaders(
  tags: readonly CustomTag[],
  captured: CapturedHeaders | undefined,
): NotedHeaders | undefined {
  const ofTags = tags.flatMap((tag, index) =>
    tag.kind === 'header' ? [{ name: tag.header, prefix: `c${index}:`, isSingle: true }] : [],
  );
  const { request = [], response = [] } = captured ?? {};
  const capture = (names: readonly string[], from: number) =>
    names.map((name, index) => ({ name, prefix: `h${from + index}:`, isSingle: false }));
  const noted = {
    request: [...ofTags, ...capture(request, 0)],
    response: capture(response, request.length),
  };
  return noted.request.length + noted.response.length === 0 ? undefined : noted;
}

const { notedValueCharsMax: valueMax, notedCharsMax: allMax } = telemetryLimits;

/**
 * The lines behind those of `before`, joined by line feeds; `before` itself where the message has none of
 * the fields. Values are cut, and so is the number of lines: a record has room for about a kilobyte.
 */
export function noteFields(
  fields: readonly NotedField[],
  head: MessageHead,
  before: string,
): string {
  let lines = before;
  for (const { name, prefix, isSingle } of fields) {
    for (let index = 0; index < head.count; index++) {
      if (!head.isNamed(index, name)) continue;
      const line = prefix + head.value(index).slice(0, valueMax);
      if (lines.length + line.length >= allMax) return lines;
      lines = lines === '' ? line : `${lines}\n${line}`;
      if (isSingle) break;
    }
  }
  return lines;
}
