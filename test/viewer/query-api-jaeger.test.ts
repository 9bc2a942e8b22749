/**
 * The shared cases against a real Jaeger 2, where one runs: addresses come by environment.
 *
 *   JAEGER_OTLP=http://127.0.0.1:4318 JAEGER_QUERY=http://127.0.0.1:16686 node --test THIS
 */

import { test } from 'node:test';
import { queryApiTests } from './query-api-cases.ts';

const { JAEGER_OTLP: otlp, JAEGER_QUERY: query } = process.env;

if (otlp !== undefined && query !== undefined) {
  queryApiTests(async () => ({ otlp, query }));
} else {
  test('a real Jaeger answers the same', (context) => {
    context.skip('JAEGER_OTLP and JAEGER_QUERY are not set; npm run peers builds a Jaeger');
  });
}
