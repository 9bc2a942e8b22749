/**
 * The agent that keeps a sidecar's certificates good, against an authority that the test scripts.
 */

import assert from 'node:assert/strict';
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { IdentityStore } from '../../src/identity/identity-store.ts';
import { temporaryFolder } from '../e2e/sidecar-process.ts';
import { ManualTime } from '../support/manual-time.ts';
import {
  bundleOf,
  hourMs,
  keyOfRequest,
  lifeMs,
  makeAgent,
  makeRoot,
  ScriptedAuthority,
} from './scripted-authority.ts';

const minuteMs = 60_000;

function scripted() {
  const time = new ManualTime();
  const root = makeRoot();
  return { time, root, authority: new ScriptedAuthority(time, root), trusted: bundleOf(root.pem) };
}

test('the first certificate makes the identity, for a key that was never sent', async () => {
  const { authority, trusted } = scripted();
  const { agent, mesh } = makeAgent(authority);
  assert.match(agent.whyNone, /^no certificate yet/);
  await agent.takeBundle(trusted);
  assert.equal(agent.whyNone, '');
  const { current } = mesh;
  assert.equal(current?.generation, 1);
  assert.equal(current.id, 'spiffe://cluster.local/ns/default/sa/web');
  assert.equal(current.roots, trusted.pem);
  assert.equal(current.notAfterMs, authority.nowMs + lifeMs);
  const [request] = authority.requests;
  assert.equal(request!.token.reveal(), 'token-of-web');
  assert.deepEqual([request!.bundleHash, request!.instance], [trusted.hash, 'pod-1']);
  const key = current.privateKey.reveal().split('\n')[2]!;
  assert.ok(!(inspect(request, { depth: 9 }) + JSON.stringify(current)).includes(key));
  agent.close();
});

test('a certificate is renewed at 40 to 50 % of its life, each time for a fresh key', async () => {
  const shares: number[] = [];
  for (let seed = 1; seed <= 40; seed += 1) {
    const { authority, time, trusted } = scripted();
    const { agent, mesh } = makeAgent(authority, { seed });
    await agent.takeBundle(trusted);
    await time.advance(lifeMs * 0.51);
    assert.equal(mesh.current?.generation, 2);
    shares.push((authority.times[1]! - authority.times[0]!) / lifeMs);
    const keys = authority.requests.map(({ csr }) => keyOfRequest(csr));
    assert.equal(new Set(keys).size, 2);
    agent.close();
  }
  assert.ok(Math.min(...shares) >= 0.4 && Math.max(...shares) <= 0.5, `${shares}`);
  assert.ok(Math.max(...shares) - Math.min(...shares) > 0.05, 'they are spread');
});

test('an authority that is away is asked again, at growing distances, and what is in use stays', async () => {
  const { authority, time, trusted } = scripted();
  const { agent, lines, mesh } = makeAgent(authority);
  await agent.takeBundle(trusted);
  authority.problem = { problem: 'nobody answers', retryAfterMs: 0 };
  await time.advance(lifeMs * 0.95);
  const gaps = authority.times.slice(2).map((at, index) => at - authority.times[index + 1]!);
  for (const [index, gap] of gaps.slice(0, 6).entries()) {
    const usual = 1000 * 2 ** index;
    assert.ok(gap >= usual * 0.8 && gap <= usual * 1.2, `${index}: ${gap} ms`);
  }
  assert.ok(gaps.every((gap) => gap <= 1.2 * minuteMs));
  assert.equal(mesh.current?.generation, 1);
  assert.equal(lines.filter((line) => /^warn: no new certificate/.test(line)).length, 1);
  assert.equal(lines.filter((line) => /^error: .* ends in \d+ s/.test(line)).length, 1);
  authority.problem = undefined;
  await time.advance(2 * minuteMs);
  assert.equal(mesh.current?.generation, 2);
  assert.equal(agent.problem, '');
  agent.close();
});

