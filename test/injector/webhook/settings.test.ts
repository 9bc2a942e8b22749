import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readInjectorSettings } from '../../../injector/settings.ts';

test('the image is all that has to be said', () => {
  const settings = readInjectorSettings(['--image', 'localhost/tracecar:test'], {});
  assert.deepEqual(settings.listen, { address: '0.0.0.0', port: 9_443 });
  assert.deepEqual(settings.health, { address: '0.0.0.0', port: 15_021 });
  assert.equal(settings.propagation, 'off');
  assert.equal(settings.imagePullPolicy, 'IfNotPresent');
  assert.equal(settings.otlpEndpoint, '', 'nobody is made to call a collector that is not there');
  assert.deepEqual(settings.names, ['tracecar-injector.tracecar-system.svc']);
  assert.equal(settings.leaveMs, 5_000);
});

test('the pod says its namespace, a flag wins, and more names come after the Service', () => {
  const env = { POD_NAMESPACE: 'mesh', TRACECAR_IMAGE: 'a' };
  assert.deepEqual(readInjectorSettings([], env).names, ['tracecar-injector.mesh.svc']);
  const typed = readInjectorSettings(
    ['--namespace', 'b', '--host', '10.99.0.1', '--host', 'x.y'],
    env,
  );
  assert.deepEqual(typed.names, ['tracecar-injector.b.svc', '10.99.0.1', 'x.y']);
});

test('what cannot be meant is refused by name', () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /needs --image REF/],
    [['--image', 'a b'], /--image is an image reference/],
    [['--image', 'a', '--propagation', 'java'], /--propagation is one of off, node/],
    [['--image', 'a', '--otlp-endpoint', 'view:4318'], /--otlp-endpoint is a URL such as/],
    [['--image', 'a', '--host', 'A_b'], /--host is a DNS name/],
    [['--image', 'a', '--namespace', 'A'], /--namespace is the name of a namespace/],
    [['--image', 'a', '--leave-seconds', '301'], /--leave-seconds is 0 to 300/],
    [['--image', 'a', '--image-pull-policy', 'Sometimes'], /--image-pull-policy is one of/],
    [['--imagee', 'a'], /did you mean --image\?/],
  ];
  for (const [args, said] of cases) {
    assert.throws(() => readInjectorSettings(args, {}), said, args.join(' '));
  }
});
