/**
 * What must not leave the process of a request's query: values of credentials, however their names are
 * written.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExchangeRecord } from '../../src/telemetry/record/exchange-record.ts';
import { RecordSpan } from '../../src/telemetry/span/record-span.ts';
import { inbound, outbound } from './records.ts';
import { surroundings } from './surroundings.ts';

const around = surroundings();
const attributesOf = (record: ExchangeRecord) => new RecordSpan(record, around).attributes;

for (const name of [
  'X-Amz-Signature',
  'X-Amz-Credential',
  'X-Amz-Security-Token',
  'AWSAccessKeyId',
  'Signature',
  'sig',
  'X-Goog-Signature',
]) {
  test(`the value of ${name} is redacted, its neighbours are not`, () => {
    const record = inbound({ target: `/p?a=1&${name}=se=cret&${name.toLowerCase()}x=2` });
    const query = attributesOf(record)['url.query'];
    assert.equal(query, `a=1&${name}=REDACTED&${name.toLowerCase()}x=2`);
  });
}

for (const [query, redacted] of [
  ['SIG=S', 'SIG=REDACTED'],
  ['%73ig=S&a=1', '%73ig=REDACTED&a=1'],
  ['s%49%67=S', 's%49%67=REDACTED'],
  ['x-amz%2dsignature=S', 'x-amz%2dsignature=REDACTED'],
  ['?sig=S', '?sig=REDACTED'],
  ['a=1;sig=S', 'a=1;sig=REDACTED'],
  ['a=1;b=2;sig=S;T&c=3', 'a=1;b=2;sig=REDACTED&c=3'],
  ['a&amp;sig=S', 'a&amp;sig=REDACTED'],
  ['to=http://b/?Signature=S', 'to=http://b/?Signature=REDACTED'],
  ['sig', 'sig'],
  ['sig%=1&=2&%zz=3;;?&signatures=4', 'sig%=1&=2&%zz=3;;?&signatures=4'],
] as const) {
  test(`of the query ${query} a span says ${redacted}`, () => {
    assert.equal(attributesOf(inbound({ target: `/p?${query}` }))['url.query'], redacted);
    const { 'url.full': url } = attributesOf(outbound({ target: `/p?${query}` }));
    assert.ok(String(url).endsWith(`/p?${redacted}`), String(url));
  });
}
