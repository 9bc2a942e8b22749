import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { seededRandom } from '../../src/base/random.ts';
import {
  type AuthorityMaterial,
  type AuthorityState,
  createState,
  materialOf,
  printState,
  readState,
} from '../../src/identity/authority-state.ts';
import { rotate } from '../../src/identity/rotation.ts';
import {
  printReports,
  readReports,
  type SidecarReport,
  SidecarReports,
} from '../../src/identity/sidecar-reports.ts';

const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 10, 26);
const random = seededRandom(3);
const web = 'spiffe://cluster.local/ns/shop/sa/web';

function material(state: AuthorityState): AuthorityMaterial {
  const made = materialOf(state);
  assert.ok(!('problem' in made));
  return made;
}

/** A report of a sidecar that has just renewed with `state`, and says that it trusts what `has` trusts. */
function reportOf(
  instance: string,
  has: AuthorityState,
  state: AuthorityState,
  issuedMs: number,
): SidecarReport {
  return {
    id: web,
    instance,
    bundleHash: material(has).bundle.hash,
    rootHash: material(state).rootHash,
    issuedMs,
    notAfterMs: issuedMs + dayMs,
  };
}

function turn(
  state: AuthorityState,
  sidecars: readonly SidecarReport[],
  nowMs: number,
  gone: readonly string[] = [],
) {
  const next = rotate({ state, list: { sidecars, overfullUntilMs: 0 }, gone, nowMs }, random);
  assert.ok(!('problem' in next));
  return next;
}

function stateOf(next: ReturnType<typeof turn>): AuthorityState {
  assert.ok('state' in next, JSON.stringify(next));
  return next.state;
}

function missingOf(next: ReturnType<typeof turn>): readonly string[] {
  assert.ok('missing' in next);
  return next.missing;
}

const steady = createState('cluster.local', dayMs, startMs, random);

test('three phases: both trusted, the new one signs, the old one is out', () => {
  const old = reportOf('web-1', steady, steady, startMs);
  const spread = stateOf(turn(steady, [old], startMs));
  assert.equal(spread.phase, 'spread');
  assert.equal(material(spread).bundle.roots.length, 2);
  assert.equal(material(spread).rootHash, material(steady).rootHash);

  const spreadMs = startMs + dayMs / 2;
  const issue = stateOf(turn(spread, [reportOf('web-1', spread, spread, spreadMs)], spreadMs));
  assert.equal(issue.phase, 'issue');
  assert.equal(material(issue).bundle.hash, material(spread).bundle.hash);
  assert.notEqual(material(issue).rootHash, material(steady).rootHash);

  const issueMs = spreadMs + dayMs;
  const done = stateOf(turn(issue, [reportOf('web-1', issue, issue, issueMs)], issueMs));
  assert.equal(done.phase, 'steady');
  assert.equal(material(done).bundle.roots.length, 1);
  assert.equal(material(done).rootHash, material(issue).rootHash);
});

test('the new root signs only when every live sidecar trusts it, and who is missing is named', () => {
  const spread = stateOf(turn(steady, [], startMs));
  const nowMs = startMs + 60_000;
  const sidecars = [
    reportOf('ready', spread, spread, nowMs),
    reportOf('late', steady, spread, nowMs),
    { ...reportOf('ended', steady, steady, nowMs), notAfterMs: nowMs },
  ];
  assert.deepEqual(missingOf(turn(spread, sidecars, nowMs)), [
    `${web} (late) has not reported that it trusts the new root`,
  ]);
  assert.equal(stateOf(turn(spread, sidecars, nowMs, ['late'])).phase, 'issue');
  // A thousand names that somebody made up with one token are one word to say.
  const flood = Array.from({ length: 1000 }, (_, index) =>
    reportOf(`made-up-${index}`, steady, spread, nowMs),
  );
  assert.equal(missingOf(turn(spread, flood, nowMs)).length, 1000);
  assert.equal(stateOf(turn(spread, flood, nowMs, [web])).phase, 'issue');
});

