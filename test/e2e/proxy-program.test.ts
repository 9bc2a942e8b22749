/**
 * `tracecar proxy` as a program: how it starts, what it refuses, how it ends.
 */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePorts } from '../../bench/stage/free-ports.ts';
import { CertificateAuthority } from '../support/certificates.ts';
import {
  anyPorts,
  application,
  failToStart,
  get,
  getUntil,
  type LogLine,
  sidecarYaml,
  startSidecar,
  temporaryFolder,
  writeConfig,
} from './sidecar-process.ts';

const oneLine = (lines: readonly string[]) => {
  assert.equal(lines.length, 1, lines.join('\n'));
  return lines[0]!;
};

test('a request goes through to the application, and the ports beside traffic answer', async (t) => {
  const port = await application(t, (incoming, response) => response.end(`hello ${incoming.url}`));
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder, ['--access-log=off']);

  const { status, body } = await get(`127.0.0.1:${inbound}`, '/x?y=1');
  assert.equal(status, 200);
  assert.equal(body, 'hello /x?y=1');

  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
  assert.equal((await get(sidecar.health, '/healthz/live')).status, 200);
  const config = JSON.parse((await get(sidecar.admin, '/config')).body);
  assert.equal(config.generation, 1);
  assert.deepEqual(config.diagnostics, []);
  assert.equal(config.table.listeners[0].port, inbound);
  const clusters = JSON.parse((await get(sidecar.admin, '/clusters')).body);
  assert.equal(clusters[0].endpoints[0].port, port);
  const caller = connect(inbound!, '127.0.0.1');
  t.after(() => caller.destroy());
  await once(caller, 'connect');
  const peer = `127.0.0.1:${caller.localPort}`;
  const { listeners } = await getUntil<{
    listeners: { port: number }[];
    open: { peer: string }[];
  }>(sidecar.admin, '/connections', ({ open }) => open.some((each) => each.peer === peer));
  assert.equal(listeners[0]!.port, inbound);
  assert.equal(JSON.parse((await get(sidecar.admin, '/stats')).body).ready, true);
  assert.equal(JSON.parse((await get(sidecar.admin, '/log-level')).body).level, 'info');
  const metrics = (await get(sidecar.metrics, '/metrics')).body;
  assert.match(metrics, /^tracecar_config_generation 1$/m);
  assert.match(metrics, /^process_resident_memory_bytes \d+$/m);
  assert.match(metrics, /^tracecar_requests_total\{.*status="200"\} 1$/m);
});

test('every port in use is one line that names it, status 2', async (t) => {
  const holder = createServer();
  await new Promise<void>((settle) => holder.listen(0, '127.0.0.1', settle));
  t.after(() => holder.close());
  const { port: taken } = holder.address() as AddressInfo;
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, 9));
  const usual = ['--config', folder, '--labels=app=app'];
  for (const [index, flag] of ['admin', 'health', 'metrics'].entries()) {
    const ports = anyPorts.with(index, `--${flag}=127.0.0.1:${taken}`);
    const { status, lines } = await failToStart(...usual, ...ports);
    assert.equal(status, 2);
    assert.match(
      oneLine(lines),
      new RegExp(`^tracecar proxy: 127\\.0\\.0\\.1:${taken}, the ${flag} port .*in use.*ss -ltnp`),
    );
  }
  writeConfig(folder, 'mesh.yaml', sidecarYaml(taken, 9));
  const { status, lines } = await failToStart(...usual, ...anyPorts);
  assert.equal(status, 2);
  assert.match(
    oneLine(lines),
    new RegExp(`^tracecar proxy: 127\\.0\\.0\\.1:${taken}, listener .*in use`),
  );
});

test('a folder that is not there, is empty or selects nobody is one line, status 2', async (t) => {
  const folder = temporaryFolder(t);
  const missing = await failToStart('--config', join(folder, 'none'), ...anyPorts);
  assert.equal(missing.status, 2);
  assert.match(missing.lines.at(-1)!, /^tracecar proxy: .*none/);
  const empty = await failToStart('--config', folder, ...anyPorts);
  assert.equal(empty.status, 2);
  assert.match(oneLine(empty.lines), /^tracecar proxy: no \*\.yaml file in /);
  const [inbound] = await freePorts(1);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, 9));
  const stranger = await failToStart('--config', folder, '--labels=app=other', ...anyPorts);
  assert.equal(stranger.status, 2);
  assert.match(
    oneLine(stranger.lines),
    /no Sidecar of namespace default selects the labels app=other/,
  );
});

