/**
 * What `tracecar run` decides before it makes anything. That it runs: test/e2e/namespaces/run.test.ts.
 */

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../../src/main/flags.ts';
import { whyNotRunnable } from '../../src/main/run-children.ts';
import { relayLocal } from '../../src/main/run-relay.ts';
import { resolverOf } from '../../src/main/run-resolver.ts';
import { readRunSettings } from '../../src/main/run-settings.ts';

test('what stands behind -- is the command, whatever it looks like', () => {
  const settings = readRunSettings(
    ['--config=a', '--config', 'b', '--quiet', '--', 'node', '--config', 'c', '--', '-x'],
    {},
  );
  assert.deepEqual(settings.command, ['node', '--config', 'c', '--', '-x']);
  assert.deepEqual(settings.config, ['a', 'b']);
  assert.equal(settings.isQuiet, true);
  for (const args of [[], ['--'], ['--', ''], ['node', 'app.js'], ['--config', '--', 'node']]) {
    assert.throws(() => readRunSettings(args, {}), UsageError);
  }
});

test('spans are named by the flag, else by the environment, the label app, the command', () => {
  const nameOf = (...args: string[]) =>
    readRunSettings([...args, '--', '/usr/bin/node'], {}).serviceName;
  assert.equal(nameOf('--service-name=shop', '--labels=app=web'), 'shop');
  assert.equal(nameOf('--labels=version=v1,app=web'), 'web');
  assert.equal(nameOf(), 'node');
  const named = (OTEL_SERVICE_NAME: string, ...args: string[]) =>
    readRunSettings([...args, '--', 'node'], { OTEL_SERVICE_NAME }).serviceName;
  assert.equal(named('of the shell', '--service-name=typed'), 'typed');
  assert.equal(named('of the shell', '--labels=app=web'), 'of the shell');
  assert.equal(named('', '--labels=app=web'), 'web');
});

test('an address that no machine can have alone is refused by its name', () => {
  const addressOf = (address: string) =>
    readRunSettings([`--address=${address}`, '--', 'x'], {}).address;
  for (const address of ['0.0.0.0', '127.0.0.1', '127.8.8.8', '224.0.0.1', '255.255.255.255']) {
    assert.throws(() => addressOf(address), {
      name: 'UsageError',
      message: new RegExp(`^--address ${address.replaceAll('.', '\\.')} .* as 10\\.7\\.7\\.2$`),
    });
  }
  for (const address of ['1.2.3.4', '10.7.7.2', '192.0.2.1', '223.255.255.1']) {
    assert.equal(addressOf(address), address);
  }
});

test('what is skipped is passed on as it came, from the environment too', () => {
  const { skipFlags } = readRunSettings(
    ['--skip-outbound-ports=5432,no', '--skip-inbound-ports', '22', '--', 'x'],
    { TRACECAR_SKIP_CIDR: '10.0.0.0/8' },
  );
  assert.deepEqual(skipFlags, [
    '--skip-inbound-ports=22',
    '--skip-outbound-ports=5432,no',
    '--skip-outbound-cidrs=10.0.0.0/8',
  ]);
});

const resolver = (own: string, real = '') =>
  resolverOf((path) => (path === '/etc/resolv.conf' ? own : real));

test("the machine's resolver will do when one of its servers can be reached", () => {
  assert.equal(resolver('nameserver 127.0.0.1\n  nameserver 10.0.0.2\n'), undefined);
  assert.equal(resolver('nameserver 2001:db8::53'), undefined);
});

test('a resolver on the loopback is replaced by the servers that it asks', () => {
  const real = '# systemd\nnameserver 10.0.0.2\nsearch lan\n';
  for (const own of ['nameserver 127.0.0.53\n', 'nameserver ::1\n', 'search lan\n', '']) {
    assert.equal(resolver(own, real), real);
    assert.throws(() => resolver(own), /every name server .* loopback/);
    assert.throws(() => resolver(own, 'nameserver 127.0.0.1'), /every name server/);
  }
});