test('the old root stays until a leaf life has passed and nobody has a leaf of it', () => {
  const spread = stateOf(turn(steady, [], startMs));
  const issue = stateOf(turn(spread, [], startMs));
  const soonMs = startMs + dayMs - 1;
  const ready = reportOf('ready', issue, issue, soonMs);
  const soon = missingOf(turn(issue, [ready], soonMs));
  assert.deepEqual(soon, [
    'a certificate of the old root may be good until 2026-11-27T00:00:00.000Z',
  ]);
  const late = reportOf('late', issue, spread, soonMs);
  assert.deepEqual(missingOf(turn(issue, [ready, late], startMs + dayMs)), [
    `${web} (late) has a leaf of the old root`,
  ]);
  assert.equal(stateOf(turn(issue, [ready], startMs + dayMs)).phase, 'steady');
});

test('a root that has ended heals in two steps, because nobody can be harmed any more', () => {
  const endedMs = startMs + 400 * dayMs;
  const last = reportOf('web-1', steady, steady, startMs + 364 * dayMs);
  const spread = stateOf(turn(steady, [last], endedMs));
  const issue = stateOf(turn(spread, [last], endedMs));
  const { rootNotAfterMs, signer } = material(issue);
  assert.ok(rootNotAfterMs > endedMs && signer.notAfterMs > endedMs);
});

test('a list of sidecars that was full stops a rotation until it is whole again', () => {
  const spread = stateOf(turn(steady, [], startMs));
  const reports = new SidecarReports(1);
  reports.add(reportOf('a', spread, spread, startMs));
  reports.add(reportOf('b', steady, spread, startMs));
  const list = { sidecars: reports.live(startMs), overfullUntilMs: reports.overfullUntilMs };
  assert.equal(list.overfullUntilMs, startMs + dayMs);
  const next = rotate({ state: spread, list, gone: [], nowMs: startMs }, random);
  assert.ok('missing' in next);
  const later = rotate({ state: spread, list, gone: [], nowMs: startMs + dayMs }, random);
  assert.ok('state' in later);
});

test('the newest report of a sidecar counts, in whatever order they come', () => {
  const spread = stateOf(turn(steady, [], startMs));
  const first = reportOf('a', steady, spread, startMs);
  const second = reportOf('a', spread, spread, startMs + 1);
  for (const order of [
    [first, second],
    [second, first],
  ]) {
    const reports = new SidecarReports(10);
    for (const each of order) reports.add(each);
    assert.deepEqual(reports.live(startMs), [second]);
  }
});

test('reports are read back as they were written, and nothing else is', () => {
  const list = { sidecars: [reportOf('a', steady, steady, startMs)], overfullUntilMs: 5 };
  assert.deepEqual(readReports(printReports(list)), list);
  for (const text of ['', 'null', '[]', '{}', '{"overfullUntilMs":0,"sidecars":[{"id":"a"}]}']) {
    assert.equal(readReports(text), undefined);
  }
});

test('a state is read back as it was written, and shows its keys to nobody else', () => {
  const spread = stateOf(turn(steady, [], startMs));
  for (const state of [steady, spread]) {
    const text = printState(state);
    assert.match(text, /BEGIN PRIVATE KEY/);
    const back = readState(text);
    assert.ok(!('problem' in back));
    assert.equal(printState(back), text);
    assert.doesNotMatch(JSON.stringify(state) + inspect(state, { depth: 9 }), /PRIVATE KEY/);
  }
});

test('a state whose parts do not fit each other is refused, and its problem quotes no key', () => {
  const text = printState(steady);
  const stored = JSON.parse(text);
  const other = JSON.parse(printState(createState('cluster.local', dayMs, startMs, random)));
  const torn = [
    '',
    'null',
    text.slice(0, -10),
    JSON.stringify({ ...stored, version: 2 }),
    JSON.stringify({ ...stored, phase: 'spread' }),
    JSON.stringify({ ...stored, trustDomain: 'Cluster' }),
    JSON.stringify({ ...stored, issuer: { ...stored.issuer, key: other.issuer.key } }),
    JSON.stringify({ ...stored, roots: [{ certificate: 'x', key: 'y' }] }),
  ];
  for (const each of torn) {
    const read = readState(each);
    assert.ok('problem' in read);
    assert.doesNotMatch(read.problem, /KEY|MIG/);
  }
});
