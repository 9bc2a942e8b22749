import assert from 'node:assert/strict';
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { systemRandom } from '../../src/base/random.ts';
import { generateKeys } from '../../src/identity/certificate.ts';
import { writeCertificateRequest } from '../../src/identity/csr.ts';
import { FolderStore } from '../../src/identity/state-store.ts';
import { readTrustBundle } from '../../src/identity/trust-bundle.ts';
import {
  type ActionParts,
  makeToken,
  printBundle,
  rotateRoot,
  showStatus,
} from '../../src/main/ca-actions.ts';
import { readCaSettings } from '../../src/main/ca-settings.ts';
import { temporaryFolder, tracecar } from './sidecar-process.ts';

/** Every wait is for something that is said; one that never comes ends the test. */
const guard = { timeout: 120_000 };

interface Said {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A running `tracecar ca` with all that it has said. */
class Authority {
  readonly lines: Said[] = [];
  readonly ended: Promise<number | null>;
  port = 0;
  metrics = 0;
  readonly #child;
  #wake: () => void = () => {};

  constructor(t: TestContext, ...args: readonly string[]) {
    const any = ['--listen', '127.0.0.1:0', '--metrics', '127.0.0.1:0'];
    this.#child = spawn(process.execPath, [tracecar, 'ca', ...any, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    t.after(() => this.#child.kill('SIGKILL'));
    createInterface({ input: this.#child.stderr! }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Said);
      this.#wake();
    });
    this.ended = once(this.#child, 'close').then(([status]) => {
      this.#wake();
      return status as number | null;
    });
  }

  static async start(t: TestContext, ...args: readonly string[]): Promise<Authority> {
    const authority = new Authority(t, ...args);
    const { metrics, sign } = await authority.said((line) => line.message === 'serving');
    authority.port = (sign as { port: number }).port;
    authority.metrics = (metrics as { port: number }).port;
    return authority;
  }

  /** The first line that is so. */
  async said(isIt: (line: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = this.lines.find(isIt);
      if (found !== undefined) return found;
      const isOver = await Promise.race([
        new Promise<false>((resolve) => {
          this.#wake = () => resolve(false);
        }),
        this.ended.then(() => true),
      ]);
      if (isOver && !this.lines.some(isIt)) throw new Error(JSON.stringify(this.lines));
    }
  }

  async stop(by: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.#child.kill(by);
    return this.ended;
  }
}

/** `tracecar ca ARGS` to its end, as a program. */
function ca(...args: readonly string[]) {
  return new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
    const ending = { timeout: 60_000 };
    execFile(process.execPath, [tracecar, 'ca', ...args], ending, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** The same within this process, which costs a hundredth of it. */
async function act(
  action: (parts: ActionParts) => Promise<number>,
  state: string,
  ...args: readonly string[]
) {
  const said = { status: 0, stdout: '', stderr: '' };
  said.status = await action({
    settings: readCaSettings([wordOf(action), '--state', state, ...args], {}),
    store: new FolderStore(state, Date.now),
    wallTime: Date.now,
    random: systemRandom,
    out: (text) => {
      said.stdout += text;
    },
    err: (text) => {
      said.stderr += text;
    },
  });
  return said;
}

function wordOf(action: (parts: ActionParts) => Promise<number>): string {
  return { makeToken: 'token', printBundle: 'bundle', rotateRoot: 'rotate', showStatus: 'status' }[
    action.name
  ]!;
}

interface Signed {
  readonly certificates: string;
  readonly bundle: string;
}

function sign(
  { port }: Authority,
  roots: string,
  token: string,
  { bundle = '', instance = 'web-1' } = {},
) {
  const hash = bundle === '' ? '' : hashOf(bundle);
  const body = JSON.stringify({
    csr: writeCertificateRequest(generateKeys()),
    bundleHash: hash,
    instance,
  });
  return new Promise<{ status: number; body: Signed & { cause?: string } }>((resolve, reject) => {
    const call = request({
      ...{ host: '127.0.0.1', servername: 'localhost', port, ca: roots, agent: false },
      ...{ method: 'POST', path: '/v1/sign' },
      headers: { authorization: `Bearer ${token}`, 'content-length': Buffer.byteLength(body) },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }),
      );
    });
    call.end(body);
  });
}