test('a file with nothing but mistakes ends the start with all of them, status 2', async (t) => {
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', 'kind: [\n');
  const { status, lines } = await failToStart('--config', folder, '--labels=app=app', ...anyPorts);
  assert.equal(status, 2);
  assert.match(lines.at(-1)!, /^tracecar proxy: .*`tracecar validate .*` explains$/);
  assert.match(lines[0]!, /mesh\.yaml:\d+:\d+: error TC\d{4}: /);
});

test('SIGHUP reads the files again, and a broken file changes nothing', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('ok'));
  const [first, second] = await freePorts(2);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(first!, port));
  const sidecar = await startSidecar(t, folder);

  writeConfig(folder, 'mesh.yaml', sidecarYaml(second!, port));
  sidecar.child.kill('SIGHUP');
  await sidecar.logged(/"configuration applied","generation":2/);
  assert.equal((await get(`127.0.0.1:${second}`, '/')).status, 200);
  await assert.rejects(get(`127.0.0.1:${first}`, '/'), { code: 'ECONNREFUSED' });

  writeConfig(folder, 'mesh.yaml', 'spec: {{');
  sidecar.child.kill('SIGHUP');
  await sidecar.logged(/its last good content stays in force/);
  const { generation, diagnostics } = JSON.parse((await get(sidecar.admin, '/config')).body);
  assert.equal(generation, 2);
  assert.match(diagnostics[0].file, /mesh\.yaml$/);
  assert.equal((await get(`127.0.0.1:${second}`, '/')).status, 200);
  const metrics = (await get(sidecar.metrics, '/metrics')).body;
  assert.match(metrics, /^tracecar_config_reloads_total\{result="refused"\} [1-9]/m);
  assert.match(metrics, /^tracecar_config_resources [1-9]/m);

  // The same mistake is not logged again.
  const refusals = () => sidecar.lines.filter((line) => line.includes('stays in force')).length;
  const complaints = () => sidecar.lines.filter((line) => /error TC\d{4}/.test(line)).length;
  const before = { refusals: refusals(), complaints: complaints() };
  sidecar.child.kill('SIGHUP');
  await sidecar.until(() => refusals() > before.refusals);
  assert.equal(complaints(), before.complaints);
});

test('a new listener that cannot be opened leaves the others alone and is tried again', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('ok'));
  const holder = createServer();
  await new Promise<void>((settle) => holder.listen(0, '127.0.0.1', settle));
  t.after(() => holder.close());
  const { port: taken } = holder.address() as AddressInfo;
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  const yaml = sidecarYaml(inbound!, port);
  writeConfig(folder, 'mesh.yaml', yaml);
  const sidecar = await startSidecar(t, folder);
  const more = yaml.slice(yaml.indexOf('    - port:')).replace(String(inbound), String(taken));
  writeConfig(folder, 'mesh.yaml', yaml + more);
  const { message } = await sidecar.logged(/is in use by another process/);
  assert.match(message, new RegExp(`^127\\.0\\.0\\.1:${taken}, listener `));
  assert.equal((await get(`127.0.0.1:${inbound}`, '/')).status, 200);
  const ready = await get(sidecar.health, '/healthz/ready');
  assert.equal(ready.status, 503);
  assert.match(ready.body, new RegExp(`127\\.0\\.0\\.1:${taken}, listener `));
  await new Promise((settle) => holder.close(settle));
  await getUntil<{ listeners: { port: number }[] }>(sidecar.admin, '/connections', (state) =>
    state.listeners.some((listener) => listener.port === taken),
  );
  assert.equal((await get(`127.0.0.1:${taken}`, '/')).status, 200);
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
});

test('a listener that moves to a taken port serves on where it was, and it is not ready', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('ok'));
  const holder = createServer();
  await new Promise<void>((settle) => holder.listen(0, '127.0.0.1', settle));
  t.after(() => holder.close());
  const { port: taken } = holder.address() as AddressInfo;
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(taken, port));
  await sidecar.logged(/is in use by another process.*not ready until it is open/);
  assert.equal((await get(`127.0.0.1:${inbound}`, '/')).status, 200);
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 503);
  assert.match((await get(sidecar.metrics, '/metrics')).body, /^tracecar_listeners_unopened 1$/m);
  await new Promise((settle) => holder.close(settle));
  await sidecar.logged(/listener [^"]* is open now/);
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
  assert.equal((await get(`127.0.0.1:${taken}`, '/')).status, 200);
  await assert.rejects(get(`127.0.0.1:${inbound}`, '/'), { code: 'ECONNREFUSED' });
});

