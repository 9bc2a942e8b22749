/**
 * Telemetry: the fields of telemetry.istio.io that say how traces are sampled and what spans carry.
 *
 * Implemented: `selector`, and of `tracing` the share of new traces, whether spans are reported, and
 * custom tags. Where spans go is said by OTEL_* variables, so `providers` is left alone with a warning;
 * metrics and access logs are not chosen here, and every other field of Istio's type is refused by name.
 */

import { configLimits } from '../../model/limits.ts';
import type { CustomTag } from '../../model/routing-table.ts';
import { secretFields } from '../../telemetry/settings/captured-headers.ts';
import { spanKeys } from '../../telemetry/span/span-keys.ts';
import type { Place } from '../syntax/complaints.ts';
import type { Cursor } from '../syntax/cursor.ts';
import {
  anyList,
  checked,
  checkedText,
  choice,
  complainOfType,
  type Entry,
  flag,
  mapping,
  needed,
  optional,
  type Reader,
  record,
  text,
} from '../syntax/schema.ts';
import { checkHeaderName } from './header-rules.ts';
import { labels } from './values.ts';

/** A number from 0 to 100, as a share from 0 to 1. */
const percentage: Reader<number> = (cursor) => {
  const value = cursor.scalar();
  if (typeof value !== 'number') return complainOfType(cursor, 'a number');
  if (value >= 0 && value <= 100) return value / 100;
  const message = `A percentage cannot be ${cursor.written()}`;
  return cursor.complain('bad-percentage', message, 'Write a number from 0 to 100, as 12.5.');
};

const tagText = checkedText((written, cursor) => {
  const { customTagLengthMax: most } = configLimits;
  if (written !== '' && written.length <= most) return written;
  const message =
    written === '' ? 'The value is empty' : `The value has ${written.length} characters`;
  return cursor.complain('bad-tag', message, `Write 1 to ${most} characters.`);
});

/** Of the variables that the sidecar reads itself. */
const secretVariables = /^(?:TRACECAR_.*(?:SECRET|TOKEN).*|OTEL_EXPORTER_OTLP_.*HEADERS)$/;

const variableName = checkedText((written, cursor) => {
  if (secretVariables.test(written)) {
    const message = `\`${written}\` holds a secret, and more people read traces than may have it`;
    return cursor.complain('bad-tag', message, 'Name another variable.');
  }
  if (/^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(written)) return written;
  const message = `\`${written}\` is not the name of a variable`;
  return cursor.complain('bad-tag', message, 'Write the name alone, as `POD_NAME`, without `$`.');
});

const headerName = checkedText((written, cursor) => {
  if (!checkHeaderName(written, cursor.at, cursor)) return undefined;
  const name = written.toLowerCase();
  if (!secretFields.includes(name)) return name;
  const message = `\`${written}\` carries secrets, and more people read traces than may have them`;
  return cursor.complain('bad-tag', message, 'Name another header.');
});

const tagSources = ['literal', 'environment', 'header'] as const;

const customTagRecord = record(
  {
    literal: optional(record({ value: needed(tagText) })),
    environment: optional(record({ name: needed(variableName), defaultValue: optional(text) })),
    header: optional(record({ name: needed(headerName), defaultValue: optional(text) })),
  },
  { formatter: "Envoy's format strings" },
);

const customTag = checked(customTagRecord, ({ offsets }, cursor) => {
  const set = tagSources.filter((each) => each in offsets);
  if (set.length === 1 || 'formatter' in offsets) return;
  const message =
    set.length === 0 ? 'The tag has no value' : `\`${set.join('` and `')}\` exclude each other`;
  cursor.complain('one-of', message, 'Write one of `literal`, `environment` and `header`.');
});

