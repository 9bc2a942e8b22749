/**
 * What the injector tells `tracecar proxy` through flags and the downward API.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/main/flags.ts';
import { readProxySettings } from '../../src/main/proxy-settings.ts';

const redirect = ['--capture', 'redirect'];

test('nothing is captured unless it is asked for, and then no file is needed', () => {
  assert.throws(() => readProxySettings([], {}), /needs --config PATH/);
  const plain = readProxySettings(['--config=x'], {});
  assert.equal(plain.capture, 'none');
  const captured = readProxySettings(redirect, {});
  assert.deepEqual(captured.config, []);
  assert.deepEqual(captured.capturePorts, { inbound: 15_006, outbound: 15_001 });
  assert.deepEqual(captured.probes, []);
  assert.equal(captured.drainSecret, '');
});

test('the downward API names the pod, and what is typed wins', () => {
  const pod = { POD_NAMESPACE: 'shop', POD_IPS: '10.1.2.3, fd00::3', TRACECAR_DRAIN_SECRET: 's' };
  const settings = readProxySettings([...redirect, '--inbound=1', '--outbound=2'], pod);
  assert.equal(settings.namespace, 'shop');
  assert.deepEqual(settings.podAddresses, ['10.1.2.3', 'fd00::3']);
  assert.deepEqual(settings.capturePorts, { inbound: 1, outbound: 2 });
  assert.equal(settings.drainSecret, 's');
  assert.equal(readProxySettings([...redirect, '--namespace=mine'], pod).namespace, 'mine');
});

test('metrics are merged where the application has a page, and never with their own', () => {
  assert.equal(readProxySettings(redirect, {}).merged, undefined);
  const pod = { POD_IPS: 'fd00::3', TRACECAR_APP_METRICS: '8080/stats?x' };
  const page = { port: 8_080, path: '/stats?x' };
  const at = { address: '::', port: 15_020 };
  assert.deepEqual(readProxySettings(redirect, pod).merged, { at, page });
  for (const wrong of ['8080', 'http://x/', '15020/metrics']) {
    const read = () => readProxySettings([...redirect, `--app-metrics=${wrong}`], {});
    assert.throws(read, UsageError, wrong);
  }
});

test('a pod with IPv6 is asked for its health over both families', () => {
  const addressOf = (args: string[], POD_IPS: string) =>
    readProxySettings([...redirect, ...args], { POD_IPS }).health;
  assert.deepEqual(addressOf([], 'fd00::3'), { address: '::', port: 15_021 });
  assert.deepEqual(addressOf([], '10.1.2.3'), { address: '0.0.0.0', port: 15_021 });
  assert.deepEqual(addressOf(['--health=127.0.0.1:1'], 'fd00::3'), {
    address: '127.0.0.1',
    port: 1,
  });
});

test('what makes no sense is one line that names it', () => {
  const mistakes: readonly (readonly [string[], Record<string, string>, RegExp])[] = [
    [['--capture=tproxy'], {}, /--capture is one of none, redirect/],
    [[...redirect, '--inbound=0'], {}, /--inbound is a port/],
    [[...redirect, '--outbound=x'], {}, /--outbound is a port/],
    [redirect, { POD_IPS: '10.0.0.1,me' }, /POD_IPS holds 'me'/],
    [redirect, { TRACECAR_PROBES: '[' }, /TRACECAR_PROBES is not JSON/],
  ];
  for (const [args, environment, expected] of mistakes) {
    assert.throws(
      () => readProxySettings(args, environment),
      (error) => error instanceof UsageError && expected.test(error.message),
    );
  }
});
