/**
 * The rules of `tracecar init` in real network namespaces: who is captured, who is not, and what the
 * original destination reads as. The sidecar's place is held by say-destination.ts.
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, test } from 'node:test';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';

const sayDestination = resolve(import.meta.dirname, 'say-destination.ts');
const runInit = `import('${resolve(import.meta.dirname, '../../../injector/init/main.ts')}').then(async ({ runInit }) => process.exit(await runInit(process.argv.slice(1))))`;

const reason = whyNoPods();
const skip = reason ?? false;
if (reason !== undefined) process.stdout.write(`SKIPPED: ${import.meta.filename}: ${reason}\n`);

/** `web` has the rules and something in the sidecar's place; `other` has neither. */
let web: Pod;
let other: Pod;
let sidecar: PodProcess;
let network: PodNetwork | undefined;

const init = (pod: Pod, args: readonly string[] = [], user: readonly string[] = users.init) =>
  pod.run(user, [process.execPath, '-e', runInit, '--', ...args]);

const listTable = (pod: Pod) =>
  pod.run(users.init, ['nft', 'list', 'table', 'inet', 'tracecar']).output;

/** A server that says its name to everybody, without waiting for a byte. */
async function greet(pod: Pod, name: string, host: string, port: number): Promise<void> {
  const script = `require('node:net').createServer((socket) => { socket.on('error', () => {}); socket.end('${name}') }).listen({ host: '${host}', port: ${port} }, () => console.log('open'))`;
  await pod.start(users.app, [process.execPath, '-e', script]).says(/open/);
}

before(async () => {
  if (reason !== undefined) return;
  network = makePods(2);
  [web, other] = network.pods as [Pod, Pod];
  const { status, errors } = init(web);
  assert.equal(status, 0, errors);
  sidecar = web.start(users.proxy, [process.execPath, sayDestination]);
  await Promise.all([
    sidecar.says(/^ready/),
    greet(web, 'the application', '::', 8_080),
    greet(other, 'the other', '::', 8_080),
  ]);
});

after(() => network?.close());

test('init needs NET_ADMIN alone, and running it again changes nothing', { skip }, () => {
  const once = listTable(web);
  assert.match(once, /redirect to :15006/);
  const again = init(web);
  assert.equal(again.status, 0, again.errors);
  assert.equal(listTable(web), once);
});

test('init without NET_ADMIN names the capability and the likely cause', { skip }, () => {
  for (const user of [users.bareRoot, users.app]) {
    const { status, errors } = init(other, [], user);
    assert.equal(status, 1);
    assert.match(errors, /^tracecar init: .*NET_ADMIN.*Pod Security/);
  }
  assert.equal(listTable(other), '');
});

test('what the application dials elsewhere is captured with its destination', { skip }, () => {
  assert.equal(web.dial(users.app, other.v4, 8_080), `outbound ${other.v4} 8080`);
  assert.equal(web.dial(users.app, other.v6, 8_080), `outbound ${other.v6} 8080`);
  assert.equal(web.dial(users.app, '203.0.113.9', 443), 'outbound 203.0.113.9 443');
  assert.equal(web.dial(users.app, '2001:db8:0:1::1:0', 1), 'outbound 2001:db8:0:1::1:0 1');
});

test('what others dial here is captured with its destination', { skip }, () => {
  assert.equal(other.dial(users.app, web.v4, 8_080), `inbound ${web.v4} 8080`);
  assert.equal(other.dial(users.app, web.v6, 8_080), `inbound ${web.v6} 8080`);
  assert.equal(other.dial(users.app, web.v4, 9), `inbound ${web.v4} 9`);
});

test('the ports of health and metrics are never captured', { skip }, () => {
  for (const port of [15_020, 15_021, 15_090]) {
    assert.equal(other.dial(users.app, web.v4, port), 'refused');
  }
});

