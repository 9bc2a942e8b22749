/**
 * What is captured and what is not, by sidecars in pods (A1 to A4, A10) and the traps of redirection
 * that only a real kernel shows (reference/interception-and-injection.md 4.5).
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { mesh, runInit, startSidecar } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  type ServiceAddresses,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const skip = skipWithout(import.meta.filename, whyNoPods());

const say = resolve(import.meta.dirname, 'say-port.cjs');
const families = ['v4', 'v6'] as const;
type Line = Record<string, unknown>;

let network: PodNetwork | undefined;
let web: Pod;
let reviews: Pod;
/** Without rules and without a sidecar. */
let outsider: Pod;
let address: ServiceAddresses;
let webSidecar: PodProcess;
let reviewsSidecar: PodProcess;

before(async () => {
  if (skip !== false) return;
  network = makePods(3);
  [web, reviews, outsider] = network.pods as [Pod, Pod, Pod];
  address = network.service('reviews', reviews);
  const started = [web, reviews, outsider].map((pod) =>
    pod.start(users.app, [process.execPath, say]).says(/^open/),
  );
  [webSidecar, reviewsSidecar] = await Promise.all([
    mesh(web, 'web'),
    mesh(reviews, 'reviews'),
    ...started,
  ]);
});

after(() => network?.close());

const urlHost = (host: string) => (host.includes(':') ? `[${host}]` : host);

function records(sidecar: PodProcess): Line[] {
  return sidecar.lines
    .filter((line) => line.includes('"direction"'))
    .map((line) => JSON.parse(line) as Line);
}

/** The record of the request for `path`. */
const recorded = (sidecar: PodProcess, path: string) =>
  sidecar.until(() => records(sidecar).find((line) => line.path === path), path);

/** One GET for each port; the application says which port it was asked on, and by whom. */
const ask = (pod: Pod, host: string, port: number, path: string) =>
  pod.get(users.app, host, port, path, `Host: ${urlHost(host)}:${port}\r\n`);

test('one call is one record on each side: what the sidecar dials is not captured again', {
  skip,
}, async () => {
  for (const family of families) {
    const path = `/once-${family}`;
    assert.match(ask(web, address[family], 8_080, path), /^HTTP\/1\.1 200 .*port 8080/s);
    await Promise.all([recorded(webSidecar, path), recorded(reviewsSidecar, path)]);
    // A second call ends after whatever the first may have begun.
    ask(web, address[family], 8_080, `${path}-end`);
    await Promise.all([
      recorded(webSidecar, `${path}-end`),
      recorded(reviewsSidecar, `${path}-end`),
    ]);
    for (const [sidecar, direction] of [
      [webSidecar, 'outbound'],
      [reviewsSidecar, 'inbound'],
    ] as const) {
      const lines = records(sidecar).filter((line) => line.path === path);
      assert.deepEqual(
        lines.map((line) => line.direction),
        [direction],
      );
    }
  }
});

test('bytes that are no HTTP are recorded with the destination that was dialled', {
  skip,
}, async () => {
  for (const family of families) {
    const destination = `${urlHost(address[family])}:6000`;
    assert.equal(web.dial(users.app, address[family], 6_000, '\u0001\n'), 'heard \u0001');
    for (const sidecar of [webSidecar, reviewsSidecar]) {
      const line = await sidecar.until(
        () => records(sidecar).find((each) => each.destination === destination),
        destination,
      );
      assert.equal(line.peer, web[family]);
    }
  }
});

test('two ports of a pod are told apart, and the caller is named truly', { skip }, async () => {
  for (const family of families) {
    for (const caller of [web, outsider]) {
      for (const port of [8_080, 9_090]) {
        const path = `/${family}-${port}-from-${caller === web ? 'web' : 'outsider'}`;
        assert.match(ask(caller, reviews[family], port, path), new RegExp(`port ${port}`));
        const line = await recorded(reviewsSidecar, path);
        assert.equal(line.direction, 'inbound');
        assert.equal(line.peer, caller[family]);
        assert.equal(line.authority, `${urlHost(reviews[family])}:${port}`);
      }
    }
  }
});