test('a listener whose certificate was never good is not ready, until it is', async (t) => {
  const folder = temporaryFolder(t);
  const secrets = temporaryFolder(t);
  const [inbound] = await freePorts(1);
  const tls = (name: string) => join(secrets, name);
  writeFileSync(tls('tls.crt'), 'no certificate');
  writeFileSync(tls('tls.key'), 'no key');
  const port = await application(t, (_incoming, response) => response.end('ok'));
  writeConfig(
    folder,
    'mesh.yaml',
    `${sidecarYaml(inbound!, port).replace('protocol: HTTP', 'protocol: HTTPS')}      tls:
        mode: SIMPLE
        serverCertificate: ${tls('tls.crt')}
        privateKey: ${tls('tls.key')}
`,
  );
  const sidecar = await startSidecar(t, folder, [], {}, undefined, /"message":"not ready"/);
  const answer = await get(sidecar.health, '/healthz/ready');
  assert.equal(answer.status, 503);
  assert.match(answer.body, /listener \S+ has no certificate: \S*tls\.crt, /);
  // An application that waits for its sidecar starts: it is not its fault, and it must run when it is mended.
  assert.equal((await get(sidecar.health, '/healthz/open')).status, 200);
  const { diagnostics } = JSON.parse((await get(sidecar.admin, '/config')).body);
  assert.deepEqual(
    diagnostics.map(({ code, file }: { code: string; file: string }) => [code, file]),
    [['TC1601', tls('tls.crt')]],
  );
  const metric = /^tracecar_config_diagnostics\{severity="error"\} 1$/m;
  assert.match((await get(sidecar.metrics, '/metrics')).body, metric);
  assert.equal(sidecar.lines.filter((line) => /"TLS: /.test(line)).length, 1);
  const good = new CertificateAuthority(secrets).issue('app');
  writeFileSync(tls('tls.crt'), good.cert);
  writeFileSync(tls('tls.key'), good.key);
  await sidecar.logged(/TLS: \S+ was read"/);
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
  writeFileSync(tls('tls.crt'), 'no certificate');
  await sidecar.logged(/the certificate read before stays in use/);
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
});

test('SIGTERM under load loses no request and ends with status 0', async (t) => {
  let served = 0;
  const port = await application(t, (_incoming, response) => {
    served += 1;
    response.end('ok');
  });
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder);
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  t.after(() => agent.destroy());
  let answered = 0;
  let isDraining = false;
  const problems: string[] = [];
  const ask = async () => {
    try {
      const { status } = await get(`127.0.0.1:${inbound}`, '/', agent);
      if (status !== 200) problems.push(`status ${status}`);
    } catch (error) {
      problems.push(String(error));
    }
    answered += 1;
    if (answered === 200) sidecar.child.kill('SIGTERM');
  };
  const worker = async () => {
    while (!isDraining) await ask();
    // Callers learn late that this one ends: until then they come on connections of their own.
    for (let late = 0; late < 20; late += 1) await ask();
  };
  const draining = sidecar.logged(/SIGTERM: draining/).then(() => {
    isDraining = true;
  });
  await Promise.all([draining, ...Array.from({ length: 8 }, worker)]);
  assert.deepEqual(await sidecar.ended, { status: 0, signal: null });
  assert.deepEqual(problems, []);
  assert.ok(answered >= 200);
  assert.equal(served, answered);
  assert.match(sidecar.lines.at(-1)!, /"drained".*"cut":0/);
});

test('an exchange under way is finished before the end', async (t) => {
  let finish = () => {};
  const arrived = Promise.withResolvers<void>();
  const port = await application(t, (_incoming, response) => {
    response.write('first ');
    finish = () => response.end('last');
    arrived.resolve();
  });
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder);
  const answer = get(`127.0.0.1:${inbound}`, '/');
  await arrived.promise;
  sidecar.child.kill('SIGINT');
  await sidecar.logged(/SIGINT: draining/);
  const ready = await get(sidecar.health, '/healthz/ready');
  assert.equal(ready.status, 503);
  assert.match(ready.body, /draining/);
  finish();
  assert.equal((await answer).body, 'first last');
  assert.deepEqual(await sidecar.ended, { status: 0, signal: null });
});

test('what does not finish in the drain time is cut, and a second signal ends at once', async (t) => {
  const arrived: (() => void)[] = [];
  const port = await application(t, (_incoming, response) => {
    response.write('begun');
    arrived.shift()?.();
  });
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const hang = async () => {
    const under = new Promise<void>((settle) => arrived.push(settle));
    const cut = new Promise<void>((settle) => {
      const sent = request(`http://127.0.0.1:${inbound}/`, (response) => {
        response.resume().on('error', () => settle());
      });
      sent.on('error', () => settle());
      sent.end();
    });
    await under;
    return { cut };
  };

  const slow = await startSidecar(t, folder, ['--drain-seconds=0.2']);
  const first = await hang();
  slow.child.kill('SIGTERM');
  assert.deepEqual(await slow.ended, { status: 0, signal: null });
  await first.cut;
  assert.match(slow.lines.at(-1)!, /"drained".*"cut":1/);

  const patient = await startSidecar(t, folder, ['--drain-seconds=60']);
  const second = await hang();
  patient.child.kill('SIGTERM');
  await patient.logged(/SIGTERM: draining/);
  patient.child.kill('SIGTERM');
  assert.deepEqual(await patient.ended, { status: 143, signal: null });
  await second.cut;
});

test('a collector that is not there costs no request, no start and no end', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('ok'));
  const [inbound, dead] = await freePorts(2);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder, [], {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${dead}`,
    OTEL_BSP_SCHEDULE_DELAY: '20',
  });
  for (let sent = 0; sent < 50; sent += 1) {
    assert.equal((await get(`127.0.0.1:${inbound}`, '/')).status, 200);
  }
  assert.equal((await get(sidecar.health, '/healthz/ready')).status, 200);
  sidecar.child.kill('SIGTERM');
  assert.deepEqual(await sidecar.ended, { status: 0, signal: null });
});

test('the log level changes while it runs', async (t) => {
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, 9));
  const sidecar = await startSidecar(t, folder);
  const reply = await fetch(`http://${sidecar.admin}/log-level`, { method: 'PUT', body: 'error' });
  assert.equal(reply.status, 200);
  sidecar.child.kill('SIGTERM');
  await sidecar.ended;
  const later = sidecar.lines.map((line) => JSON.parse(line) as LogLine);
  assert.ok(!later.some(({ message }) => message.startsWith('SIGTERM')));
});