function hashOf(pem: string): string {
  const bundle = readTrustBundle(pem);
  assert.ok('hash' in bundle);
  return bundle.hash;
}

async function tokenOf(state: string, ...args: readonly string[]): Promise<string> {
  const { status, stdout } = await act(makeToken, state, ...args);
  assert.equal(status, 0);
  return stdout.trim();
}

test(
  'a token is good at once, a line taken out of the file is refused at once',
  guard,
  async (t) => {
    const state = join(temporaryFolder(t), 'state');
    const authority = await Authority.start(t, '--state', state);
    const roots = readFileSync(join(state, 'bundle.pem'), 'utf8');
    const token = await tokenOf(state, '--namespace', 'shop', '--service-account', 'web');
    assert.equal((await sign(authority, roots, token)).status, 200);
    const audit = await authority.said(({ message }) => message === 'certificate signed');
    assert.equal(audit.id, 'spiffe://cluster.local/ns/shop/sa/web');
    const tokens = join(state, 'tokens');
    assert.ok(!readFileSync(tokens, 'utf8').includes(token));
    writeFileSync(tokens, '# nobody\n');
    const refused = await sign(authority, roots, token);
    assert.deepEqual([refused.status, refused.body.cause], [401, 'token-unknown']);
    for (const name of ['authority.json', 'tokens']) {
      assert.equal(statSync(join(state, name)).mode & 0o777, 0o600, name);
    }
    assert.equal(await authority.stop(), 0);
    assert.ok(existsSync(join(state, 'sidecars.json')));
    const said = JSON.stringify(authority.lines);
    assert.ok(!said.includes(token) && !said.includes('PRIVATE KEY'));
  },
);

test('a token in a folder that is no authority is said to count for nobody yet', async (t) => {
  const typo = join(temporaryFolder(t), 'statt');
  const { status, stderr } = await act(makeToken, typo);
  assert.equal(status, 0);
  assert.match(stderr, /statt holds no authority/);
});

test('an authority whose keys others may read says so and does not start', guard, async (t) => {
  const state = join(temporaryFolder(t), 'state');
  const first = await Authority.start(t, '--state', state);
  const token = await act(makeToken, state);
  assert.doesNotMatch(token.stderr, /holds no authority/);
  await first.stop();
  chmodSync(join(state, 'authority.json'), 0o644);
  const second = await ca('serve', '--state', state, '--listen', '127.0.0.1:0');
  assert.equal(second.status, 2);
  assert.match(second.stderr, /authority\.json may be read by others/);
  const status = await ca('status', '--state', state);
  assert.equal(status.status, 2);
  assert.match(status.stderr, /authority\.json may be read by others/);
  assert.doesNotMatch(status.stderr, / at |bug/);
});

test(
  'started again it has the same root, and knows each sidecar that it has answered',
  guard,
  async (t) => {
    const state = join(temporaryFolder(t), 'state');
    const first = await Authority.start(t, '--state', state, '--trust-domain', 'mesh.example');
    const token = await tokenOf(state);
    const roots = readFileSync(join(state, 'bundle.pem'), 'utf8');
    const signed = await sign(first, roots, token);
    await first.stop('SIGKILL');
    const second = await Authority.start(t, '--state', state);
    const again = await sign(second, roots, token, {
      bundle: signed.body.bundle,
      instance: 'web-2',
    });
    assert.equal(again.body.bundle, roots);
    await second.stop();
    const { stdout } = await act(showStatus, state, '--output', 'json');
    const status = JSON.parse(stdout);
    assert.equal(status.trustDomain, 'mesh.example');
    const known = status.sidecars.map(
      (each: { id: string; instance: string; hasBundle: boolean }) => [
        each.id,
        each.instance,
        each.hasBundle,
      ],
    );
    assert.deepEqual(known, [
      ['spiffe://mesh.example/ns/default/sa/default', 'web-1', false],
      ['spiffe://mesh.example/ns/default/sa/default', 'web-2', true],
    ]);
  },
);