test('at the end of a certificate nothing takes its place, and it is still asked for', async () => {
  const { authority, time, trusted } = scripted();
  const { agent, lines, mesh } = makeAgent(authority);
  await agent.takeBundle(trusted);
  authority.problem = { problem: 'nobody answers', retryAfterMs: 0 };
  await time.advance(lifeMs + hourMs);
  assert.ok(mesh.current!.notAfterMs < authority.nowMs);
  assert.equal(lines.filter((line) => /^error: the certificate has ended/.test(line)).length, 1);
  const before = authority.requests.length;
  await time.advance(hourMs);
  const asked = authority.requests.length - before;
  assert.ok(asked >= 45 && asked <= 80, `about each minute: ${asked} in an hour`);
  agent.close();
});

test('an authority that wants to be left alone for a while is', async () => {
  const { authority, time, trusted } = scripted();
  const { agent } = makeAgent(authority);
  authority.problem = { problem: 'too many requests', retryAfterMs: 30_000 };
  await agent.takeBundle(trusted);
  await time.advance(23_000);
  assert.equal(authority.requests.length, 1);
  await time.advance(14_000);
  assert.equal(authority.requests.length, 2);
  agent.close();
});

const refused: readonly (readonly [string, (authority: ScriptedAuthority) => void, RegExp])[] = [
  [
    'for another key',
    (authority) => {
      authority.isForOtherKey = true;
    },
    /for another key than ours/,
  ],
  [
    'for another workload',
    (authority) => {
      authority.id = 'spiffe://cluster.local/ns/default/sa/bank';
    },
    /is for .*sa\/bank; we are .*sa\/web/,
  ],
  [
    'of another trust domain',
    (authority) => {
      authority.id = 'spiffe://other.example/ns/default/sa/web';
    },
    /our trust domain is cluster\.local/,
  ],
  [
    'under roots that have not signed it',
    (authority) => {
      authority.bundle = makeRoot().pem;
    },
    /no root of the trust bundle has signed it/,
  ],
  [
    'with a bundle that trusts nobody',
    (authority) => {
      authority.bundle = '';
    },
    /holds no certificate/,
  ],
  [
    'that has ended by the clock of this machine',
    (authority) => {
      authority.lifeMs = -1;
    },
    /has ended by this machine's clock/,
  ],
];

for (const [what, spoil, why] of refused) {
  test(`a certificate ${what} is refused, and the one before stays`, async () => {
    const { authority, time, trusted } = scripted();
    const { agent, mesh, lines } = makeAgent(authority);
    await agent.takeBundle(trusted);
    const before = mesh.current;
    spoil(authority);
    await time.advance(lifeMs * 0.51);
    assert.ok(authority.requests.length > 1);
    assert.equal(mesh.current, before);
    assert.match(agent.problem, why);
    assert.equal(lines.filter((line) => line.startsWith('warn: ') && why.test(line)).length, 1);
    agent.close();
  });
}

test('with an account of its own a sidecar refuses the first certificate of another one', async () => {
  const { authority, trusted } = scripted();
  const expectedId = 'spiffe://cluster.local/ns/default/sa/shop';
  const { agent, mesh } = makeAgent(authority, { expectedId });
  await agent.takeBundle(trusted);
  assert.equal(mesh.current, undefined);
  assert.match(agent.whyNone, /is for .*sa\/web; we are .*sa\/shop/);
  agent.close();
});

test('a root that the authority adds or drops is taken, and reported within a minute', async () => {
  const { authority, root, time, trusted } = scripted();
  const { agent, mesh } = makeAgent(authority);
  await agent.takeBundle(trusted);
  const next = makeRoot();
  const both = bundleOf(root.pem, next.pem);
  authority.bundle = both.pem;
  await time.advance(lifeMs * 0.51);
  assert.equal(mesh.current?.roots, both.pem);
  await time.advance(minuteMs);
  assert.equal(authority.requests.at(-1)!.bundleHash, both.hash);
  const asked = authority.requests.length;
  await time.advance(lifeMs * 0.3);
  assert.equal(authority.requests.length, asked, 'and after that at its usual time');
  // The second and the third phase of a rotation.
  authority.root = next;
  await time.advance(lifeMs * 0.51);
  authority.bundle = next.pem;
  await time.advance(lifeMs * 0.51 + minuteMs);
  assert.equal(mesh.current.roots, bundleOf(next.pem).pem);
  assert.equal(authority.requests.at(-1)!.bundleHash, bundleOf(next.pem).hash);
  assert.equal(agent.counts.failed, 0);
  agent.close();
});

