/**
 * `tracecar check --strict`: who would be refused if only mutual TLS were taken.
 *
 * Asks sidecars on their admin ports, which are loopback only, or reads files that hold what one
 * answered. Status 0 when nobody would be, 1 when somebody would; 2 when a sidecar cannot be asked.
 */

import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { systemWakeUps } from '../base/deadlines.ts';
import { ConfigFolder } from '../config/config-folder.ts';
import { readFiles } from '../config/read-files.ts';
import { Complaints } from '../config/syntax/complaints.ts';
import { PeerModes } from '../config/world/peer-modes.ts';
import { configLimits } from '../model/limits.ts';
import { type CheckSettings, readCheckSettings } from './check-settings.ts';
import { UsageError } from './flags.ts';
import { codeOf, StartError } from './listen-problem.ts';
import { missingPath } from './missing-path.ts';
import { readSocketAddress } from './socket-address.ts';
import { readStrictReport, type StrictReport } from './strict-report.ts';
import {
  breaks,
  judgeStrict,
  namesByAddress,
  type Outlook,
  printVerdicts,
} from './strict-verdict.ts';

const answerLengthMax = 16 * 1024 * 1024;
const answerTimeoutMs = 10_000;

/** Gives the exit status. Throws UsageError and StartError: one line for who typed it. */
export async function runCheck(
  args: readonly string[],
  write: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<number> {
  const settings = readCheckSettings(args, process.env);
  const outlook = outlookOf(settings);
  const verdicts = [];
  for (const source of settings.sources) {
    const report = await reportOf(source);
    verdicts.push(judgeStrict(source, report, outlook(report.namespace)));
  }
  if (settings.output === 'json') write(`${JSON.stringify({ workloads: verdicts }, null, 2)}\n`);
  else write(printVerdicts(verdicts));
  return verdicts.some(breaks) ? 1 : 0;
}

/** Of workloads in a namespace: documents that name none are theirs, as `tracecar proxy` reads them. */
function outlookOf({ config, rootNamespace }: CheckSettings): (namespace: string) => Outlook {
  if (config.length === 0) return () => ({ modes: undefined, names: new Map() });
  const folder = new ConfigFolder({
    ...{ paths: config, limits: configLimits, wakeUps: systemWakeUps },
    onChange: () => {},
  });
  const files = folder.read();
  const [missing] = files.missingPaths;
  if (missing !== undefined) {
    const found = files.problems.find(({ path }) => path === missing);
    throw new UsageError(missingPath(missing, found?.problem.message ?? 'It is not there'));
  }
  const known = new Map<string, Outlook>();
  const outlook = (namespace: string) => {
    const seen = known.get(namespace);
    if (seen !== undefined) return seen;
    const { resources, refusedFiles } = readFiles(files, new Map(), namespace);
    if (refusedFiles.length > 0) {
      const which = refusedFiles.join(', ');
      throw new UsageError(`${which} has an error: \`tracecar validate ${which}\` explains`);
    }
    const peers = resources.filter((each) => each.kind === 'PeerAuthentication');
    const modes = new PeerModes(peers, rootNamespace, new Complaints());
    const read = { modes, names: namesByAddress(resources) };
    known.set(namespace, read);
    return read;
  };
  // A mistake in a file is said before any sidecar is asked.
  outlook('default');
  return outlook;
}

/** `HOST:PORT` and nothing else is an admin port. */
async function reportOf(source: string): Promise<StrictReport> {
  const isAddress = /^(?:[\w.-]+|\[[\da-fA-F:.]+\]):\d{1,5}$/.test(source);
  const text = isAddress ? await askAdmin(source) : readReportFile(source);
  const report = readStrictReport(text);
  if (report !== undefined) return report;
  const what = isAddress ? 'answers with' : 'holds';
  throw new StartError(
    `${source} ${what} something else than \`curl ADMIN/plaintext-callers\` of a sidecar`,
  );
}

function readReportFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(missingPath(path, `It cannot be read: ${codeOf(error)}`));
  }
}

async function askAdmin(source: string): Promise<string> {
  const usual = { address: '127.0.0.1', port: 15_000 };
  const { address, port } = readSocketAddress('strict', source, usual);
  try {
    const { status, text } = await getReport(address, port);
    if (status === 200) return text;
    throw new StartError(`${source} answers ${status}: is it the admin port of a sidecar?`);
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(
      `the sidecar at ${source} cannot be asked (${codeOf(error)}): admin ports are loopback only, so in a pod ` +
        'it is `kubectl exec POD -c tracecar-proxy -- tracecar check --strict`, or a file with the answer',
    );
  }
}

/** undici would bring a megabyte to this small program. */
function getReport(host: string, port: number): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(answerTimeoutMs);
  const options = { host, port, path: '/plaintext-callers', agent: false, signal };
  return new Promise((settle, reject) => {
    const asked = get(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
        if (text.length > answerLengthMax) response.destroy(new Error('its answer is too long'));
      });
      response.on('error', reject);
      response.on('end', () => settle({ status: response.statusCode ?? 0, text }));
    });
    asked.on('error', reject);
  });
}
