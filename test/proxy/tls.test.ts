/**
 * TLS of downstreams, ended on inbound listeners: handshakes, files that change, what is refused.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { systemWakeUps } from '../../src/base/deadlines.ts';
import { type TrafficLimits, trafficLimits } from '../../src/model/limits.ts';
import type { ListenerTls } from '../../src/model/routing-table.ts';
import { CredentialStore } from '../../src/proxy/scope/credential-store.ts';
import { pollDelayMs, TlsFiles } from '../../src/proxy/tls/tls-files.ts';
import { RecordFlag, tlsVersionWords } from '../../src/telemetry/record/exchange-record.ts';
import { startCapture } from '../support/capture-fixture.ts';
import { type Certificate, CertificateAuthority } from '../support/certificates.ts';
import { getOf, type PairFixture, startProxy } from '../support/proxy-fixture.ts';
import { RawConnection } from '../support/raw-connection.ts';
import { answering, type OriginScript, okWith, RawOrigin } from '../support/raw-origin.ts';
import { clusterOf, listenerOf, ruleOf, tableOf } from '../support/tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'tracecar-tls-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const authority = new CertificateAuthority(folder);
const first = authority.issue('first');
const second = authority.issue('second');
const caFile = join(folder, 'ca.crt');

function newFolder(): string {
  return mkdtempSync(join(folder, 'files-'));
}

/** Atomically, as a Secret volume does not: file by file. */
function write(path: string, { cert, key }: Certificate): void {
  writeFileSync(join(path, 'tls.crt'), cert);
  writeFileSync(join(path, 'tls.key'), key);
}

function settingsOf(path: string, over: Partial<ListenerTls> = {}): ListenerTls {
  return {
    mode: 'simple',
    certificateFile: join(path, 'tls.crt'),
    keyFile: join(path, 'tls.key'),
    caFile: '',
    minVersion: 'TLSv1.2',
    ...over,
  };
}

interface TlsFixture extends PairFixture {
  readonly path: string;
  /** A secure connection; rejects when the handshake fails. */
  secure(options?: ConnectionOptions): Promise<{ peer: TLSSocket; downstream: RawConnection }>;
}

async function startTls(
  t: TestContext,
  over: Partial<ListenerTls> = {},
  limits: Partial<TrafficLimits> = {},
  script: OriginScript = answering(() => okWith('application')),
): Promise<TlsFixture> {
  const path = newFolder();
  write(path, first);
  const origin = await RawOrigin.start(script);
  t.after(() => origin.close());
  const tls = settingsOf(path, over);
  const table = tableOf(
    [listenerOf([ruleOf()], { direction: 'inbound', tls })],
    [clusterOf([origin.port])],
  );
  const proxy = await startProxy(t, { table, limits: { tlsPollMs: 20, ...limits } });
  return { ...proxy, origin, path, secure: (options) => connectSecure(t, proxy.port, options) };
}

/** The client's side of TLS 1.3 is done before the server's: a refusal comes as an early end. */
function connectSecure(
  t: TestContext,
  port: number,
  options: ConnectionOptions = {},
): Promise<{ peer: TLSSocket; downstream: RawConnection }> {
  const to = { host: '127.0.0.1', port, ca: authority.cert, servername: 'first' };
  const checked = { checkServerIdentity: () => undefined, ALPNProtocols: ['http/1.1'] };
  const peer = connectTls({ ...to, ...checked, ...options });
  t.after(() => peer.destroy());
  return new Promise((resolve, reject) => {
    peer.once('error', reject);
    peer.once('secureConnect', () => resolve({ peer, downstream: new RawConnection(peer) }));
  });
}

function nameOf(peer: TLSSocket): string | undefined {
  const { CN } = peer.getPeerCertificate().subject;
  return Array.isArray(CN) ? CN[0] : CN;
}

/** Connects until the certificate is the one that is waited for. */
async function untilServed({ secure }: TlsFixture, name: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    const { peer } = await secure();
    const found = nameOf(peer);
    peer.destroy();
    if (found === name) return;
  }
  assert.fail(`${name} was never served`);
}