test('a configured bundle that knows our certificate is used at once', async () => {
  const { authority, root, time, trusted } = scripted();
  const { agent, mesh } = makeAgent(authority);
  await agent.takeBundle(trusted);
  const both = bundleOf(root.pem, makeRoot().pem);
  authority.bundle = both.pem;
  await agent.takeBundle(both);
  assert.equal(mesh.current?.generation, 2);
  assert.equal(mesh.current.roots, both.pem);
  await time.advance(minuteMs);
  assert.equal(authority.requests.at(-1)!.bundleHash, both.hash);
  agent.close();
});

test('a configured bundle that does not know our certificate is used with one that it knows', async () => {
  const { authority, time, trusted } = scripted();
  const { agent, lines, mesh } = makeAgent(authority);
  await agent.takeBundle(trusted);
  const next = makeRoot();
  await agent.takeBundle(bundleOf(next.pem));
  assert.equal(mesh.current?.roots, trusted.pem, 'nobody would believe us under the new one');
  assert.ok(lines.some((line) => /^warn: the new trust bundle does not know/.test(line)));
  authority.root = next;
  authority.bundle = next.pem;
  await time.advance(minuteMs);
  assert.equal(mesh.current.roots, bundleOf(next.pem).pem);
  agent.close();
});

test('a bundle that was configured wrongly keeps nobody from being renewed', async () => {
  const { authority, time, trusted } = scripted();
  const { agent, lines, mesh } = makeAgent(authority);
  await agent.takeBundle(trusted);
  const wrong = makeRoot();
  await agent.takeBundle(bundleOf(wrong.pem));
  assert.equal(agent.problem, 'the handshake failed');
  await time.advance(lifeMs * 0.39);
  assert.equal(mesh.current?.generation, 1, 'not before its time');
  await time.advance(lifeMs * 0.12);
  assert.equal(mesh.current.generation, 2);
  assert.equal(mesh.current.roots, trusted.pem);
  assert.equal(lines.filter((line) => line.startsWith('error')).length, 0);
  // It was right after all, and only early.
  authority.root = wrong;
  authority.bundle = wrong.pem;
  await time.advance(2 * minuteMs);
  assert.equal(mesh.current.roots, bundleOf(wrong.pem).pem);
  agent.close();
});

test('a sidecar that starts again without an authority is who it was', async (t) => {
  const { authority, time, trusted } = scripted();
  const folder = temporaryFolder(t);
  const first = makeAgent(authority, { store: new IdentityStore(folder, 'web.token') });
  await first.agent.takeBundle(trusted);
  first.agent.close();
  assert.equal(statSync(join(folder, 'identity.json')).mode & 0o777, 0o400);
  authority.problem = { problem: 'nobody answers', retryAfterMs: 0 };
  await time.advance(lifeMs * 0.3);
  const second = makeAgent(authority, { store: new IdentityStore(folder, 'web.token') });
  await second.agent.takeBundle(trusted);
  assert.equal(second.agent.whyNone, '');
  assert.equal(second.mesh.current?.certificates, first.mesh.current?.certificates);
  assert.equal(authority.requests.length, 1, 'nobody was asked');
  authority.problem = undefined;
  await time.advance(lifeMs * 0.21);
  assert.equal(second.mesh.current?.generation, 2, 'and it is renewed when its time has come');
  second.agent.close();
});

