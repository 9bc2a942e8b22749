/**
 * The rules of `tracecar init` in real network namespaces, loaded by each back-end: who is captured, who
 * is not, and what the original destination reads as. The sidecar's place is held by say-destination.ts.
 */

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  users,
} from '../../support/namespace-pods.ts';
import { type Way, ways } from './rule-ways.ts';

const sayDestination = resolve(import.meta.dirname, 'say-destination.ts');
const breakRules = resolve(import.meta.dirname, 'break-rules.ts');
const watchRules = resolve(import.meta.dirname, 'watch-rules.ts');
const runInit = `import('${resolve(import.meta.dirname, '../../../injector/init/main.ts')}').then(async ({ runInit }) => process.exit(await runInit(process.argv.slice(1))))`;

for (const way of ways) {
  if (way.whyNot === undefined) continue;
  process.stdout.write(`SKIPPED: ${import.meta.filename}, ${way.name}: ${way.whyNot}\n`);
}

/** A server that says its name to everybody, without waiting for a byte. */
async function greet(pod: Pod, name: string, host: string, port: number): Promise<void> {
  const script = `require('node:net').createServer((socket) => { socket.on('error', () => {}); socket.end('${name}') }).listen({ host: '${host}', port: ${port} }, () => console.log('open'))`;
  await pod.start(users.app, [process.execPath, '-e', script]).says(/open/);
}

for (const way of ways) describe(`the rules by ${way.name}`, () => describeWay(way));