test('the access log is one JSON line a request on stdout, written before the end', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('ok'));
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder, ['--access-log=json'], {
    OTEL_TRACES_EXPORTER: 'otlp',
    OTEL_TRACES_SAMPLER: 'always_off',
  });
  for (const path of ['/one', '/two', '/three']) await get(`127.0.0.1:${inbound}`, path);
  sidecar.child.kill('SIGTERM');
  assert.equal((await sidecar.ended).status, 0);
  assert.equal(sidecar.output.length, 3, sidecar.output.join('\n'));
  for (const [index, path] of ['/one', '/two', '/three'].entries()) {
    const line = JSON.parse(sidecar.output[index]!);
    assert.ok(JSON.stringify(line).includes(path));
    assert.match(line.trace_id, /^[0-9a-f]{32}$/);
  }
});

test('otlp/stdout: a request of OTLP a line, whole, beside the access log', async (t) => {
  const port = await application(t, (_incoming, response) => response.end('ok'));
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, port));
  const sidecar = await startSidecar(t, folder, ['--access-log=json', '--drain-seconds=0.2'], {
    OTEL_TRACES_EXPORTER: 'otlp/stdout',
    OTEL_TRACES_SAMPLER: 'always_on',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '100',
  });
  for (let sent = 0; sent < 250; sent++) await get(`127.0.0.1:${inbound}`, `/${sent}`);
  sidecar.child.kill('SIGTERM');
  assert.equal((await sidecar.ended).status, 0);
  const lines = sidecar.output.map((line) => JSON.parse(line));
  const logged = lines.filter(({ trace_id }) => trace_id !== undefined);
  const spans = lines
    .filter(({ resourceSpans }) => resourceSpans !== undefined)
    .flatMap(({ resourceSpans: [{ scopeSpans }] }) => scopeSpans[0].spans);
  assert.deepEqual([logged.length, spans.length, lines.length], [250, 250, 250 + 3]);
  assert.deepEqual(
    spans.map(({ spanId }: { spanId: string }) => spanId).toSorted(),
    logged.map(({ span_id }) => span_id).toSorted(),
  );
});

test('an exception that nobody caught is one line and a status that is not 0', async (t) => {
  const [inbound] = await freePorts(1);
  const folder = temporaryFolder(t);
  writeConfig(folder, 'mesh.yaml', sidecarYaml(inbound!, 9));
  writeConfig(folder, 'bomb.cjs', "process.on('SIGUSR2', () => { throw new Error('boom'); });");
  const sidecar = await startSidecar(t, folder, [], {
    NODE_OPTIONS: `--require ${join(folder, 'bomb.cjs')}`,
  });
  const before = sidecar.lines.length;
  sidecar.child.kill('SIGUSR2');
  assert.deepEqual(await sidecar.ended, { status: 1, signal: null });
  const said = sidecar.lines.slice(before).filter((line) => !line.includes('26.12.1'));
  assert.match(oneLine(said), /unexpected failure, a bug: Error: boom/);
});
