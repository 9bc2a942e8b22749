/**
 * Which values of x-forwarded-client-cert are one, and of how many elements.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countClientCerts } from '../../src/wire/client-cert-field.ts';

const hash = 'a'.repeat(64);

const counts: readonly (readonly [string, number])[] = [
  // Envoy's documented examples.
  [`By=http://frontend.lyft.com;Hash=${hash};Subject="/C=US/ST=CA/CN=Test";URI=http://x`, 1],
  [`By=http://f.com;Hash=${hash};URI=http://a.com,By=http://b.com;Hash=${hash};URI=http://c`, 2],
  [`By=http://f.com;Hash=${hash};Subject="";URI=u;DNS=a.com;DNS=www.a.com`, 1],
  [`By=a;By=b;Hash=${hash};Cert="-----BEGIN%20CERTIFICATE-----%0Acert%0A";URI=c`, 1],
  ['By=;Hash=;URI=', 1],
  ['hash=0;SUBJECT="CN=a, O=\\"b;c\\" \\\\"', 1],
  ['Hash=0 , \tHash=1,Hash=2', 3],
  // What is none.
  ['', 0],
  ['Hash', 0],
  ['=', 0],
  ['Hash=0,', 0],
  [',Hash=0', 0],
  ['Hash=0,,Hash=1', 0],
  ['Hash=0;', 0],
  ['Hash=0;;URI=a', 0],
  ['Hash=0 URI=a', 0],
  ['Hash=0; URI=a', 0],
  ['Hash =0', 0],
  ['URI=a=b', 0],
  ['Issuer=a', 0],
  ['Hash=0;Hash=1', 0],
  ['Subject=a;subject=b', 0],
  ['Subject="a', 0],
  ['Subject="a\\"', 0],
  ['Subject="a"b', 0],
  ['Subject="a"",Hash=0', 0],
  ['Subject=a"b"', 0],
  ['URI=a\\,b', 0],
  ['Subject="a\x01"', 0],
  ['Subject="a\\\x01"', 0],
  ['URI=\xe9', 0],
  [`${'x'.repeat(10_000)}=a`, 0],
];

for (const [text, expected] of counts) {
  test(`${JSON.stringify(text.slice(0, 70))} has ${expected} elements`, () => {
    assert.equal(countClientCerts(text), expected);
  });
}