test('a sidecar that starts again after its certificate’s end believes the roots that it was told of', async (t) => {
  const { authority, time, trusted } = scripted();
  const store = new IdentityStore(temporaryFolder(t), 'web.token');
  const first = makeAgent(authority, { store });
  await first.agent.takeBundle(trusted);
  // A whole rotation, while its configured bundle stays as it was.
  const next = makeRoot();
  authority.bundle = bundleOf(trusted.pem, next.pem).pem;
  await time.advance(lifeMs * 0.51);
  authority.root = next;
  await time.advance(lifeMs * 0.51);
  authority.bundle = next.pem;
  await time.advance(lifeMs * 0.51);
  assert.equal(first.mesh.current?.roots, bundleOf(next.pem).pem);
  first.agent.close();
  await time.advance(lifeMs);
  for (const round of ['after the end', 'again', 'and again']) {
    const { agent, lines, mesh } = makeAgent(authority, { store });
    await agent.takeBundle(trusted);
    assert.equal(agent.whyNone, '', round);
    assert.equal(mesh.current?.roots, bundleOf(next.pem).pem);
    assert.match(
      lines[0]!,
      /^warn: the kept identity is not used: .* has ended .*; its roots are$/,
    );
    agent.close();
    await time.advance(lifeMs);
  }
  const other = makeAgent(authority, { store });
  await other.agent.takeBundle(bundleOf(makeRoot().pem));
  assert.match(other.agent.whyNone, /handshake failed/, 'another configured bundle counts more');
  other.agent.close();
});

test('what another sidecar keeps in the same folder is not used', async (t) => {
  const { authority, trusted } = scripted();
  const folder = temporaryFolder(t);
  const web = makeAgent(authority, { store: new IdentityStore(folder, '/tokens/web') });
  await web.agent.takeBundle(trusted);
  web.agent.close();
  authority.id = 'spiffe://cluster.local/ns/default/sa/pay';
  const pay = makeAgent(authority, { store: new IdentityStore(folder, '/tokens/pay') });
  await pay.agent.takeBundle(trusted);
  assert.equal(pay.mesh.current?.id, authority.id);
  assert.match(pay.lines[0]!, /is the identity of another sidecar \(--token \/tokens\/web\)/);
  pay.agent.close();
});

const isRoot = process.geteuid?.() === 0;
if (!isRoot) {
  process.stdout.write(`SKIPPED: ${import.meta.filename}: only root can give files away\n`);
}

const unusable: readonly (readonly [string, (file: string) => void, RegExp])[] = [
  ['that others may read', (file) => chmodSync(file, 0o444), /may be read by others/],
  ...(isRoot
    ? ([
        ['of another user', (file: string) => chownSync(file, 4242, 4242), /belongs to user 4242/],
      ] as const)
    : []),
  ['that is cut off', (file) => spoilFile(file, (text) => text.slice(0, 900)), /not JSON/],
  [
    'with the key of another',
    (file) =>
      spoilFile(file, (text) => {
        const kept = JSON.parse(text);
        const other = JSON.parse(readFileSync(`${file}.other`, 'utf8'));
        return JSON.stringify({ ...kept, key: other.key });
      }),
    /for another key than ours/,
  ],
];

function spoilFile(file: string, edit: (text: string) => string): void {
  const text = edit(readFileSync(file, 'utf8'));
  chmodSync(file, 0o600);
  writeFileSync(file, text);
}

for (const [what, spoil, why] of unusable) {
  test(`a kept identity ${what} is not used, and a new one is asked for`, async (t) => {
    const { authority, trusted } = scripted();
    const folder = temporaryFolder(t);
    const file = join(folder, 'identity.json');
    const store = new IdentityStore(folder, 'web.token');
    for (const _ of [1, 2]) {
      const { agent } = makeAgent(authority, { store });
      await agent.takeBundle(trusted);
      agent.close();
      writeFileSync(`${file}.other`, readFileSync(file));
      chmodSync(file, 0o600);
      writeFileSync(file, '{}');
    }
    const { agent } = makeAgent(authority, { store });
    await agent.takeBundle(trusted);
    agent.close();
    const key = JSON.parse(readFileSync(file, 'utf8')).key.split('\n')[2];
    spoil(file);
    const again = makeAgent(authority, { store });
    await again.agent.takeBundle(trusted);
    assert.equal(again.agent.whyNone, '');
    const [line] = again.lines;
    assert.match(line!, /^warn: the kept identity is not used/);
    assert.match(line!, why);
    assert.ok(!line!.includes(key));
    assert.equal(again.counts.granted, 1);
    again.agent.close();
  });
}

