/**
 * `tracecar run` on a machine: a network namespace of this test stands for it, with another host beside
 * it. What the command sees, what others see of it, and that nothing stays.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import {
  makePods,
  type Pod,
  type PodNetwork,
  PodProcess,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { skipWithout } from '../../support/skip-without.ts';

const root = resolve(import.meta.dirname, '../../..');
const tracecar = join(root, 'src/cli/tracecar.ts');

const skip = skipWithout(import.meta.filename, whyNoPods());

let network: PodNetwork | undefined;
let machine: Pod;
let far: Pod;

/** Answers with what it was asked. */
const echo = `require('node:http').createServer(({ headers, socket, url }, response) => {
  response.end(JSON.stringify({ url, peer: socket.remoteAddress, ...headers }) + '\\n');
}).listen({ host: '::', port: 8080 }, () => console.log('open'));`;

/** Holds the machine's network and folders of its own for what names runs, so no other run is seen. */
let holder: PodProcess | undefined;

before(async () => {
  if (skip !== false) return;
  network = makePods(2);
  [machine, far] = network.pods as [Pod, Pod];
  const folders = `mkdir -p /run/tracecar && mount -t tmpfs tmpfs /run/tracecar &&
    mount -t tmpfs tmpfs /run/netns && echo open && exec sleep infinity`;
  const inside = [`--net=/run/netns/${machine.namespace}`, 'unshare', '--mount', 'sh', '-c'];
  holder = new PodProcess(
    spawn('nsenter', [...inside, folders], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  await holder.says(/^open/);
  await far.start(users.app, [process.execPath, '-e', echo]).says(/open/);
});

after(async () => {
  holder?.child.kill('SIGKILL');
  await holder?.ended;
  await network?.close();
});

/** The start of a sidecar is other tests'; a warm-up is most of what it costs. */
const environmentOfAll = { ...process.env, TRACECAR_WARM_UP_MS: '0' };

/** On the machine, as we are. */
const onMachine = () => [
  ...['nsenter', `--target=${holder!.child.pid}`, '--net', '--mount', `--wd=${root}`],
];

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

function runToEnd(args: readonly string[], input = '', env = {}): Ran {
  const [program, ...before] = [...onMachine(), process.execPath, tracecar, 'run'];
  const { status, stdout, stderr } = spawnSync(program!, [...before, ...args], {
    env: { ...environmentOfAll, ...env },
    encoding: 'utf8',
    input,
    timeout: 60_000,
  });
  return { status, output: stdout, errors: stderr };
}

function startRun(t: TestContext, args: readonly string[], env = {}): PodProcess {
  const [program, ...before] = [...onMachine(), process.execPath, tracecar, 'run'];
  const child = spawn(program!, [...before, ...args], {
    env: { ...environmentOfAll, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const run = new PodProcess(child);
  t.after(async () => {
    child.kill('SIGTERM');
    await run.ended;
  });
  return run;
}

/** On a terminal of its own, at which the test types. */
function onTerminal(t: TestContext, args: readonly string[]): PodProcess {
  const words = [...onMachine(), process.execPath, tracecar, 'run', ...args];
  const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const child = spawn('script', ['-qefc', `exec ${line}`, '/dev/null'], {
    env: { ...environmentOfAll, SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  return new PodProcess(child);
}

/** Everything that a run could leave behind. */
function traces(): string[] {
  const linesOf = (...command: string[]) => {
    const inside = spawnSync('nsenter', [...onMachine().slice(1), ...command], {
      encoding: 'utf8',
    });
    return inside.stdout.split('\n').filter((line) => line !== '');
  };
  return [
    ...linesOf('ls', '/run/netns'),
    ...linesOf('ls', '/run/tracecar'),
    ...linesOf('nft', 'list', 'tables'),
    ...linesOf('ip', '-brief', 'link').filter((line) => line.startsWith('tcar-')),
    ...linesOf('ip', 'route').filter((line) => line.includes('tcar-')),
    ...linesOf('cat', '/proc/sys/net/ipv4/ip_forward').filter((line) => line !== '0'),
  ];
}

const node = (script: string) => ['--', process.execPath, '-e', script];

test('the command has its arguments, input, output and status, and nothing stays', { skip }, () => {
  const { status, output, errors } = runToEnd(
    ['--quiet', '--', 'sh', '-c', 'cat; printf "%s|" "$@" >&2; exit 7', 'sh', 'a b', '--x', ''],
    'what is typed',
  );
  assert.deepEqual([status, output, errors], [7, 'what is typed', 'a b|--x||']);
  assert.deepEqual(traces(), []);
});

test('a command that a signal ends has the status of a shell', { skip }, () => {
  assert.equal(runToEnd(['--', 'sh', '-c', 'kill -9 $$']).status, 128 + 9);
});

test('what the command dials goes through its sidecar, to others from the machine', {
  skip,
}, () => {
  const { status, output, errors } = runToEnd([
    ...['--', 'curl', '-s', '-m', '20', `http://${far.v4}:8080/one`],
  ]);
  assert.equal(status, 0, errors);
  const seen = JSON.parse(output);
  assert.equal(seen.url, '/one');
  assert.match(seen.traceparent, /^00-[0-9a-f]{32}-/);
  assert.equal(seen.peer, `::ffff:${machine.v4}`);
  assert.match(errors, /^tracecar run: curl is reached at 169\.254\.\d+\.2; it reaches this mach/);
  assert.match(errors, /\ntracecar run: this machine forwards packets .* until its last/);
  assert.equal(errors.trim().split('\n').length, 2, errors);
});

test('on a machine that forwards IPv6 the command has it too, through its sidecar', {
  skip,
}, async (t) => {
  const forwards = (value: 0 | 1) => {
    const setting = ['sysctl', '-qw', `net.ipv6.conf.all.forwarding=${value}`];
    assert.equal(spawnSync('nsenter', [...onMachine().slice(1), ...setting]).status, 0);
  };
  forwards(1);
  t.after(() => forwards(0));
  const url = `http://[${far.v6}]:8080/six`;
  const { status, output, errors } = runToEnd(['--', 'curl', '-s', '-m', '20', url]);
  assert.equal(status, 0, errors);
  const seen = JSON.parse(output);
  assert.match(seen.traceparent, /^00-[0-9a-f]{32}-/);
  assert.equal(seen.peer, machine.v6);
  assert.match(
    errors,
    /reached at 169\.254\.(\d+)\.2 and fd74:7261:6365:\1::2; it reaches .*::1\n/,
  );
  const run = startRun(t, node(echo));
  await run.says(/^open/);
  const own = await run.says(/is reached at/);
  const [, address = ''] = / and (fd74\S+::2);/.exec(own)!;
  const caller = runToEnd(['--', 'curl', '-s', '-m', '20', `http://[${address}]:8080/`]);
  assert.match(JSON.parse(caller.output).traceparent, /^00-/, caller.errors);
});

test('what is skipped stays direct', { skip }, () => {
  const args = ['curl', '-s', '-m', '20', `http://${far.v4}:8080/`];
  for (const flag of ['--skip-outbound-ports=8080', `--skip-outbound-cidrs=${far.v4}`]) {
    assert.equal(JSON.parse(runToEnd([flag, '--', ...args]).output).traceparent, undefined);
  }
  const { status, errors } = runToEnd(['--skip-outbound-ports=http', '--', ...args]);
  assert.equal(status, 2);
  assert.match(errors, /^tracecar init: --skip-outbound-ports: 'http' is no port/);
});

test('an unchanged Node.js application is one trace from its caller to whom it calls', {
  skip,
}, async (t) => {
  const application = `require('node:http').createServer(async (request, response) => {
    const answer = await fetch('http://${far.v4}:8080/called');
    response.end(JSON.stringify({ own: request.headers.traceparent, far: await answer.json() }));
  }).listen(9080, () => console.log('open', process.env.NODE_OPTIONS));`;
  const options = { NODE_OPTIONS: '--stack-trace-limit=7' };
  const run = startRun(t, ['--address=10.88.7.2', ...node(application)], options);
  assert.match(await run.says(/^open/), /--require ".*propagate\.cjs" --stack-trace-limit=7$/);
  const curl = [...onMachine(), 'curl', '-s', '-m', '20', 'http://10.88.7.2:9080/'];
  const { own, far: called } = JSON.parse(spawnSync(curl[0]!, curl.slice(1)).stdout.toString());
  assert.match(own, /^00-[0-9a-f]{32}-/);
  assert.equal(called.traceparent.slice(0, 35), own.slice(0, 35));
});

test('runs of one machine reach each other by their own addresses', { skip }, async (t) => {
  const run = startRun(t, ['--address=10.88.7.3', ...node(echo)]);
  await run.says(/^open/);
  const curl = ['curl', '-s', '-m', '20', 'http://10.88.7.3:8080/'];
  const { output, errors } = runToEnd(['--address=10.88.7.4', '--', ...curl]);
  assert.match(JSON.parse(output).traceparent, /^00-/, errors);
  const taken = runToEnd(['--address=10.88.7.3', '--', ...curl]);
  assert.equal(taken.status, 2);
  assert.match(taken.errors, /^tracecar run: --address 10\.88\.7\.3 is taken[^\n]+\n$/);
});

test('the command hears the signals that its runner hears', { skip }, async (t) => {
  const listener = `for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'])
    process.on(signal, () => console.log('heard', signal));
  process.on('SIGTERM', () => { console.log('ends'); process.exit(5); });
  setInterval(() => {}, 1000); console.log('open');`;
  const run = startRun(t, ['--propagation=off', ...node(listener)]);
  await run.says(/^open/);
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const) {
    run.child.kill(signal);
    await run.says(new RegExp(`^heard ${signal}$`));
  }
  run.child.kill('SIGTERM');
  assert.equal(await run.ended, 5);
  assert.ok(run.lines.includes('ends'));
  assert.deepEqual(traces(), []);
});

test('a signal before the command has begun ends the start', { skip }, async (t) => {
  const run = startRun(t, ['--', 'sleep', '60']);
  while (!traces().includes('run-1')) await new Promise((settle) => setImmediate(settle));
  run.child.kill('SIGTERM');
  assert.equal(await run.ended, 128 + 15);
  assert.deepEqual(traces(), []);
});

test('Ctrl-C on a terminal is heard once by the command, and not by its sidecar', {
  skip,
}, async (t) => {
  const application = `let heard = 0; process.on('SIGINT', async () => {
      heard += 1; console.log('heard ' + heard + ' ' + process.stdin.isTTY);
      console.log('status ' + (await fetch('http://${far.v4}:8080/after')).status); process.exit(3);
    }); console.log('open ' + process.stdout.isTTY); setInterval(() => {}, 1000);`;
  const run = onTerminal(t, ['--quiet', ...node(application)]);
  await run.says(/^open true/);
  run.child.stdin!.write('\u0003');
  await run.says(/heard 1 true/);
  assert.equal(await run.ended, 3);
  assert.match(run.lines.join('\n'), /^status 200\r?$/m);
  assert.doesNotMatch(run.lines.join('\n'), /heard 2/);
  assert.deepEqual(traces(), []);
});

test('on a terminal a signal for the runner alone is passed on, once', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const application = `let heard = 0; process.on('SIGINT', () => console.log('heard ' + (heard += 1)));
    process.on('SIGTERM', () => { console.log('in all ' + heard); process.exit(6); });
    console.log('open'); setInterval(() => {}, 1000);`;
  const run = onTerminal(t, ['--quiet', ...node(application)]);
  await run.says(/^open/);
  const kill = (signal: NodeJS.Signals) => process.kill(runnerPid(), signal);
  for (const heard of [/heard 1/, /heard 2/]) {
    kill('SIGINT');
    await run.says(heard);
  }
  run.child.stdin!.write('\u0003');
  await run.says(/heard 3/);
  kill('SIGTERM');
  assert.equal(await run.ended, 6);
  assert.match(run.lines.join('\n'), /in all 3/);
  assert.deepEqual(traces(), []);
});

/** Of the only run. */
function runnerPid(): number {
  const command = [...onMachine().slice(1), 'cat', '/run/tracecar/run-1'];
  return Number.parseInt(spawnSync('nsenter', command, { encoding: 'utf8' }).stdout, 10);
}

test('Ctrl-C on a terminal before the command has begun ends the start', { skip }, async (t) => {
  const run = onTerminal(t, ['--', process.execPath, '-e', 'console.log("has begun")']);
  while (!traces().includes('run-1')) await new Promise((settle) => setImmediate(settle));
  run.child.stdin!.write('\u0003');
  assert.equal(await run.ended, 128 + 2);
  assert.doesNotMatch(run.lines.join('\n'), /has begun/);
  assert.deepEqual(traces(), []);
});

test('a runner that is killed takes its command along, and the next ones clear up', {
  skip,
}, async (t) => {
  const run = startRun(t, ['--', 'sh', '-c', 'echo pid $$; exec sleep 600']);
  const pid = Number((await run.says(/^pid/)).split(' ')[1]);
  const [number = ''] = traces().filter((name) => name.startsWith('run-'));
  run.child.kill('SIGKILL');
  // The pipes of its output are closed when the last process that has them is gone.
  await run.ended;
  assert.doesNotMatch(stateOf(pid), /[RSDT]/);
  assert.ok(traces().includes(`tracecar-${number}`));
  const next = ['cat', 'true', 'true'].map((program) => startRun(t, ['--', program]));
  assert.deepEqual(await Promise.all(next.map(({ ended }) => ended)), [0, 0, 0]);
  assert.deepEqual(traces(), []);
});

/** `Z` while its new parent has not heard of its end, empty then. */
function stateOf(pid: number): string {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))![1]!;
  } catch {
    return '';
  }
}

/** Takes a connection, and reads of it only when it is told by another one, then says all it got. */
const slow = `const { createServer } = require('node:net');
  let [held, isWanted] = [undefined, false];
  createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    let bytes = 0; held = socket; if (isWanted) socket.resume();
    socket.on('data', (part) => { bytes += part.length; });
    socket.on('end', () => { console.log('got', bytes); socket.end(); });
    socket.on('error', (error) => console.log('lost', bytes, error.code));
  }).listen(7007);
  createServer((socket) => { isWanted = true; held?.resume(); socket.destroy(); })
    .listen(7008, () => console.log('slow open'));`;

const sends = (bytes: number, status: number) =>
  node(`const socket = require('node:net').connect(7007, '${far.v4}');
    socket.end(Buffer.alloc(${bytes}), () => process.exit(${status}));`);

test('what a command sent before it ended is taken to the last byte, however late', {
  skip,
  timeout: 60_000,
}, async (t) => {
  const reader = slowReader(t);
  await reader.says(/^slow open/);
  const run = startRun(t, sends(60_000, 4));
  await run.says(new RegExp(`^tracecar run: waits until ${far.v4}:7007 has taken what`));
  far.start(users.app, ['curl', '-s', `http://${far.v4}:7008/`]);
  assert.equal(await reader.says(/^(got|lost) /), 'got 60000');
  assert.equal(await run.ended, 4);
  assert.doesNotMatch(run.lines.join('\n'), /gave up/);
  assert.deepEqual(traces(), []);
});

test('a signal ends the wait for who takes nothing', { skip, timeout: 60_000 }, async (t) => {
  const reader = slowReader(t);
  await reader.says(/^slow open/);
  const run = startRun(t, sends(60_000, 5));
  await run.says(/^tracecar run: waits until /);
  run.child.kill('SIGINT');
  assert.equal(await run.ended, 5);
  assert.doesNotMatch(run.lines.join('\n'), /gave up/);
  assert.deepEqual(traces(), []);
});

/** With so little room in its kernel that what it does not read stays on its way. */
function slowReader(t: TestContext): PodProcess {
  const inFar = [`--net=/run/netns/${far.namespace}`];
  const room = (bytes: string) => {
    const setting = ['sysctl', '-qw', `net.ipv4.tcp_rmem=${bytes}`];
    assert.equal(spawnSync('nsenter', [...inFar, ...setting]).status, 0);
  };
  room('4096 8192 8192');
  const reader = far.start(users.app, [process.execPath, '-e', slow]);
  t.after(async () => {
    room('4096 131072 6291456');
    reader.child.kill('SIGKILL');
    await reader.ended;
  });
  return reader;
}

test('spans reach a collector on the loopback of the machine, and are named as was typed, else after the command', {
  skip,
}, async () => {
  const collector = `require('node:http').createServer((request, response) => {
    const parts = []; request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const sent = Buffer.concat(parts);
      const isZipped = request.headers['content-encoding'] === 'gzip';
      const text = isZipped ? require('node:zlib').gunzipSync(sent) : sent;
      console.log(request.url, String(text)); response.end('{}');
    });
  }).listen(4318, '127.0.0.1', () => console.log('open'));`;
  const [program, ...args] = [...onMachine(), process.execPath, '-e', collector];
  const child: ChildProcess = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const collected = new PodProcess(child);
  try {
    await collected.says(/^open/);
    const environment = { OTEL_TRACES_SAMPLER: 'always_on' };
    const named = { ...environment, OTEL_SERVICE_NAME: 'of-the-shell' };
    for (const [path, env, flags, expected] of [
      ['/first', environment, [], 'curl'],
      ['/second', named, [], 'of-the-shell'],
      ['/third', named, ['--service-name=typed'], 'typed'],
    ] as const) {
      const url = `http://${far.v4}:8080${path}`;
      const ran = runToEnd([...flags, '--', 'curl', '-s', url], '', env);
      assert.equal(ran.status, 0, ran.errors);
      const line = await collected.says(new RegExp(path));
      assert.match(line, new RegExp(`^/v1/traces .*"service\\.name".{1,40}"${expected}"`));
    }
  } finally {
    child.kill('SIGKILL');
    await collected.ended;
  }
});

test('what cannot be run is one line and the status of a shell', { skip }, () => {
  const missing = runToEnd(['--', 'no-such-program']);
  assert.deepEqual(
    [missing.status, missing.errors],
    [127, 'tracecar run: there is no program no-such-program\n'],
  );
  const plain = runToEnd(['--', join(root, 'package.json')]);
  assert.equal(plain.status, 126);
  assert.match(plain.errors, /^tracecar run: .*package\.json is not executable\n$/);
});

test('what keeps it from starting is one line, status 2', { skip }, () => {
  const lines: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^tracecar run: needs a command behind `--`: .*--help`\)\n$/],
    [['sleep', '1'], /^tracecar run: unexpected argument 'sleep'.*\n$/],
    [['--address=::1', '--', 'true'], /^tracecar run: --address is an IPv4 address .*\n$/],
    [['--address=127.0.0.1', '--', 'true'], /^tracecar run: --address 127\.0\.0\.1 .*\n$/],
    [
      [`--address=${machine.v4}`, '--', 'true'],
      new RegExp(`^tracecar run: --address ${machine.v4} is this machine's own; .*\n$`),
    ],
    [['--labels=x', '--', 'true'], /^tracecar run: --labels is K=V.*\n$/],
  ];
  for (const [args, expected] of lines) {
    const { status, errors } = runToEnd(args);
    assert.equal(status, 2);
    assert.match(errors, expected);
  }
  const ours = [process.execPath, tracecar, 'run', '--', 'true'];
  const asUser = (user: readonly string[]) => {
    const [program, ...args] = [...onMachine(), 'setpriv', ...user, '--', ...ours];
    const { status, stderr } = spawnSync(program!, args, { encoding: 'utf8' });
    return { status, errors: stderr };
  };
  const plain = asUser(users.app);
  assert.equal(plain.status, 2);
  assert.match(plain.errors, /^tracecar run: needs root, .*: sudo tracecar run \.\.\.\n$/);
  const contained = asUser(users.bareRoot);
  assert.equal(contained.status, 2);
  assert.match(contained.errors, /^tracecar run: [^\n]+\n$/);
  assert.deepEqual(traces(), []);
});

test('what the user of the sidecar may not read is named with the folder and what to do', {
  skip,
}, (t) => {
  const home = mkdtempSync(join(tmpdir(), 'tracecar-home-'));
  t.after(() => rmSync(home, { recursive: true }));
  for (const name of ['mesh', 'tracecar']) mkdirSync(join(home, name));
  const closed = `${home} is closed to others \\(mode 0700\\)`;
  const { status, errors } = runToEnd([`--config=${home}/mesh`, '--', 'true']);
  assert.equal(status, 2);
  assert.match(
    errors,
    new RegExp(
      `^tracecar run: the sidecar runs as user 1337, who may not read ${home}/mesh \\(--config\\): ${closed}; copy it to .*/etc/tracecar\n$`,
    ),
  );
  const inHome = `mount --bind "$1" "$2/tracecar" && exec "$0" "$2/tracecar/src/cli/tracecar.ts" run -- true`;
  const [program, ...args] = [...onMachine(), 'unshare', '--mount', 'sh', '-c', inHome];
  const own = spawnSync(program!, [...args, process.execPath, root, home], { encoding: 'utf8' });
  assert.equal(own.status, 2);
  assert.match(
    own.stderr,
    new RegExp(
      `who may not read ${home}/.* \\(tracecar itself\\): ${closed}; move it to .*/opt\n$`,
    ),
  );
  chmodSync(home, 0o711);
  assert.equal(runToEnd([`--config=${home}/mesh`, '--', 'true']).status, 0);
  assert.deepEqual(traces(), []);
});

test('a sidecar that does not start says why, and nothing stays', { skip }, () => {
  const { status, errors } = runToEnd(['--config=/no/such/folder', '--', 'true']);
  assert.equal(status, 2);
  assert.match(errors, /^tracecar proxy: cannot read \/no\/such\/folder.*$/m);
  assert.match(errors, /\ntracecar run: the sidecar did not start\n$/);
  assert.deepEqual(traces(), []);
});