async function untilLogged(log: readonly string[], pattern: RegExp): Promise<string> {
  for (;;) {
    const line = log.find((each) => pattern.test(each));
    if (line !== undefined) return line;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a plaintext application is served over ${version}, with ALPN http/1.1`, async (t) => {
    const proxy = await startTls(t);
    const versions = { minVersion: version, maxVersion: version };
    const { peer, downstream } = await proxy.secure(versions);
    assert.equal(peer.getProtocol(), version);
    assert.equal(peer.alpnProtocol, 'http/1.1');
    for (let request = 0; request < 3; request++) {
      await downstream.send(getOf('/'));
      assert.equal((await downstream.response()).body, 'application');
    }
    await proxy.telemetry.recorded(3);
    assert.notEqual(proxy.telemetry.records[0]!.flags & RecordFlag.Tls, 0);
    const { records } = proxy.telemetry;
    assert.ok(records[0]!.tlsUs > 0, 'the handshake is part of the first request');
    assert.deepEqual(
      records.slice(1).map(({ tlsUs }) => tlsUs),
      [-1, -1],
    );
    for (const { tlsVersion } of records) {
      assert.equal(`TLSv${tlsVersionWords[tlsVersion]}`, version);
    }
    assert.doesNotMatch(proxy.origin.received, /x-forwarded-proto/i);
  });
}

test('a version below the minimum is refused', async (t) => {
  const proxy = await startTls(t, { minVersion: 'TLSv1.3' });
  await assert.rejects(proxy.secure({ maxVersion: 'TLSv1.2' }));
});

test('a peer that offers only another protocol than http/1.1 is refused', async (t) => {
  const proxy = await startTls(t);
  await assert.rejects(proxy.secure({ ALPNProtocols: ['h2'] }));
});

test('openssl s_client gets an answer', async (t) => {
  const proxy = await startTls(t);
  const args = ['s_client', '-connect', `127.0.0.1:${proxy.port}`, '-CAfile', caFile];
  const checks = ['-servername', 'first', '-verify_return_error', '-alpn', 'http/1.1', '-quiet'];
  const program = spawn('openssl', [...args, ...checks]);
  program.stdin.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  let output = '';
  for await (const chunk of program.stdout) output += chunk;
  assert.match(output, /^HTTP\/1\.1 200 OK\r\n/);
  assert.ok(output.endsWith('application'), output);
});

test('big bodies pass both ways through TLS, and a slow reader holds the upstream up', async (t) => {
  const size = 4 * 1024 * 1024;
  const body = 'b'.repeat(size);
  const proxy = await startTls(t, {}, {}, async (upstream) => {
    await upstream.until(() => upstream.received.length > size, 'the request');
    await upstream.send(okWith(body));
  });
  const { peer, downstream } = await proxy.secure();
  await downstream.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\n\r\n${body}`);
  peer.on('data', () => {
    peer.pause();
    setImmediate(() => peer.resume());
  });
  assert.equal((await downstream.response()).body, body);
});

test('a response that is cut ends the secure connection by RST', async (t) => {
  const proxy = await startTls(t, {}, {}, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
    upstream.reset();
  });
  const { downstream } = await proxy.secure();
  await downstream.send(getOf('/'));
  assert.equal(await downstream.closed(), 'reset');
});

test('a new certificate serves new handshakes and cuts no connection', async (t) => {
  const proxy = await startTls(t);
  const { peer, downstream } = await proxy.secure();
  assert.equal(nameOf(peer), 'first');
  write(proxy.path, second);
  await untilServed(proxy, 'second');
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'application');
});

test('a swapped link of a Secret volume is followed', async (t) => {
  const path = newFolder();
  for (const [version, certificate] of [
    ['v1', first],
    ['v2', second],
  ] as const) {
    mkdirSync(join(path, version));
    write(join(path, version), certificate);
  }
  symlinkSync('v1', join(path, '..data'));
  for (const file of ['tls.crt', 'tls.key']) symlinkSync(`..data/${file}`, join(path, file));
  const [certificateFile, keyFile] = [join(path, 'tls.crt'), join(path, 'tls.key')];
  const proxy = await startTls(t, { certificateFile, keyFile });
  await untilServed(proxy, 'first');
  symlinkSync('v2', join(path, '..data_tmp'));
  renameSync(join(path, '..data_tmp'), join(path, '..data'));
  await untilServed(proxy, 'second');
});

test('a bad certificate keeps the old one and says so; the mended one is taken', async (t) => {
  const proxy = await startTls(t);
  writeFileSync(join(proxy.path, 'tls.crt'), 'no certificate');
  const line = await untilLogged(proxy.log, /^warn TLS: .*tls\.crt/);
  assert.match(line, /the certificate read before stays in use$/);
  await untilServed(proxy, 'first');
  writeFileSync(join(proxy.path, 'tls.crt'), second.cert);
  await untilLogged(proxy.log, /key values mismatch/);
  await untilServed(proxy, 'first');
  writeFileSync(join(proxy.path, 'tls.key'), second.key);
  await untilServed(proxy, 'second');
});

