/**
 * OTLP's messages in protobuf: read into the shapes that they have in JSON, and its small answers.
 *
 * So there is one decoder behind both (otlp-decode.ts, metric-decode.ts). Field numbers are those of
 * opentelemetry-proto 1.9; what is not used (entity references, exponential histograms, summaries) is
 * skipped as unknown.
 */

import {
  type Field,
  FieldKind,
  type Message,
  type ProtobufLimits,
  readProtobuf,
} from './protobuf-reader.ts';

const { Text, Hex, Base64, Uint32, Int64, Bool, Fixed32, Fixed64, Sfixed64, Double } = FieldKind;

type Row = readonly [number: number, name: string, kind: number | Message, isRepeated?: true];

function message(...rows: readonly Row[]): Message {
  const fields: Message = [];
  for (const [number, name, kind, isRepeated] of rows) {
    const field: Field =
      typeof kind === 'number'
        ? { name, kind, isRepeated: isRepeated ?? false, message: undefined }
        : { name, kind: FieldKind.Message, isRepeated: isRepeated ?? false, message: kind };
    fields[number] = field;
  }
  return fields;
}

const anyValue = message(
  [1, 'stringValue', Text],
  [2, 'boolValue', Bool],
  [3, 'intValue', Int64],
  [4, 'doubleValue', Double],
  [7, 'bytesValue', Base64],
);
const keyValue = message([1, 'key', Text], [2, 'value', anyValue]);
// These two contain themselves.
anyValue[5] = messageField('arrayValue', message([1, 'values', anyValue, true]));
anyValue[6] = messageField('kvlistValue', message([1, 'values', keyValue, true]));

function messageField(name: string, of: Message): Field {
  return { name, kind: FieldKind.Message, isRepeated: false, message: of };
}

const resource = message([1, 'attributes', keyValue, true], [2, 'droppedAttributesCount', Uint32]);
const scope = message(
  [1, 'name', Text],
  [2, 'version', Text],
  [3, 'attributes', keyValue, true],
  [4, 'droppedAttributesCount', Uint32],
);
const event = message(
  [1, 'timeUnixNano', Fixed64],
  [2, 'name', Text],
  [3, 'attributes', keyValue, true],
  [4, 'droppedAttributesCount', Uint32],
);
const link = message(
  [1, 'traceId', Hex],
  [2, 'spanId', Hex],
  [3, 'traceState', Text],
  [4, 'attributes', keyValue, true],
  [5, 'droppedAttributesCount', Uint32],
  [6, 'flags', Fixed32],
);
const span = message(
  [1, 'traceId', Hex],
  [2, 'spanId', Hex],
  [3, 'traceState', Text],
  [4, 'parentSpanId', Hex],
  [5, 'name', Text],
  [6, 'kind', Uint32],
  [7, 'startTimeUnixNano', Fixed64],
  [8, 'endTimeUnixNano', Fixed64],
  [9, 'attributes', keyValue, true],
  [10, 'droppedAttributesCount', Uint32],
  [11, 'events', event, true],
  [12, 'droppedEventsCount', Uint32],
  [13, 'links', link, true],
  [14, 'droppedLinksCount', Uint32],
  [15, 'status', message([2, 'message', Text], [3, 'code', Uint32])],
  [16, 'flags', Fixed32],
);
const scopeSpans = message([1, 'scope', scope], [2, 'spans', span, true], [3, 'schemaUrl', Text]);
const resourceSpans = message(
  [1, 'resource', resource],
  [2, 'scopeSpans', scopeSpans, true],
  [3, 'schemaUrl', Text],
);
const traces = message([1, 'resourceSpans', resourceSpans, true]);

/** The body of an ExportTraceServiceRequest as JSON has it. Throws MalformedProtobuf. */
export function readTraces(bytes: Buffer, limits: ProtobufLimits): unknown {
  return readProtobuf(bytes, traces, limits);
}

const exemplar = message(
  [2, 'timeUnixNano', Fixed64],
  [3, 'asDouble', Double],
  [4, 'spanId', Hex],
  [5, 'traceId', Hex],
);
const numberPoint = message(
  [2, 'startTimeUnixNano', Fixed64],
  [3, 'timeUnixNano', Fixed64],
  [4, 'asDouble', Double],
  [6, 'asInt', Sfixed64],
  [7, 'attributes', keyValue, true],
);
const histogramPoint = message(
  [2, 'startTimeUnixNano', Fixed64],
  [3, 'timeUnixNano', Fixed64],
  [4, 'count', Fixed64],
  [5, 'sum', Double],
  [6, 'bucketCounts', Fixed64, true],
  [7, 'explicitBounds', Double, true],
  [8, 'exemplars', exemplar, true],
  [9, 'attributes', keyValue, true],
);
const metric = message(
  [1, 'name', Text],
  [3, 'unit', Text],
  [
    7,
    'sum',
    message(
      [1, 'dataPoints', numberPoint, true],
      [2, 'aggregationTemporality', Uint32],
      [3, 'isMonotonic', Bool],
    ),
  ],
  [
    9,
    'histogram',
    message([1, 'dataPoints', histogramPoint, true], [2, 'aggregationTemporality', Uint32]),
  ],
);
const scopeMetrics = message([2, 'metrics', metric, true]);
const resourceMetrics = message([1, 'resource', resource], [2, 'scopeMetrics', scopeMetrics, true]);
const metrics = message([1, 'resourceMetrics', resourceMetrics, true]);

/** The body of an ExportMetricsServiceRequest as JSON has it. Throws MalformedProtobuf. */
export function readMetrics(bytes: Buffer, limits: ProtobufLimits): unknown {
  return readProtobuf(bytes, metrics, limits);
}

/** Export...ServiceResponse: empty, or a partial success with what was rejected and why. */
export function printExportAnswer(rejected: number, reason: string): Buffer {
  if (rejected === 0) return Buffer.alloc(0);
  const inner = Buffer.concat([printVarint(0x08), printVarint(rejected), printText(0x12, reason)]);
  return Buffer.concat([printVarint(0x0a), printVarint(inner.length), inner]);
}

/** google.rpc.Status. */
export function printStatus(code: number, text: string): Buffer {
  return Buffer.concat([printVarint(0x08), printVarint(code), printText(0x12, text)]);
}

function printText(tag: number, text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([printVarint(tag), printVarint(bytes.length), bytes]);
}

/** A whole number from 0 to 2^53. */
function printVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