test(
  'a state that is taken away while it runs changes nothing, and is not replaced',
  guard,
  async (t) => {
    const state = join(temporaryFolder(t), 'state');
    const authority = await Authority.start(t, '--state', state);
    const roots = readFileSync(join(state, 'bundle.pem'), 'utf8');
    const token = await tokenOf(state);
    rmSync(join(state, 'authority.json'));
    const { message } = await authority.said(({ level }) => level === 'error');
    assert.match(message, /the state is gone.*what was read before stays in use/);
    assert.equal((await sign(authority, roots, token)).status, 200);
    assert.equal(existsSync(join(state, 'authority.json')), false);
  },
);

test(
  'a rotation is followed live, and names who is not ready for its next phase',
  guard,
  async (t) => {
    const state = join(temporaryFolder(t), 'state');
    const authority = await Authority.start(t, '--state', state);
    const old = readFileSync(join(state, 'bundle.pem'), 'utf8');
    const token = await tokenOf(state);
    await sign(authority, old, token, { bundle: old });
    const signing = (count: number) => (line: Said) =>
      line.message === 'signing' && (line.roots as string[]).length === count;

    const began = (await ca('rotate', '--state', state)).stdout;
    assert.match(began, /phase 1 of 3/);
    const older =
      /^before phase 3: trust bundles from before \d{4}-\S+Z have the old root alone; recreate the pods/m;
    assert.match(began, older);
    assert.match((await act(showStatus, state)).stdout, older);
    await authority.said(signing(2));
    const both = (await sign(authority, old, token, { bundle: old })).body.bundle;
    assert.equal(readTrustBundleCount(both), 2);
    const last = await sign(authority, both, token, { bundle: both, instance: 'web-2' });
    assert.equal(last.status, 200);
    assert.equal(await authority.stop(), 0);

    const early = await act(rotateRoot, state);
    assert.equal(early.status, 1);
    assert.match(
      early.stderr,
      /^spiffe:\/\/\S+ \(web-1\) has not reported that it trusts the new root$/m,
    );
    assert.doesNotMatch(early.stderr, /web-2/);
    assert.match((await act(showStatus, state)).stdout, /waits for\n {2}spiffe:.*web-1/);

    const gone = await act(rotateRoot, state, '--gone', 'web-1');
    assert.match(gone.stdout, /phase 2 of 3/);
    const again = await Authority.start(t, '--state', state);
    const fresh = await sign(again, both, token, { bundle: both, instance: 'web-2' });
    assert.equal(fresh.status, 200);
    await assert.rejects(sign(again, old, token), /certificate/);
    const third = await act(rotateRoot, state);
    assert.equal(third.status, 1);
    assert.match(third.stderr, /a certificate of the old root may be good until/);
  },
);

function readTrustBundleCount(pem: string): number {
  const bundle = readTrustBundle(pem);
  return 'roots' in bundle ? bundle.roots.length : 0;
}

const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];

/** An issuer under a root, as an outside authority would write it. */
function makeOutside(folder: string, name: string, keyKind: readonly string[] = p256) {
  const file = (end: string) => join(folder, `${name}.${end}`);
  const openssl = (...args: readonly string[]) =>
    execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const isCa = [
    '-addext',
    'keyUsage=critical,keyCertSign',
    '-addext',
    'basicConstraints=critical,CA:TRUE',
  ];
  if (!existsSync(join(folder, 'root.pem'))) {
    openssl(
      'req',
      '-x509',
      ...p256,
      '-nodes',
      '-keyout',
      'root.key',
      '-out',
      'root.pem',
      '-days',
      '90',
      '-subj',
      '/CN=root',
      '-addext',
      'keyUsage=critical,keyCertSign',
    );
  }
  openssl(
    'req',
    ...keyKind,
    '-nodes',
    '-keyout',
    file('key'),
    '-out',
    file('csr'),
    '-subj',
    `/CN=${name}`,
    ...isCa,
  );
  const by = [
    '-CA',
    'root.pem',
    '-CAkey',
    'root.key',
    '-CAcreateserial',
    '-copy_extensions',
    'copy',
  ];
  openssl('x509', '-req', '-in', file('csr'), ...by, '-days', '60', '-out', file('crt'));
  return { certificate: file('crt'), key: file('key') };
}

