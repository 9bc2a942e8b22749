/**
 * `tracecar validate`: reads configuration as a sidecar would and names every mistake at once.
 *
 * It listens on nothing and changes nothing. Status 0 when there are at most warnings, 1 when there is
 * an error; a path that is not there is a mistake in usage, status 2.
 */

import { systemWakeUps } from '../base/deadlines.ts';
import { selectorOf } from '../config/compile/select-sidecar.ts';
import { ConfigFolder } from '../config/config-folder.ts';
import { compileTable, readResources } from '../config/load.ts';
import {
  countDiagnostics,
  printDiagnosticsJson,
  printDiagnosticsText,
  summaryLine,
} from '../config/print-diagnostics.ts';
import { readFiles } from '../config/read-files.ts';
import type { Resource } from '../config/resource/resource.ts';
import { Complaints, filePlace } from '../config/syntax/complaints.ts';
import type { Diagnostic } from '../model/diagnostic.ts';
import { configLimits } from '../model/limits.ts';
import { UsageError } from './flags.ts';
import { missingPath } from './missing-path.ts';
import { readValidateSettings, type ValidateSettings } from './validate-settings.ts';

/**
 * Gives the exit status. Throws UsageError for a mistake in the flags and for a path that cannot
 * be listed: then nothing is known of what it was about.
 *
 * @param write takes the whole report; standard output by default
 */
export async function runValidate(
  args: readonly string[],
  write: (text: string) => void = (text) => void process.stdout.write(text),
): Promise<number> {
  const settings = readValidateSettings(args, process.env);
  const folder = new ConfigFolder({
    paths: settings.paths,
    limits: configLimits,
    wakeUps: systemWakeUps,
    onChange: () => {},
  });
  const { namespace } = settings;
  const files = folder.read();
  const [missing] = files.missingPaths;
  if (missing !== undefined) {
    const found = files.problems.find(({ path }) => path === missing);
    throw new UsageError(missingPath(missing, found?.problem.message ?? 'It is not there'));
  }
  const { sources, diagnostics } = readFiles(files, new Map(), namespace);
  const complaints = new Complaints();
  complaints.addAll(diagnostics);
  if (sources.length === 0 && countDiagnostics(diagnostics).errors === 0) {
    const place = filePlace(settings.paths.join(', '));
    complaints.add('no-files', place, 'There is no *.yaml or *.yml here', 'Check the path.');
  }
  // Once more, without the rule that a file with a mistake counts as absent: what refers to its
  // resources is not to blame.
  const { resources } = readResources(sources, namespace);
  for (const found of viewsOf(resources, settings)) complaints.addAll(found);
  const all = complaints.list();
  if (settings.output === 'json') write(printDiagnosticsJson(all, sources.length));
  else write(`${printDiagnosticsText(all, sources)}${summaryLine(all, sources.length)}\n`);
  return countDiagnostics(all).errors > 0 ? 1 : 0;
}

/** The complaints of each workload's view. */
function viewsOf(
  resources: readonly Resource[],
  settings: ValidateSettings,
): readonly (readonly Diagnostic[])[] {
  const { namespace, labels, rootNamespace, capture } = settings;
  const viewOf = (of: string, which: Readonly<Record<string, string>>) =>
    compileTable(resources, {
      ...{ namespace: of, labels: which, rootNamespace, generation: 1, capture },
    }).diagnostics;
  if (labels !== undefined) return [viewOf(namespace, labels)];
  const sidecars = resources.filter((each) => each.kind === 'Sidecar');
  const gateways = resources.filter((each) => each.kind === 'Gateway');
  if (sidecars.length + gateways.length === 0) {
    // Nobody's view, but references can be checked; that no Sidecar is found is not a mistake here.
    return [viewOf(namespace, {}).filter(({ file }) => file !== '')];
  }
  return [
    ...sidecars.map((sidecar) => viewOf(sidecar.namespace, selectorOf(sidecar))),
    ...gateways.map((gateway) => viewOf(gateway.namespace, gateway.spec.selector)),
  ];
}