/** Files that are looked at when the test says so. */
function filesAt(path: string, settings = settingsOf(path)) {
  const log: string[] = [];
  const loaded: string[] = [];
  const files = new TlsFiles({
    settings,
    credentials: new CredentialStore(),
    hosts: () => [],
    wakeUps: { after: () => () => undefined },
    pollMs: () => 10,
    wallMs: Date.now,
    log: (level, text) => log.push(`${level} ${text}`),
    onLoaded: ({ cert }) => loaded.push(String((cert as Buffer[])[0])),
  });
  return { look: () => files.start(), log, loaded };
}

test('a pair that is written one file after the other is waited for without a warning', async () => {
  const path = newFolder();
  write(path, first);
  const { look, log, loaded } = filesAt(path);
  await look();
  for (const [file, text, half] of [
    ['tls.key', second.key, true],
    ['tls.crt', second.cert, false],
    ['tls.crt', first.cert, true],
    ['tls.key', first.key, false],
  ] as const) {
    writeFileSync(join(path, file), text);
    await look();
    assert.equal(log.length, loaded.length - 1, half ? 'half of it' : 'whole');
  }
  assert.deepEqual(loaded, [first.cert, second.cert, first.cert]);
  assert.ok(log.every((line) => /^info TLS: .*tls\.crt was read again$/.test(line)));
});