test('a kept identity counts for nothing under a configured bundle that does not know it', async (t) => {
  const { authority, trusted } = scripted();
  const store = new IdentityStore(temporaryFolder(t), 'web.token');
  const first = makeAgent(authority, { store });
  await first.agent.takeBundle(trusted);
  first.agent.close();
  authority.root = makeRoot();
  authority.bundle = authority.root.pem;
  const second = makeAgent(authority, { store });
  await second.agent.takeBundle(bundleOf(authority.root.pem));
  assert.equal(authority.requests.length, 2);
  assert.match(second.lines[0]!, /trust bundle of the configuration has changed/);
  assert.equal(second.mesh.current?.roots, authority.bundle);
  second.agent.close();
});

test('a kept identity counts under a configured bundle that knows it, and has its roots from there', async (t) => {
  const { authority, root, time, trusted } = scripted();
  const store = new IdentityStore(temporaryFolder(t), 'web.token');
  const first = makeAgent(authority, { store });
  await first.agent.takeBundle(trusted);
  first.agent.close();
  const both = bundleOf(root.pem, makeRoot().pem);
  authority.problem = { problem: 'nobody answers', retryAfterMs: 0 };
  for (const _ of ['changed since', 'as before']) {
    const { agent, mesh } = makeAgent(authority, { store });
    await agent.takeBundle(both);
    assert.equal(mesh.current?.certificates, first.mesh.current?.certificates);
    assert.equal(mesh.current?.roots, both.pem);
    assert.equal(authority.requests.length, 1, 'nobody was asked');
    agent.close();
  }
  authority.problem = undefined;
  authority.bundle = both.pem;
  const last = makeAgent(authority, { store });
  await last.agent.takeBundle(trusted);
  assert.equal(last.mesh.current?.roots, trusted.pem, 'a root that was taken out is not believed');
  await time.advance(minuteMs);
  assert.equal(authority.requests[1]!.bundleHash, trusted.hash, 'and that is reported soon');
  last.agent.close();
});

test('a bundle that is configured after the authority has told of it is kept as the one in use', async (t) => {
  const { authority, root, time, trusted } = scripted();
  const store = new IdentityStore(temporaryFolder(t), 'web.token');
  const first = makeAgent(authority, { store });
  await first.agent.takeBundle(trusted);
  const both = bundleOf(root.pem, makeRoot().pem);
  authority.bundle = both.pem;
  await time.advance(lifeMs * 0.51);
  await first.agent.takeBundle(both);
  first.agent.close();
  const kept = store.read();
  assert.ok(kept !== undefined && 'configuredHash' in kept);
  assert.equal(kept.configuredHash, both.hash);
});

test('a configured bundle that still waits is not forgotten by a start', async (t) => {
  const { authority, time, trusted } = scripted();
  const store = new IdentityStore(temporaryFolder(t), 'web.token');
  const next = makeRoot();
  const first = makeAgent(authority, { store });
  await first.agent.takeBundle(trusted);
  await first.agent.takeBundle(bundleOf(next.pem));
  await time.advance(lifeMs * 0.55);
  assert.equal(first.mesh.current?.generation, 2, 'renewed under the bundle before');
  first.agent.close();
  const second = makeAgent(authority, { store });
  await second.agent.takeBundle(bundleOf(next.pem));
  assert.match(
    second.agent.whyNone,
    /handshake failed/,
    'a root that was taken out is not believed',
  );
  authority.root = next;
  authority.bundle = next.pem;
  await time.advance(2 * minuteMs);
  assert.equal(second.mesh.current?.roots, bundleOf(next.pem).pem);
  second.agent.close();
});

test('a bundle that comes while the first certificate is awaited is not forgotten', async () => {
  const { authority, time, trusted } = scripted();
  const { agent, mesh } = makeAgent(authority);
  const next = makeRoot();
  const asked = agent.takeBundle(trusted);
  await agent.takeBundle(bundleOf(next.pem));
  await asked;
  assert.equal(mesh.current?.roots, trusted.pem);
  authority.root = next;
  authority.bundle = next.pem;
  await time.advance(2 * minuteMs);
  assert.equal(mesh.current?.roots, bundleOf(next.pem).pem);
  agent.close();
});