function describeWay(way: Way): void {
  const skip = way.whyNot ?? false;
  /** `web` has the rules and something in the sidecar's place; `other` has neither. */
  let web: Pod;
  let other: Pod;
  let sidecar: PodProcess;
  let network: PodNetwork | undefined;

  const init = (pod: Pod, args: readonly string[] = [], user: readonly string[] = way.user) =>
    pod.run(user, [process.execPath, '-e', runInit, '--', ...way.flags, ...args]);

  const listTable = (pod: Pod) => pod.run(way.user, way.list).output;

  before(async () => {
    if (way.whyNot !== undefined) return;
    network = makePods(3);
    [web, other] = network.pods as [Pod, Pod, Pod];
    for (const pod of network.pods) {
      for (const command of way.others) assert.equal(pod.run(way.user, command).status, 0);
    }
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

  test('init needs its capabilities alone, and running it again changes nothing', { skip }, () => {
    const once = listTable(web);
    assert.match(once, /redirect to :15006|REDIRECT --to-ports 15006/);
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

  test('a peer on the same link is reached directly by its address of that link', { skip }, () => {
    for (const [pod, address] of [
      [web, 'fe80::a'],
      [other, 'fe80::b'],
    ] as const) {
      const add = ['ip', 'address', 'add', `${address}/64`, 'dev', 'eth0', 'nodad'];
      assert.equal(pod.run([], add).status, 0);
    }
    assert.equal(web.dial(users.app, 'fe80::b%eth0', 8_080), 'the other');
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
    assert.equal(web.dial(users.proxy, '192.0.2.1', 15_006), 'inbound 192.0.2.1 15006');
    assert.equal(web.dial(users.proxy, '2001:db8::1', 15_006), 'inbound 2001:db8::1 15006');
    // Ports of the captures on other hosts are ordinary ones.
    assert.equal(web.dial(users.proxy, other.v4, 15_001), 'refused');
    assert.equal(web.dial(users.proxy, other.v6, 15_001), 'refused');
    assert.doesNotMatch(web.dial(users.proxy, '192.0.2.1', 80), /outbound/);
  });

  test('the sentinel comes back whatever ports and prefixes are skipped', { skip }, (t) => {
    t.after(() => init(web));
    const flags = [
      '--skip-inbound-ports=1-65535',
      '--skip-outbound-ports=1-65535',
      '--skip-outbound-cidrs=0.0.0.0/0,192.0.2.1,::/0,2001:db8::/32',
    ];
    assert.equal(init(web, flags).status, 0);
    for (const address of ['192.0.2.1', '2001:db8::1']) {
      assert.equal(web.dial(users.proxy, address, 15_001), `outbound ${address} 15001`);
      assert.equal(web.dial(users.proxy, address, 15_006), `inbound ${address} 15006`);
    }
    assert.equal(web.dial(users.app, other.v4, 8_080), 'the other');
    assert.equal(web.dial(users.app, other.v6, 8_080), 'the other');
    const { status, errors } = init(web, ['--check', ...flags]);
    assert.equal(status, 0, errors);
  });

  test('rules that go while a proxy watches are missed, named, and seen again', {
    skip,
    timeout: 300_000,
  }, async (t) => {
    const watched = network!.pods[2]!;
    assert.equal(init(watched).status, 0);
    const watch = watched.start(users.proxy, [
      ...[process.execPath, watchRules, watched.v4, watched.v6],
    ]);
    t.after(() => watch.child.kill('SIGKILL'));
    await watch.says(/the rules are proven/);
    for (const { commands, missing, named } of way.losses) {
      const told = watch.lines.length;
      for (const command of commands) assert.equal(watched.run(way.user, command).status, 0);
      const said = () => watch.lines.slice(told).join('\n');
      const reason = `not ready: the ${missing}redirection rules of this pod are not in force`;
      await watch.until(() => said().includes(reason) || undefined, `'${reason}'`);
      const check = init(watched, ['--check']);
      assert.equal(check.status, 1);
      assert.match(check.errors, named);
      assert.equal(init(watched).status, 0);
      await watch.until(() => said().includes('pod are in force') || undefined, 'the rules');
    }
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

  test('each rule and member that is taken out is named by a check', { skip }, () => {
    const flags = [
      '--skip-inbound-ports=22,9000-9010',
      '--skip-outbound-ports=3306',
      '--skip-outbound-cidrs=10.0.0.0/8,fd00::/8',
    ];
    assert.equal(init(web, flags).status, 0);
    assert.deepEqual(init(web, ['--check', ...flags]), {
      status: 0,
      output: `tracecar init: the rules are loaded as they should be, by ${way.parts[0]}\n`,
      errors: '',
    });
    const different = init(web, ['--check']);
    assert.equal(different.status, 1);
    assert.match(different.errors, /^tracecar init: .*(9000-9010|9000:9010)/m);
    const { output, errors } = web.run(way.user, [
      ...[process.execPath, breakRules, ...way.parts, ...flags],
    ]);
    assert.equal(errors, '');
    const found = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.ok(found.length >= 19, `${found.length} breaks`);
    for (const { what, said, problem, again } of found) {
      assert.ok(said.length >= 1, what);
      for (const line of said) assert.ok(line.includes(what), `${what}: ${line}`);
      assert.equal(problem, '');
      assert.deepEqual(again, []);
    }
    assert.equal(init(web).status, 0);
  });

  test('files of the system that cannot be written are no matter', { skip }, () => {
    const script = `mount -o bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys &&
      mount -t tmpfs -o ro tmpfs /run && ! true 2>/dev/null >/proc/sys/net/ipv4/ip_forward && exec "$@"`;
    const command = ['setpriv', ...way.user, '--', process.execPath, '-e', runInit, '--'];
    const { status, errors } = web.run(
      [],
      ['unshare', '--mount', 'sh', '-c', script, 'sh', ...command, ...way.flags],
      // As in a pod, where no name of a network namespace can be seen either.
      { env: { KUBERNETES_SERVICE_HOST: '10.96.0.1' } },
    );
    assert.equal(status, 0, errors);
  });

  test('what init removes is gone, and connections are direct again', { skip }, (t) => {
    t.after(() => init(web));
    for (let times = 0; times < 2; times += 1) {
      const { status, output } = init(web, ['--remove']);
      assert.deepEqual([status, output], [0, 'tracecar init: no connection is redirected\n']);
    }
    assert.equal(listTable(web), '');
    assert.equal(web.dial(users.app, other.v4, 8_080), 'the other');
    assert.equal(other.dial(users.app, web.v6, 8_080), 'the application');
    const { status, errors } = init(web, ['--check']);
    assert.equal(status, 1);
    assert.match(errors, /not loaded/);
  });

  test('rules of another back-end are replaced, and never both are loaded', { skip }, (t) => {
    t.after(() => init(web));
    const instead = way.flags.length === 0 ? ['--backend=iptables'] : ['--backend=nft'];
    const isPossible = ways.every(({ whyNot }) => whyNot === undefined);
    if (!isPossible) return t.skip('a back-end is missing here');
    const run = (args: readonly string[]) =>
      web.run(way.user, [process.execPath, '-e', runInit, '--', ...args]);
    const replaced = run(instead);
    assert.equal(replaced.status, 0, replaced.errors);
    assert.equal(listTable(web), '');
    assert.equal(run([...instead, '--check']).status, 0);
    assert.equal(web.dial(users.app, other.v4, 8_080), `outbound ${other.v4} 8080`);
    const check = init(web, ['--check']);
    assert.equal(check.status, 1);
    assert.match(
      check.errors,
      /^tracecar init: there are rules in the (table|chains) .* checks them/m,
    );
  });
}
