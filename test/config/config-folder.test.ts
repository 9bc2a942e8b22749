/**
 * The watched folder, with real files: edits, broken edits, deletions, links, FIFOs. Each test waits for
 * the notice of a change; the poll is switched off where the kernel's notices are what is tested.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { WakeUps } from '../../src/base/deadlines.ts';
import { type ConfigFiles, ConfigFolder } from '../../src/config/config-folder.ts';
import { type ConfigReading, readFiles } from '../../src/config/read-files.ts';
import { configLimits } from '../../src/model/limits.ts';

/** Timers that keep the test alive while it waits for one; `delays` notes what was asked for. */
function makeWakeUps(delays: number[]): WakeUps {
  return {
    after(delayMs, call) {
      delays.push(delayMs);
      const timer = setTimeout(call, delayMs);
      return () => clearTimeout(timer);
    },
  };
}

function service(name: string): string {
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}}
spec:
  hosts: [${name}.example.com]
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP}]
`;
}

const reader = join(import.meta.dirname, '../../src/config/read-config-file.ts');
const limits = join(import.meta.dirname, '../../src/model/limits.ts');

const broken = 'apiVersion: networking.istio.io/v1\nkind: {';

function makeFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'tracecar-config-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function names(reading: ConfigReading): string[] {
  return reading.resources.map(({ name }) => name);
}

function codes(reading: ConfigReading): string[] {
  return reading.diagnostics.map(({ code }) => code);
}

/** A folder under watch; `until` waits for the reading that fits and gives it. */
function follow(context: TestContext, paths: readonly string[], reloadPollMs = 1_000) {
  let notify: (() => void) | undefined;
  const delays: number[] = [];
  const seen: { latest: ConfigReading; changes: number } = {
    latest: {
      resources: [],
      diagnostics: [],
      sources: [],
      refusedFiles: [],
      goodTexts: new Map(),
    },
    changes: 0,
  };
  const take = (files: ConfigFiles) => {
    seen.latest = readFiles(files, seen.latest.goodTexts, 'default');
  };
  const folder = new ConfigFolder({
    paths,
    limits: { ...configLimits, reloadPollMs },
    wakeUps: makeWakeUps(delays),
    onChange: (files) => {
      take(files);
      seen.changes += 1;
      notify?.();
    },
  });
  take(folder.read());
  folder.watch();
  context.after(() => folder.close());
  const until = async (fits: (reading: ConfigReading) => boolean): Promise<ConfigReading> => {
    while (!fits(seen.latest)) {
      await new Promise<void>((resolve) => {
        notify = resolve;
      });
    }
    return seen.latest;
  };
  return { folder, seen, delays, until };
}

/** Far beyond the tests: only the kernel's notices can tell. */
const NO_POLL_MS = 2_000_000_000;
/** A notice that never comes fails the test instead of hanging it. */
const bounded = { timeout: 20_000 };

test(
  'an edit is read 50 ms after the kernel tells of it, without the poll',
  bounded,
  async (context) => {
    const folder = makeFolder(context);
    writeFileSync(join(folder, 'a.yaml'), service('one'));
    const { seen, delays, until } = follow(context, [folder], NO_POLL_MS);
    assert.deepEqual(names(seen.latest), ['one']);
    writeFileSync(join(folder, 'a.yaml'), service('two'));
    await until((reading) => names(reading).includes('two'));
    // Once it has been quiet for 50 ms, and never later than 250 ms.
    assert.deepEqual(
      [...new Set(delays)].toSorted((one, other) => one - other),
      [50, 250, NO_POLL_MS],
    );
  },
);

test(
  'files that appear and disappear are noticed, others are not read',
  bounded,
  async (context) => {
    const folder = makeFolder(context);
    writeFileSync(join(folder, 'a.yaml'), service('one'));
    writeFileSync(join(folder, 'notes.txt'), broken);
    writeFileSync(join(folder, '.hidden.yaml'), broken);
    const { seen, until } = follow(context, [folder], NO_POLL_MS);
    assert.deepEqual([names(seen.latest), codes(seen.latest)], [['one'], []]);
    writeFileSync(join(folder, 'b.yml'), service('two'));
    await until((reading) => names(reading).join() === 'one,two');
    rmSync(join(folder, 'a.yaml'));
    await until((reading) => names(reading).join() === 'two');
  },
);

test(
  'a file that stops parsing keeps its last good resources until it parses again',
  bounded,
  async (context) => {
    const folder = makeFolder(context);
    const file = join(folder, 'a.yaml');
    writeFileSync(file, service('one'));
    const { until } = follow(context, [folder], NO_POLL_MS);
    writeFileSync(file, broken);
    const bad = await until((reading) => reading.refusedFiles.length > 0);
    assert.deepEqual([names(bad), bad.refusedFiles], [['one'], [file]]);
    assert.ok(codes(bad).every((code) => code === 'TC1010') && codes(bad).length > 0);
    writeFileSync(file, service('two'));
    const good = await until((reading) => reading.refusedFiles.length === 0);
    assert.deepEqual([names(good), codes(good)], [['two'], []]);
  },
);

test(
  'one mistake in a file keeps the whole file at its last good content',
  bounded,
  async (context) => {
    const folder = makeFolder(context);
    const file = join(folder, 'a.yaml');
    writeFileSync(file, service('one'));
    const { until } = follow(context, [folder], NO_POLL_MS);
    writeFileSync(file, `${service('two')}---\n${service('three').replace('80', '-1')}`);
    const bad = await until((reading) => reading.refusedFiles.length > 0);
    assert.deepEqual([names(bad), codes(bad)], [['one'], ['TC1302']]);
  },
);

test('a file that becomes empty is taken as being written', bounded, async (context) => {
  const folder = makeFolder(context);
  const file = join(folder, 'a.yaml');
  writeFileSync(file, service('one'));
  const { until } = follow(context, [folder], NO_POLL_MS);
  truncateSync(file);
  const reading = await until((latest) => codes(latest).includes('TC1006'));
  assert.deepEqual(names(reading), ['one']);
});

test(
  'a ConfigMap swap of the ..data link changes all files in one reading',
  bounded,
  async (context) => {
    const folder = makeFolder(context);
    const publish = (version: string, ...contents: string[]) => {
      mkdirSync(join(folder, `..${version}`));
      contents.forEach((text, index) => {
        writeFileSync(join(folder, `..${version}`, `${index}.yaml`), text);
      });
      symlinkSync(`..${version}`, join(folder, '..data_tmp'));
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    };
    publish('2026_1', service('one'), service('two'));
    for (const name of ['0.yaml', '1.yaml']) symlinkSync(`..data/${name}`, join(folder, name));
    const { seen, until } = follow(context, [folder], NO_POLL_MS);
    assert.deepEqual(names(seen.latest), ['one', 'two']);
    publish('2026_2', service('three'), service('four'));
    const reading = await until((latest) => !names(latest).includes('one'));
    assert.deepEqual(names(reading), ['three', 'four']);
    rmSync(join(folder, '..2026_1'), { recursive: true });
    publish('2026_3', service('five'), service('six'));
    await until((latest) => names(latest).join() === 'five,six');
  },
);

test('an edit behind a link to another folder is noticed', bounded, async (context) => {
  const folder = makeFolder(context);
  const elsewhere = makeFolder(context);
  writeFileSync(join(elsewhere, 'real.yaml'), service('one'));
  symlinkSync(join(elsewhere, 'real.yaml'), join(folder, 'a.yaml'));
  const { until } = follow(context, [folder], NO_POLL_MS);
  writeFileSync(join(elsewhere, 'real.yaml'), service('two'));
  await until((reading) => names(reading).join() === 'two');
});

test('the poll finds what the kernel does not tell', bounded, async (context) => {
  const folder = makeFolder(context);
  const late = join(folder, 'late', 'deeper');
  const { seen, until } = follow(context, [late], 30);
  assert.deepEqual(codes(seen.latest), ['TC1001']);
  mkdirSync(late, { recursive: true });
  writeFileSync(join(late, 'a.yaml'), service('one'));
  const reading = await until((latest) => names(latest).join() === 'one');
  assert.deepEqual(codes(reading), []);
});

test('a folder that goes away keeps what was read from it', bounded, async (context) => {
  const folder = makeFolder(context);
  const inner = join(folder, 'mesh');
  mkdirSync(inner);
  writeFileSync(join(inner, 'a.yaml'), service('one'));
  const { until } = follow(context, [inner], 30);
  renameSync(inner, join(folder, 'moved'));
  const reading = await until((latest) => latest.diagnostics.length > 0);
  assert.deepEqual(names(reading), ['one']);
});

test('a FIFO is refused and never waited for', (context) => {
  const folder = makeFolder(context);
  execFileSync('mkfifo', [join(folder, 'a.yaml')]);
  writeFileSync(join(folder, 'b.yaml'), service('two'));
  const { seen } = follow(context, [folder]);
  assert.deepEqual([names(seen.latest), codes(seen.latest)], [['two'], ['TC1003']]);
});

test('folders, dangling links and circles with the name of a file are refused', (context) => {
  const folder = makeFolder(context);
  mkdirSync(join(folder, 'a.yaml'));
  symlinkSync('nowhere', join(folder, 'b.yaml'));
  symlinkSync('c.yaml', join(folder, 'c.yaml'));
  const { seen } = follow(context, [folder]);
  assert.deepEqual(codes(seen.latest), ['TC1003', 'TC1001', 'TC1001']);
});

test('a file that may not be read is refused, with the reason', (context) => {
  const folder = makeFolder(context);
  const file = join(folder, 'a.yaml');
  writeFileSync(file, service('one'), { mode: 0 });
  chmodSync(folder, 0o755);
  const program = `
    const { readConfigFile } = await import(${JSON.stringify(reader)});
    const { configLimits } = await import(${JSON.stringify(limits)});
    console.log(JSON.stringify(readConfigFile(${JSON.stringify(file)}, configLimits)));`;
  // Root reads every file, so a child that is nobody tries.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const args = ['--input-type=module', '--eval', program];
  const printed = execFileSync(process.execPath, args, { ...nobody, cwd: '/' });
  assert.deepEqual(JSON.parse(String(printed)).problem, {
    kind: 'file-unreadable',
    message: 'This process may not read it',
    fix: 'Check the permissions of the file and its folders.',
  });
});

test('a file over the limit and one that is not UTF-8 are refused', (context) => {
  const folder = makeFolder(context);
  writeFileSync(join(folder, 'a.yaml'), service('one'));
  truncateSync(join(folder, 'a.yaml'), configLimits.fileBytesMax + 1);
  writeFileSync(join(folder, 'b.yaml'), Buffer.from([0x61, 0xff, 0xfe]));
  const { seen } = follow(context, [folder]);
  assert.deepEqual(codes(seen.latest), ['TC1002', 'TC1010']);
});

test('of two files with the same resource the first counts, and both are named', (context) => {
  const folder = makeFolder(context);
  writeFileSync(join(folder, 'a.yaml'), service('one'));
  writeFileSync(join(folder, 'b.yaml'), service('one'));
  const { seen } = follow(context, [folder]);
  const { resources, diagnostics } = seen.latest;
  assert.equal(resources[0]?.at.source.file, join(folder, 'a.yaml'));
  assert.deepEqual(codes(seen.latest), ['TC1501']);
  assert.ok(
    diagnostics[0]!.file.endsWith('b.yaml') && diagnostics[0]!.message.includes('a.yaml:1'),
  );
});

test(
  'of a thousand changes in a row the last wins, after few readings',
  bounded,
  async (context) => {
    const folder = makeFolder(context);
    const { seen, until } = follow(context, [folder], NO_POLL_MS);
    for (let count = 1; count <= 1_000; count++) {
      writeFileSync(join(folder, 'a.yaml'), service(`s${count}`));
      // Lets the notices in: they would otherwise arrive as one.
      if (count % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until((reading) => names(reading).join() === 's1000');
    assert.ok(seen.changes <= 50, `${seen.changes} readings`);
  },
);

test('writing the same content again tells nobody', bounded, async (context) => {
  const folder = makeFolder(context);
  const file = join(folder, 'a.yaml');
  writeFileSync(file, service('one'));
  const { seen, until } = follow(context, [folder], NO_POLL_MS);
  writeFileSync(file, service('one'));
  writeFileSync(join(folder, 'z.yaml'), service('other'));
  await until((reading) => names(reading).includes('other'));
  assert.equal(seen.changes, 1);
});

test('a closed folder tells nobody', bounded, async (context) => {
  const folder = makeFolder(context);
  const closed = follow(context, [folder], 30);
  const open = follow(context, [folder], 30);
  closed.folder.close();
  writeFileSync(join(folder, 'a.yaml'), service('one'));
  await open.until((reading) => names(reading).includes('one'));
  assert.equal(closed.seen.changes, 0);
});