function checkTagName(name: string, at: Place, cursor: Cursor): boolean {
  const complain = (message: string, fix: string) => {
    cursor.reading.complaints.add('bad-tag', at, message, fix);
    return false;
  };
  if (Object.hasOwn(spanKeys, name)) {
    const fix = `Give it another name, as \`custom.${name}\`.`;
    return complain(`\`${name}\` is an attribute that Tracecar writes itself`, fix);
  }
  if (/^[\x21-\x7e]{1,128}$/.test(name)) return true;
  const fix = 'Write 1 to 128 visible characters, as `shop.tenant`.';
  return complain(`${JSON.stringify(name.slice(0, 60))} is not the name of a tag`, fix);
}

const customTags: Reader<readonly CustomTag[]> = (cursor) => {
  const entries = mapping(customTag, checkTagName)(cursor);
  if (entries === undefined) return undefined;
  const { customTagsMax: most } = configLimits;
  if (entries.length > most) {
    const message = `There are ${entries.length} custom tags, and at most ${most} can be`;
    cursor.complain('bad-tag', message, 'Remove the ones that nobody looks for.');
  }
  return entries.slice(0, most).flatMap(tagOf);
};

function tagOf({ key: name, value }: Entry<NonNullable<ReturnType<typeof customTagRecord>>>) {
  const { literal, environment, header } = value;
  const otherwise = (environment ?? header)?.defaultValue ?? '';
  const tags: CustomTag[] = [];
  if (literal !== undefined) tags.push({ kind: 'literal', name, value: literal.value });
  else if (environment !== undefined) {
    tags.push({ kind: 'environment', name, variable: environment.name, otherwise });
  } else if (header !== undefined) {
    tags.push({ kind: 'header', name, header: header.name, otherwise });
  }
  return tags;
}

const tracingRecord = record(
  {
    match: optional(
      record({
        mode: optional(
          choice<'both' | 'inbound' | 'outbound'>({
            CLIENT_AND_SERVER: 'both',
            CLIENT: 'outbound',
            SERVER: 'inbound',
          }),
        ),
      }),
    ),
    providers: optional(anyList(record({ name: needed(text) }))),
    randomSamplingPercentage: optional(percentage),
    disableSpanReporting: optional(flag),
    customTags: optional(customTags),
    useRequestIdForTraceSampling: optional(flag),
    enableIstioTags: optional(flag),
  },
  { disableContextPropagation: 'traces that end here: OTEL_PROPAGATORS=none' },
);

const tracing = checked(tracingRecord, (spec, cursor) => {
  const warn = (field: string, message: string, fix: string) => {
    const place = { ...spec.at, path: `${spec.at.path}.${field}`, offset: spec.offsets[field]! };
    cursor.reading.complaints.add('field-ignored', place, message, fix);
  };
  if (spec.providers !== undefined) {
    const message = '`providers` has no effect: OTEL_EXPORTER_OTLP_ENDPOINT says where spans go';
    warn('providers', message, 'Remove it, or leave it for Istio.');
  }
  if (spec.useRequestIdForTraceSampling === true) {
    const message = '`useRequestIdForTraceSampling` has no effect: the trace id decides';
    warn('useRequestIdForTraceSampling', message, 'Remove it, or leave it for Istio.');
  }
  if (spec.enableIstioTags === true) {
    const message = '`enableIstioTags` has no effect: spans have attributes of OpenTelemetry';
    warn('enableIstioTags', message, 'Remove it, or leave it for Istio.');
  }
});

export const telemetrySpec = record(
  {
    selector: optional(record({ matchLabels: optional(labels) })),
    tracing: optional(anyList(tracing)),
  },
  {
    targetRef: 'gateways and waypoints',
    targetRefs: 'gateways and waypoints',
    metrics: 'all metrics are there at all times, on the metrics port',
    accessLogging: '--access-log json switches it on',
  },
);

export type TelemetrySpec = NonNullable<ReturnType<typeof telemetrySpec>>;
export type TracingEntry = NonNullable<TelemetrySpec['tracing']>[number];