test('a program that a shell would not start has the status of a shell', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-run-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [good, bad] = [join(folder, 'good'), join(folder, 'bad')];
  for (const each of [good, bad]) {
    mkdirSync(each);
    writeFileSync(join(each, 'program'), '#!/bin/sh\n');
  }
  mkdirSync(join(good, 'folder'));
  chmodSync(join(good, 'program'), 0o755);
  const path = `${bad}:${good}`;
  assert.equal(whyNotRunnable('program', path), undefined);
  assert.equal(whyNotRunnable(join(good, 'program'), ''), undefined);
  assert.equal(whyNotRunnable('program', bad)?.status, 126);
  assert.equal(whyNotRunnable(join(bad, 'program'), path)?.status, 126);
  assert.equal(whyNotRunnable('folder', path)?.status, 127);
  assert.deepEqual(whyNotRunnable('none', path), {
    problem: 'there is no program none',
    status: 127,
  });
});

test('the identity of a run is told to its sidecar, files by their whole path', () => {
  const flags = ['--identity', '127.0.0.1:15010', '--token', 'web.token'];
  const told = { TRACECAR_TRUST_BUNDLE: '-----BEGIN CERTIFICATE-----\nAAAA' };
  const { identity, identityFiles } = readRunSettings([...flags, '--', 'node'], told);
  assert.deepEqual(identity, {
    TRACECAR_IDENTITY: '127.0.0.1:15010',
    TRACECAR_TOKEN: resolve('web.token'),
    ...told,
  });
  assert.deepEqual(identityFiles, [{ flag: '--token', path: resolve('web.token') }]);
});

test('a collector on the loopback is reached through a relay, another one is left alone', async (t) => {
  const collector = createServer((request, response) => {
    response.end(`${request.headers.host} ${request.url}`);
  });
  await new Promise<void>((settle) => void collector.listen(0, '127.0.0.1', settle));
  t.after(() => collector.close());
  const { port } = collector.address() as AddressInfo;
  for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) {
    const environment = { [name]: `http://localhost:${port}/base` };
    const relay = await relayLocal(environment, '127.0.0.2');
    const url = relay.variables[name]!;
    assert.match(url, /^http:\/\/127\.0\.0\.2:\d+\/base$/);
    const answer = await fetch(url, { headers: { connection: 'close' } });
    assert.match(await answer.text(), /^127\.0\.0\.2:\d+ \/base$/);
    relay.close();
  }
  const far = await relayLocal({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://jaeger:4318' }, '::1');
  assert.deepEqual(far.variables, {});
});

test('an authority on the loopback is reached through a relay, another one is left alone', async (t) => {
  const authority = createServer((_request, response) => response.end('the authority'));
  await new Promise<void>((settle) => void authority.listen(0, '127.0.0.1', settle));
  t.after(() => authority.close());
  const { port } = authority.address() as AddressInfo;
  const far = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://jaeger:4318' };
  const relay = await relayLocal({ ...far, TRACECAR_IDENTITY: `localhost:${port}` }, '127.0.0.2');
  const at = relay.variables.TRACECAR_IDENTITY!;
  assert.match(at, /^127\.0\.0\.2:\d+$/);
  const answer = await fetch(`http://${at}`, { headers: { connection: 'close' } });
  assert.equal(await answer.text(), 'the authority');
  relay.close();
  for (const place of ['ca.example:15010', '10.0.0.7:15010', '15010']) {
    const { variables } = await relayLocal({ ...far, TRACECAR_IDENTITY: place }, '127.0.0.2');
    assert.deepEqual(variables, {}, place);
  }
});

test('each endpoint on the loopback has a relay, and what passes is not compressed', async (t) => {
  const named = async (environment: Record<string, string>) => {
    const relay = await relayLocal(environment, '127.0.0.1');
    t.after(() => relay.close());
    return Object.entries(relay.variables).map(([name, value]) =>
      name.replace('OTEL_EXPORTER_OTLP_', '').concat(value === 'none' ? '=none' : ''),
    );
  };
  const local = 'http://localhost:9';
  assert.deepEqual(await named({}), ['ENDPOINT', 'COMPRESSION=none']);
  assert.deepEqual(
    await named({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://far:4318',
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: local,
    }),
    ['METRICS_ENDPOINT', 'METRICS_COMPRESSION=none'],
  );
  assert.deepEqual(
    await named({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: local,
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
    }),
    ['TRACES_ENDPOINT'],
  );
});

test('a collector that is not there breaks the relayed connection off', async () => {
  const relay = await relayLocal(
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' },
    '127.0.0.1',
  );
  await assert.rejects(fetch(relay.variables.OTEL_EXPORTER_OTLP_ENDPOINT!));
  relay.close();
});