test('a key that changes alone is told once, with what shows it, and the old pair stays', async () => {
  const path = newFolder();
  write(path, first);
  const { look, log, loaded } = filesAt(path);
  await look();
  const key = join(path, 'tls.key');
  const compare =
    /tls\.crt is not for \S+tls\.key: key values mismatch \(compare `openssl x509 .*` with `openssl pkey .*`\)/;
  for (const [change, told] of [
    [() => writeFileSync(key, second.key), compare],
    [() => writeFileSync(key, 'garbage'), /tls\.key holds no private key .*`openssl pkey -noout/],
    [() => rmSync(key), /ENOENT.*tls\.key/],
  ] as const) {
    change();
    for (let looks = 0; looks < 8; looks++) await look();
    assert.equal(log.length, 1);
    const [line] = log.splice(0);
    assert.match(line!, told);
    assert.match(line!, /^warn TLS: .*; the certificate read before stays in use$/);
  }
  assert.deepEqual(loaded, [first.cert]);
  writeFileSync(key, first.key);
  await look();
  assert.match(log[0]!, /^info TLS: .*tls\.crt was read again$/);
});

test('an authority file that cannot be read keeps the old one and says so', async (t) => {
  const path = newFolder();
  write(path, first);
  const file = join(path, 'ca.crt');
  writeFileSync(file, first.cert);
  const log: string[] = [];
  let loads = 0;
  const files = new TlsFiles({
    settings: { ...settingsOf(path), mode: 'mutual', caFile: file },
    credentials: new CredentialStore(),
    hosts: () => [],
    wakeUps: systemWakeUps,
    pollMs: () => 10,
    wallMs: Date.now,
    log: (level, text) => log.push(`${level} ${text}`),
    onLoaded: () => {
      loads++;
    },
  });
  t.after(() => files.close());
  await files.start();
  writeFileSync(file, 'garbage');
  const line = await untilLogged(log, /ca\.crt holds no certificate/);
  assert.match(line, /the certificate read before stays in use$/);
  writeFileSync(file, first.cert.slice(0, 200));
  await untilLogged(log, /ca\.crt holds a certificate that cannot be read/);
  assert.equal(loads, 1);
});

test('files that are missing at start close connections, until they are there', async (t) => {
  const path = newFolder();
  const proxy = await startTls(t, settingsOf(path));
  await assert.rejects(proxy.secure());
  assert.match(proxy.log.join('\n'), /ENOENT.*nobody is served until the files are good/);
  const [unloaded] = proxy.proxy.unloaded();
  assert.equal(unloaded!.file, join(path, 'tls.crt'));
  assert.match(unloaded!.problem, /ENOENT/);
  write(path, second);
  await untilLogged(proxy.log, /./);
  for (let tries = 0; tries < 500; tries++) {
    const found = await proxy.secure().then(
      ({ peer }) => nameOf(peer),
      () => undefined,
    );
    if (found !== 'second') continue;
    assert.deepEqual(proxy.proxy.unloaded(), []);
    // What once was good stays in use, so the proxy stays ready.
    writeFileSync(join(path, 'tls.crt'), 'broken');
    await untilLogged(proxy.log, /the certificate read before stays in use/);
    assert.deepEqual(proxy.proxy.unloaded(), []);
    return;
  }
  assert.fail('never served');
});

test('an expired certificate does not replace a good one', async (t) => {
  const path = newFolder();
  write(path, first);
  const log: string[] = [];
  let loads = 0;
  let wallMs = Date.now();
  const files = new TlsFiles({
    settings: settingsOf(path),
    credentials: new CredentialStore(),
    hosts: () => [],
    wakeUps: systemWakeUps,
    pollMs: () => 10,
    wallMs: () => wallMs,
    log: (level, text) => log.push(`${level} ${text}`),
    onLoaded: () => {
      loads++;
    },
  });
  t.after(() => files.close());
  await files.start();
  wallMs += 10 * 86_400_000;
  write(path, second);
  await untilLogged(log, /expired on/);
  assert.equal(loads, 1);
});

test('MUTUAL asks for a certificate of its authority, and for no other', async (t) => {
  const proxy = await startTls(t, { mode: 'mutual', caFile });
  const own = authority.issue('downstream');
  const { downstream } = await proxy.secure({ cert: own.cert, key: own.key });
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'application');
  const strangers = new CertificateAuthority(newFolder(), 'strangers');
  const stranger = strangers.issue('downstream');
  for (const identity of [{}, { cert: stranger.cert, key: stranger.key }]) {
    const answer = proxy.secure(identity).then(async (refused) => {
      await refused.downstream.send(getOf('/')).catch(() => undefined);
      await refused.downstream.response();
    });
    await assert.rejects(answer);
  }
  assert.equal(proxy.origin.connections.length, 1);
});

test('plaintext on a TLS port is closed and counted', async (t) => {
  const proxy = await startTls(t);
  const downstream = await proxy.connect();
  await downstream.send(getOf('/'));
  await downstream.ended();
  assert.doesNotMatch(downstream.received, /HTTP/);
  assert.equal(proxy.origin.connections.length, 0);
  assert.equal(proxy.proxy.snapshot().counts.failedHandshakes, 1);
  assert.match(proxy.log.join('\n'), /^warn TLS handshake with 127\.0\.0\.1 failed: ERR_SSL_HTTP/m);
});

test('a handshake that does not end in time is closed', async (t) => {
  const proxy = await startTls(t, {}, { tlsHandshakeMs: 30 });
  const downstream = await proxy.connect();
  await downstream.send('\x16\x03\x01');
  await downstream.ended();
  assert.equal(proxy.proxy.snapshot().counts.failedHandshakes, 1);
});

test('a captured inbound port with TLS serves the application at its endpoint', async (t) => {
  const path = newFolder();
  write(path, first);
  const application = await RawOrigin.start(answering(() => okWith('captured')));
  t.after(() => application.close());
  const ingress = listenerOf([ruleOf()], {
    name: 'inbound|8443',
    direction: 'inbound',
    address: '',
    port: 8443,
    tls: settingsOf(path),
  });
  const capture = { outbound: [], inbound: [ingress] };
  const proxy = await startCapture(t, { capture, clusters: [clusterOf([application.port])] });
  const accepted = await proxy.inbound(8443);
  const peer = connectTls({
    socket: accepted.socket.removeAllListeners('data'),
    ca: authority.cert,
    servername: 'first',
  });
  const downstream = new RawConnection(peer as unknown as TLSSocket);
  await downstream.send(getOf('/'));
  assert.equal((await downstream.response()).body, 'captured');
  peer.destroy();
});

test('an upgrade behind TLS is a tunnel of plain bytes to the application, closed in order', async (t) => {
  const { secure, origin, proxy } = await startTls(t, {}, {}, async (upstream) => {
    await upstream.untilReceived('\r\n\r\n');
    await upstream.send(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\nhello',
    );
  });
  const { downstream } = await secure();
  await downstream.send(getOf('/', 'Connection: Upgrade\r\nUpgrade: foo\r\n'));
  await downstream.untilReceived('\r\n\r\nhello');
  const block = 'x'.repeat(1 << 20);
  await downstream.send(block);
  const upstream = await origin.connection(0);
  await upstream.untilReceived(block);
  await upstream.send(block);
  await downstream.untilReceived(block);
  assert.equal(proxy.counts.switches, 1);
  downstream.finish();
  assert.equal(await upstream.ended(), 'fin');
  upstream.finish();
  await downstream.closed();
});

test('many sets of files are looked at in turn, each at least every 0.8 seconds', () => {
  const delayOf = (sets: number) => Math.round(pollDelayMs(sets, 1, trafficLimits));
  assert.deepEqual([1, 100, 200, 1_000, 100_000].map(delayOf), [250, 250, 500, 800, 800]);
  assert.ok(pollDelayMs(1_000, 0, trafficLimits) >= 600);
});