test('the application reaches itself untouched, by loopback and by its own address', {
  skip,
}, () => {
  for (const address of ['127.0.0.1', '::1', web.v4, web.v6]) {
    assert.equal(web.dial(users.app, address, 8_080), 'the application', address);
  }
});

test('the proxy itself is not captured, so it cannot loop', { skip }, () => {
  assert.equal(web.dial(users.proxy, other.v4, 8_080), 'the other');
  assert.equal(web.dial(users.proxy, other.v6, 8_080), 'the other');
  assert.equal(web.dial(users.proxy, web.v4, 8_080), 'the application');
});

test('the group of the proxy alone does not slip past', { skip }, () => {
  assert.equal(web.dial(users.proxyGroup, other.v4, 8_080), `outbound ${other.v4} 8080`);
});

test('a direct hit on a capture port reads as our own port', { skip }, () => {
  assert.equal(other.dial(users.app, web.v4, 15_001), `inbound ${web.v4} 15001`);
  assert.equal(other.dial(users.app, web.v4, 15_006), `inbound ${web.v4} 15006`);
  // Not redirected: the kernel names the address that it was accepted on, or none.
  assert.match(
    web.dial(users.app, '127.0.0.1', 15_001),
    /^outbound (127\.0\.0\.1 15001|nowhere 0)$/,
  );
});

test('the proxy reaches the sentinel, and only there it is redirected', { skip }, () => {
  assert.equal(web.dial(users.proxy, '192.0.2.1', 15_001), 'outbound 192.0.2.1 15001');
  assert.equal(web.dial(users.proxy, '2001:db8::1', 15_001), 'outbound 2001:db8::1 15001');
});

test('koffi reads the same where node:ffi is missing', { skip }, async (t) => {
  sidecar.child.kill('SIGKILL');
  await sidecar.ended;
  const koffi = web.start(users.proxy, [process.execPath, sayDestination, 'koffi']);
  t.after(async () => {
    koffi.child.kill('SIGKILL');
    await koffi.ended;
    sidecar = web.start(users.proxy, [process.execPath, sayDestination]);
    await sidecar.says(/^ready by node:ffi/);
  });
  await koffi.says(/^ready by koffi/);
  assert.equal(web.dial(users.app, other.v4, 8_080), `outbound ${other.v4} 8080`);
  assert.equal(web.dial(users.app, other.v6, 8_080), `outbound ${other.v6} 8080`);
  assert.equal(other.dial(users.app, web.v4, 8_080), `inbound ${web.v4} 8080`);
});

test('skipped ports and prefixes stay direct, and the rules change as a whole', { skip }, (t) => {
  t.after(() => init(web));
  const skipped = init(web, [
    '--skip-inbound-ports=8000-8100',
    '--skip-outbound-ports=8080',
    '--skip-outbound-cidrs=203.0.113.0/24,fd07::2/127',
  ]);
  assert.equal(skipped.status, 0, skipped.errors);
  assert.equal(other.dial(users.app, web.v4, 8_080), 'the application');
  assert.equal(other.dial(users.app, web.v4, 7_999), `inbound ${web.v4} 7999`);
  assert.equal(web.dial(users.app, other.v4, 8_080), 'the other');
  assert.equal(web.dial(users.app, other.v4, 8_081), `outbound ${other.v4} 8081`);
  assert.equal(web.dial(users.app, other.v6, 8_081), 'refused');
  assert.equal(init(web).status, 0);
  assert.equal(other.dial(users.app, web.v4, 8_080), `inbound ${web.v4} 8080`);
});

test('without the proxy nothing slips past the rules', { skip }, async (t) => {
  sidecar.child.kill('SIGKILL');
  await sidecar.ended;
  t.after(async () => {
    sidecar = web.start(users.proxy, [process.execPath, sayDestination]);
    await sidecar.says(/^ready/);
  });
  assert.equal(web.dial(users.app, other.v4, 8_080), 'refused');
  assert.equal(other.dial(users.app, web.v4, 8_080), 'refused');
});