test('skipped ports and prefixes work and no sidecar sees them', { skip }, async (t) => {
  t.after(() => assert.equal(runInit(web).status, 0));
  const flags = ['--skip-outbound-ports=9090', `--skip-outbound-cidrs=${outsider.v6}/128`];
  assert.equal(runInit(web, [...flags, '--skip-inbound-ports=9090']).status, 0);
  for (const family of families) {
    assert.match(ask(web, outsider[family], 9_090, '/skipped-port'), /port 9090/);
    assert.match(ask(outsider, web[family], 9_090, '/skipped-inbound'), /port 9090/);
  }
  assert.match(ask(web, outsider.v6, 8_080, '/skipped-prefix'), /port 8080/);
  assert.match(ask(web, outsider.v4, 8_080, '/not-skipped'), /port 8080/);
  await recorded(webSidecar, '/not-skipped');
  const paths = records(webSidecar).map((line) => String(line.path));
  assert.deepEqual(
    paths.filter((path) => path.startsWith('/skipped')),
    [],
  );
});

test('the own address stays on loopback, and no sidecar sees it', { skip }, async () => {
  for (const host of ['127.0.0.1', '::1', web.v4, web.v6]) {
    assert.match(ask(web, host, 8_080, '/to-myself'), /port 8080/);
  }
  ask(web, outsider.v4, 8_080, '/after-myself');
  await recorded(webSidecar, '/after-myself');
  assert.ok(!records(webSidecar).some((line) => line.path === '/to-myself'));
});

test('a port that nobody listens on is accepted, then reset', { skip }, () => {
  for (const family of families) {
    assert.match(web.dial(users.app, outsider[family], 9), /status 1: .*reset/is);
    assert.equal(outsider.dial(users.app, outsider[family], 9), 'refused');
  }
});

test('UDP passes untouched', { skip }, () => {
  const script = `const socket = require('node:dgram').createSocket(process.argv[2]);
    socket.on('message', (text, { address, port }) => { console.log(String(text), address, port); socket.close(); });
    socket.send('query', 5353, process.argv[1])`;
  for (const family of families) {
    const kind = family === 'v4' ? 'udp4' : 'udp6';
    const command = [process.execPath, '-e', script, reviews[family], kind];
    const { output } = web.run(users.app, command);
    assert.equal(output, `from ${web[family]}: query ${reviews[family]} 5353\n`);
  }
});

test('the rules redirect, and use no TPROXY and no mark', { skip }, () => {
  const { output } = web.run(users.init, ['nft', 'list', 'ruleset']);
  assert.match(output, /redirect to :15001/);
  assert.doesNotMatch(output, /tproxy|mark/);
});

test('init changes no kernel setting: /proc/sys may be read-only', { skip }, () => {
  const readOnly =
    'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && ! (echo 1 > /proc/sys/net/ipv4/ip_forward) 2>&- && exec setpriv "$@"';
  const module = resolve(import.meta.dirname, '../../../injector/init/main.ts');
  const script = `import('${module}').then(async (init) => process.exit(await init.runInit([])))`;
  const inner = [...users.init, '--', process.execPath, '-e', script];
  const command = ['unshare', '--mount', 'sh', '-c', readOnly, 'sh', ...inner];
  const { status, errors } = outsider.run([], command);
  assert.equal(status, 0, errors);
  const table = ['nft', 'delete', 'table', 'inet', 'tracecar'];
  assert.equal(outsider.run(users.init, table).status, 0);
});

test('a listener that root has made and the proxy serves does not loop', { skip }, async () => {
  // The owner of a socket is who made it: a SYN-ACK of this listener is root's (skuid 0).
  const script = `import os, socket
listener = socket.create_server(('::', 7070), family=socket.AF_INET6, dualstack_ipv6=True)
os.setgroups([]); os.setgid(1337); os.setuid(1337)
print('open', flush=True)
count = 0
while True:
    accepted, _ = listener.accept()
    count += 1
    accepted.sendall(f'answer {count}'.encode())
    accepted.close()
`;
  const root = ['--no-new-privs'];
  await web.start(root, ['python3', '-c', script]).says(/^open/);
  assert.equal(outsider.dial(users.app, web.v4, 7_070), 'answer 1');
  assert.equal(outsider.dial(users.app, web.v6, 7_070), 'answer 2');
});

test('without its sidecar a pod reaches nobody; with a new one it does again', {
  skip,
}, async () => {
  webSidecar.child.kill('SIGKILL');
  await webSidecar.ended;
  assert.equal(web.dial(users.app, outsider.v4, 6_000), 'refused');
  assert.equal(outsider.dial(users.app, web.v6, 6_000), 'refused');
  webSidecar = startSidecar(web, 'web');
  await webSidecar.says(/"message":"ready"/);
  assert.equal(web.dial(users.app, outsider.v4, 6_000, 'again\n'), 'heard again');
});