test(
  'an outside issuer signs, is replaced live, and a wrong one changes nothing',
  guard,
  async (t) => {
    const folder = temporaryFolder(t);
    const state = join(folder, 'state');
    const [first, second] = ['issuer-1', 'issuer-2'].map((name) => makeOutside(folder, name));
    const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
    const use = (pair: { certificate: string; key: string }, certificateOnly = false) => {
      for (const [from, to] of [
        [pair.certificate, cert],
        ...(certificateOnly ? [] : [[pair.key, key]]),
      ] as [string, string][]) {
        writeFileSync(`${to}.new`, readFileSync(from));
        renameSync(`${to}.new`, to);
      }
    };
    use(first!);
    const rootsFile = join(folder, 'root.pem');
    const files = ['--issuer-cert', cert, '--issuer-key', key, '--roots', rootsFile];
    const authority = await Authority.start(t, '--state', state, ...files);
    const roots = readFileSync(rootsFile, 'utf8');
    const token = await tokenOf(state);
    const issuerOf = async () => {
      const { body } = await sign(authority, roots, token);
      const issuer = body.certificates.split(/(?=-----BEGIN)/)[1]!;
      return execFileSync('openssl', ['x509', '-noout', '-subject'], { input: issuer }).toString();
    };
    assert.match(await issuerOf(), /issuer-1/);

    use(second!, true);
    const wrong = await authority.said(({ level }) => level === 'error');
    assert.match(
      wrong.message,
      /tls\.crt is not for \S+tls\.key: key values mismatch \(compare `openssl .*`\); what was read before stays/,
    );
    assert.match(await issuerOf(), /issuer-1/);

    use(makeOutside(folder, 'weak', ['-newkey', 'rsa:1024']));
    await authority.said(({ message }) =>
      /CN=weak is not believed: an RSA key of 1024 bits; .*; what was read before stays/.test(
        message,
      ),
    );
    assert.match(await issuerOf(), /issuer-1/);

    use(second!);
    await authority.said(
      ({ issuer, message }) => message === 'signing' && issuer === 'CN=issuer-2',
    );
    assert.match(await issuerOf(), /issuer-2/);
    assert.equal(readFileSync(join(state, 'bundle.pem'), 'utf8').trim(), roots.trim());
  },
);

test('what cannot start says why in one line', guard, async (t) => {
  const folder = temporaryFolder(t);
  const state = join(folder, 'state');
  const authority = await Authority.start(t, '--state', state);
  const lost = join(folder, 'lost');
  mkdirSync(lost);
  cpSync(join(state, 'bundle.pem'), join(lost, 'bundle.pem'));
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['--state', state, '--listen', `127.0.0.1:${authority.port}`], /is in use by another process/],
    [['--state', state, '--trust-domain', 'other.example'], /it is of trust domain cluster\.local/],
    [['status', '--state', join(folder, 'none')], /holds no authority/],
    [
      ['--state', lost],
      /the state is gone, and roots made from it are in use; bring it back, or remove \S+bundle\.pem to begin anew/,
    ],
  ];
  const results = await Promise.all(cases.map(([args]) => ca(...args)));
  for (const [index, { status, stderr }] of results.entries()) {
    const [args, pattern] = cases[index]!;
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, pattern);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
  }
});

test(
  'its metrics say how much time root and issuer have, and what was refused',
  guard,
  async (t) => {
    const state = join(temporaryFolder(t), 'state');
    const authority = await Authority.start(t, '--state', state);
    const { stdout: roots } = await act(printBundle, state);
    await sign(authority, roots, 'wrong');
    await sign(authority, roots, await tokenOf(state));
    const page = await (await fetch(`http://127.0.0.1:${authority.metrics}/metrics`)).text();
    const value = (name: string) =>
      Number(
        page
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.split(' ')[1],
      );
    assert.equal(value('tracecar_ca_certificates_total'), 1);
    assert.equal(value('tracecar_ca_refused_total{cause="token-unknown"}'), 1);
    assert.equal(value('tracecar_ca_sidecars'), 1);
    const daysLeft = (which: string) =>
      Math.round(value(`tracecar_ca_cert_seconds_left{which="${which}"}`) / 86_400);
    assert.deepEqual([daysLeft('root'), daysLeft('issuer')], [365, 30]);
  },
);
