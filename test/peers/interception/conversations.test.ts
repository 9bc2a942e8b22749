/**
 * Real clients and real daemons through two sidecars without any configuration: what a client prints
 * is the same as before the pods had sidecars, and both sidecars have it in their records.
 */

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mesh } from '../../support/meshed-pods.ts';
import {
  makePods,
  type Pod,
  type PodNetwork,
  type PodProcess,
  type ServiceAddresses,
  users,
  whyNoPods,
} from '../../support/namespace-pods.ts';
import { Daemons, whyNoDaemons } from '../../support/real-programs.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { type Conversation, conversations } from './conversations.ts';

const skip = skipWithout(import.meta.filename, whyNoPods() ?? whyNoDaemons());

interface Transcript {
  readonly status: number | null;
  readonly output: string;
}

/** How a record says that a side has reset its connection. */
const cuts: ReadonlySet<unknown> = new Set(['upstream-reset', 'client-gone']);

type Line = Record<string, unknown> & { direction: string };

let network: PodNetwork | undefined;
let daemons: Daemons | undefined;
let client: Pod;
let server: Pod;
let sshKey: string;
let address: ServiceAddresses;
const sidecars: PodProcess[] = [];
/** Before there were sidecars, by family and name. */
const direct = new Map<string, Transcript>();
const families = ['v4', 'v6'] as const;
type Family = (typeof families)[number];

async function talk({ script, input }: Conversation, family: Family): Promise<Transcript> {
  const host = address[family];
  const urlHost = family === 'v4' ? host : `[${host}]`;
  const place = { host, urlHost, certificate: daemons!.certificate, sshKey };
  const env = { HOME: daemons!.folder };
  const options = { env, timeoutMs: 30_000, ...(input === undefined ? {} : { input }) };
  const { status, output, errors } = await client.finish(
    users.app,
    ['sh', '-c', script(place)],
    options,
  );
  return { status, output: `${output}${errors}` };
}

/** The access log's lines about one destination. */
function linesAbout(sidecar: PodProcess, destination: string): Line[] {
  return sidecar.lines
    .filter((line) => line.includes('"direction"'))
    .map((line) => JSON.parse(line) as Line)
    .filter((line) => line.destination === destination || line.authority === destination);
}

before(async () => {
  if (skip !== false) return;
  network = makePods(2);
  [client, server] = network.pods as [Pod, Pod];
  address = network.service('server', server);
  daemons = new Daemons(server, [address.v4, address.v6]);
  const [key] = await Promise.all([
    daemons.ssh(),
    daemons.postgres(),
    daemons.mariadb(),
    daemons.redis(),
    daemons.smtp(),
    daemons.nginx(),
    daemons.nghttpd(),
    daemons.openssl(),
    daemons.halfClose(),
    daemons.webSocket(),
  ]);
  sshKey = key;
  for (const conversation of conversations) {
    for (const family of families) {
      direct.set(`${family} ${conversation.name}`, await talk(conversation, family));
    }
  }
  sidecars.push(...(await Promise.all([mesh(client, 'client'), mesh(server, 'server')])));
});

after(async () => {
  await network?.close();
  daemons?.remove();
});

for (const conversation of conversations) {
  for (const family of families) {
    const { name, port } = conversation;
    test(`${family}: ${name}`, { skip, timeout: 40_000 }, async () => {
      const host = family === 'v4' ? address.v4 : `[${address.v6}]`;
      const destination = `${host}:${port}`;
      const seen = sidecars.map((sidecar) => linesAbout(sidecar, destination).length);
      const expected = direct.get(`${family} ${name}`)!;
      assert.notEqual(expected.output, '', 'something was said without sidecars');
      assert.deepEqual(await talk(conversation, family), expected);
      const recorded = await Promise.all(
        sidecars.map((sidecar, index) =>
          sidecar.until(() => {
            const lines = linesAbout(sidecar, destination).slice(seen[index]);
            return lines.length < conversation.records ? undefined : lines;
          }, `${conversation.records} records about ${destination}`),
        ),
      );
      checkRecords(conversation, recorded as [Line[], Line[]], family);
    });
  }
}

function checkRecords(
  conversation: Conversation,
  recorded: [Line[], Line[]],
  family: Family,
): void {
  const [out, into] = recorded;
  for (const [lines, direction] of [
    [out, 'outbound'],
    [into, 'inbound'],
  ] as const) {
    assert.equal(lines.length, conversation.records);
    for (const line of lines) {
      assert.equal(line.direction, direction);
      const isCut = cuts.has(line.cause);
      if (!(isCut && conversation.mayBeCutAtEnd)) {
        assert.equal(line.cause, undefined, JSON.stringify(line));
      }
      // An exchange on its way out names the other end, everything else its caller.
      const isExchangeOut = line.path !== undefined && direction === 'outbound';
      assert.equal(line.peer, isExchangeOut ? address[family] : client[family]);
    }
  }
  // What a cut overtakes has left one sidecar and never reached the other.
  if (recorded.flat().some((line) => cuts.has(line.cause))) return;
  for (const field of ['sent_bytes', 'received_bytes']) {
    const [sent, seen] = recorded.map((lines) =>
      lines.filter((line) => line.path === undefined).map((line) => Number(line[field])),
    );
    const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
    assert.equal(sum(sent!), sum(seen!), `${field} of both sidecars`);
    assert.ok(
      sent!.every((bytes) => bytes > 0),
      field,
    );
  }
}
