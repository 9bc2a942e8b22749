/**
 * Flags, their environment variables, and the settings of the sidecar that they make.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Flag, readFlags, UsageError } from '../../src/main/flags.ts';
import { proxyFlags, readProxySettings } from '../../src/main/proxy-settings.ts';

const sample: readonly Flag[] = [
  { name: 'config', value: 'PATH', repeatable: true, otherwise: '', help: '' },
  { name: 'log-level', value: 'LEVEL', choices: ['info', 'warn'], otherwise: 'info', help: '' },
  { name: 'once', value: '', otherwise: '', help: '' },
  { name: 'output', value: 'FORM', otherwise: '', help: '', typedOnly: true },
];

function problem(args: readonly string[], environment: Record<string, string> = {}): string {
  try {
    readFlags(sample, args, environment);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error.message;
  }
  return assert.fail('no problem was found');
}

test('a value follows its flag or an equals sign, and a repeated flag keeps its order', () => {
  const { values } = readFlags(sample, ['--config', 'a', '--once', '--config=b'], {});
  assert.deepEqual(values.get('config'), ['a', 'b']);
  assert.deepEqual(values.get('once'), ['true']);
  assert.equal(values.get('log-level'), undefined);
});

test('the environment fills in what is not typed', () => {
  const environment = { TRACECAR_CONFIG: 'x:y', TRACECAR_LOG_LEVEL: 'warn', TRACECAR_OUTPUT: 'no' };
  const { values } = readFlags(sample, ['--log-level', 'info'], environment);
  assert.deepEqual(values.get('config'), ['x', 'y']);
  assert.deepEqual(values.get('log-level'), ['info']);
  assert.equal(values.get('output'), undefined);
  assert.equal(readFlags(sample, [], { TRACECAR_ONCE: '0' }).values.get('once'), undefined);
});

test('an unknown flag is named with the one that was meant', () => {
  assert.equal(problem(['--confg', 'x']), 'unknown flag --confg; did you mean --config?');
  assert.equal(problem(['--frobnicate']), 'unknown flag --frobnicate');
  assert.equal(problem(['-c']), 'unknown flag -c');
});

test('a flag without its value, twice, or with a wrong choice is a problem', () => {
  assert.equal(problem(['--config']), '--config needs a value: --config PATH');
  assert.equal(problem(['--config', '--once']), '--config needs a value: --config PATH');
  assert.equal(problem(['--config=']), '--config needs a value: --config PATH');
  assert.equal(problem(['--once=yes']), '--once takes no value');
  assert.equal(
    problem(['--log-level', 'warn', '--log-level', 'info']),
    '--log-level is given twice; it takes one value',
  );
  assert.equal(problem(['--log-level', 'loud']), "--log-level is one of info, warn, not 'loud'");
  assert.equal(
    problem([], { TRACECAR_LOG_LEVEL: 'loud' }),
    "TRACECAR_LOG_LEVEL is one of info, warn, not 'loud'",
  );
  assert.equal(
    problem([], { TRACECAR_ONCE: 'maybe' }),
    "TRACECAR_ONCE is true or false, not 'maybe'",
  );
  assert.equal(problem(['stray']), "unexpected argument 'stray'");
});

test('the sidecar listens beside traffic on the usual ports', () => {
  const settings = readProxySettings(['--config', 'dir'], {});
  assert.deepEqual(settings.config, ['dir']);
  assert.equal(settings.namespace, 'default');
  assert.deepEqual(settings.admin, { address: '127.0.0.1', port: 15_000 });
  assert.deepEqual(settings.health, { address: '0.0.0.0', port: 15_021 });
  assert.deepEqual(settings.metrics, { address: '0.0.0.0', port: 15_090 });
  assert.equal(settings.drainMs, 25_000);
  assert.equal(settings.recordRingBytes, 2_560 * 1024);
});

test('addresses, labels and sizes are read as they are written', () => {
  const settings = readProxySettings(
    [
      '--config=dir',
      '--labels=app=web, app.kubernetes.io/version=1.2,empty=',
      '--admin=[::1]:1',
      '--health=localhost:2',
      '--metrics=3',
      '--drain-seconds=0.5',
      '--record-ring=200K',
    ],
    {},
  );
  assert.deepEqual(
    { ...settings.labels },
    { app: 'web', 'app.kubernetes.io/version': '1.2', empty: '' },
  );
  assert.deepEqual(settings.admin, { address: '::1', port: 1 });
  assert.deepEqual(settings.health, { address: '127.0.0.1', port: 2 });
  assert.deepEqual(settings.metrics, { address: '0.0.0.0', port: 3 });
  assert.equal(settings.drainMs, 500);
  // The next power of two below.
  assert.equal(settings.recordRingBytes, 204_800);
});

test('every wrong value of the sidecar is one line that shows a right one', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['--admin=0.0.0.0:15000', /loopback; use 127\.0\.0\.1:15000/],
    ['--admin=:', /ADDR:PORT such as/],
    ['--health=127.0.0.1:99999', /ADDR:PORT such as/],
    ['--labels=web', /such as app=web/],
    ['--labels=app=w b', /such as app=web/],
    ['--drain-seconds=-1', /0 to 3600/],
    ['--drain-seconds=soon', /0 to 3600/],
    ['--record-ring=1k', /64k to 256m/],
    ['--namespace=Bad_Name', /lower-case/],
    ['--access-log=text', /off, json/],
    ['--control=host:15012', /unknown flag --control/],
    ['--capture=tproxy', /none, redirect/],
  ];
  for (const [flag, expected] of wrong) {
    assert.throws(
      () => readProxySettings(['--config=dir', flag], {}),
      (error: Error) =>
        error instanceof UsageError &&
        expected.test(error.message) &&
        !error.message.includes('\n'),
      flag,
    );
  }
  assert.throws(() => readProxySettings([], {}), /needs --config PATH/);
});

test('labels named like parts of an object are plain labels', () => {
  const { labels } = readProxySettings(['--config=dir', '--labels=__proto__=x,constructor=y'], {});
  assert.deepEqual(Object.keys(labels), ['__proto__', 'constructor']);
});

test('each flag of the sidecar has help, and names are unique', () => {
  assert.equal(new Set(proxyFlags.map(({ name }) => name)).size, proxyFlags.length);
  for (const flag of proxyFlags) assert.notEqual(flag.help, '', flag.name);
});
