/**
 * Flags of tracing: what each becomes, and that a wrong value is one line that shows a right one.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/main/flags.ts';
import { readProxySettings } from '../../src/main/proxy-settings.ts';
import { tracingFlags } from '../../src/main/tracing-flags.ts';
import { type TracingChoices, usualChoices } from '../../src/telemetry/settings/tracing-choices.ts';

function read(args: readonly string[], environment: Record<string, string> = {}): TracingChoices {
  return readProxySettings(['--config=dir', ...args], environment).tracing;
}

test('without flags every choice is the usual one', () => {
  assert.deepEqual(read([]), usualChoices);
});

test('each flag sets what it names', () => {
  const choices = read([
    ...['--spans=server', '--keep-errors=5', '--keep-slow=0', '--slow-ms=250.5', '--keep=4xx'],
    ...['--history=512k', '--peer=10.1.0.0/16', '--peer=fd00::1', '--edge=link'],
    ...['--edge-response-header=trace', '--debug-token=0123456789abcdef'],
    ...['--correlation-headers=X-Order-Id, x-order-id,x-job', '--untraced-path=/healthz'],
    ...['--untraced-path=/metrics', '--zone=eu-west-1a'],
  ]);
  assert.deepEqual(choices, {
    keep: {
      errorsPerSecond: 5,
      slowPerSecond: 0,
      slowUs: 250_500,
      keeps4xx: true,
      historyBytes: 512 * 1024,
    },
    spans: 'server',
    edge: 'link',
    edgeResponseHeader: 'trace',
    peers: ['10.1.0.0/16', 'fd00::1/128'],
    correlationHeaders: ['x-order-id', 'x-job'],
    untracedPaths: ['/healthz', '/metrics'],
    debugToken: '0123456789abcdef',
    zone: 'eu-west-1a',
  });
});

test('each flag is a variable too, lists with commas, so that IPv6 ranges fit in', () => {
  const environment = {
    TRACECAR_SPANS: 'client',
    TRACECAR_PEER: '10.0.0.0/8,fc00::/7',
    TRACECAR_UNTRACED_PATH: '/a:b,/c',
    TRACECAR_HISTORY: '0',
  };
  const choices = read([], environment);
  assert.equal(choices.spans, 'client');
  assert.deepEqual(choices.peers, ['10.0.0.0/8', 'fc00::/7']);
  assert.deepEqual(choices.untracedPaths, ['/a:b', '/c']);
  assert.equal(choices.keep.historyBytes, 0);
  assert.equal(read(['--spans=server'], environment).spans, 'server');
});

test('no peer is believed when it is none', () => {
  assert.deepEqual(read(['--peer=none']).peers, []);
});

test("the zone is the workload's label unless it is named", () => {
  const labels = '--labels=app=web,topology.kubernetes.io/zone=z1';
  assert.equal(read([labels]).zone, 'z1');
  assert.equal(read([labels, '--zone=z2']).zone, 'z2');
});

const wrong: readonly (readonly [args: readonly string[], expected: RegExp])[] = [
  [['--spans=none'], /--spans is one of both, server, client, not 'none'/],
  [['--keep-errors=-1'], /0 to 10000, not '-1'/],
  [['--keep-slow=1.5'], /0 to 10000, not '1.5'/],
  [['--slow-ms=0'], /such as 250, not '0'; --keep-slow 0 keeps none/],
  [['--slow-ms=250ms'], /such as 250, not '250ms'$/],
  [['--keep=404'], /one of 4xx/],
  [['--history=8'], /256k to 64m, not '8'; did you mean 8m\?/],
  [['--history=128m'], /256k to 64m/],
  [['--history=lots'], /256k to 64m/],
  [['--peer=sidecar.local'], /names are not looked up/],
  [['--peer=10.0.0.0/33'], /such as 10\.0\.0\.0\/8, or none/],
  [['--peer=0.0.0.0/0'], /every address: anybody/],
  [['--peer=none', '--peer=10.0.0.0/8'], /none stands alone/],
  [['--peer', Array.from({ length: 65 }, (_, at) => `10.0.${at}.0/24`).join()], /at most 64/],
  [['--edge=strip'], /--edge is one of honour, ignore, link/],
  [['--edge-response-header=trace'], /say what their traces mean too: --edge link/],
  [['--edge=link', '--edge-response-header=all'], /off, trace, traceparent/],
  [['--debug-token=s3cret'], /16 to 128 visible characters.*openssl/],
  [['--correlation-headers=x order'], /such as x-order-id, not 'x order'/],
  [['--correlation-headers=Cookie'], /cookie tells no two requests apart/],
  [['--correlation-headers=a,b,c,d,e,f,g,h,i'], /at most 8 names/],
  [['--untraced-path=healthz'], /such as \/healthz/],
  [['--untraced-path=/health*'], /without \* and \?/],
  [['--untraced-path=/'], /OTEL_TRACES_EXPORTER=none/],
  [['--untraced-path', Array.from({ length: 33 }, (_, at) => `/${at}`).join()], /at most 32/],
  [['--zone=eu west'], /such as eu-west-1a, not 'eu west'/],
];

for (const [args, expected] of wrong) {
  test(`${args.join(' ').slice(0, 60)} is one line that shows what is right`, () => {
    assert.throws(
      () => read(args),
      (error: Error) =>
        error instanceof UsageError &&
        expected.test(error.message) &&
        !error.message.includes('\n') &&
        error.message.startsWith('--'),
    );
  });
}

test('a token that is refused is not shown', () => {
  assert.throws(
    () => read(['--debug-token=s3cret']),
    (error: Error) => !error.message.includes('s3cret'),
  );
});

test('each flag has help of one line', () => {
  for (const { help, name } of tracingFlags) assert.match(help, /^[^\n]{20,140}$/, name);
});
