/**
 * Header fields by whose value a call is tied to the request that caused it: those that applications pass
 * on without knowing of traces. In the order in which they are asked; a record has the place (joinField).
 */

const known: readonly string[] = [
  'x-request-id',
  'x-correlation-id',
  'x-amzn-trace-id',
  'sentry-trace',
  'x-datadog-trace-id',
];

/** How many are looked for in every request; those that are configured follow them. */
export const KNOWN_CORRELATION_FIELDS: number = known.length;

/** `configured`: lower-case names. */
export function correlationFieldsOf(configured: readonly string[]): readonly string[] {
  return [...known, ...configured.filter((name) => !known.includes(name))];
}
