/**
 * Draws the webhook's result: the table for the terminal and the section of bench/README.md.
 *
 *     node bench/webhook-report.ts [FILE]           prints a result, by default the published one
 *     node bench/webhook-report.ts --readme         writes the published one into bench/README.md
 *
 * A row that others disturbed (5 % of the webhook's core used by them or stolen, beyond 20 ms) is
 * dropped and counted. It draws from a result file and from nothing else.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Histogram } from './load/histogram.ts';
import { median } from './result/statistics.ts';
import {
  readWebhookResult,
  type WebhookResult,
  type WebhookRow,
  webhookArms,
  webhookLoads,
} from './webhook-result.ts';

const published = join(import.meta.dirname, 'results/webhook/webhook.json');
const readme = join(import.meta.dirname, 'README.md');
const begin = '<!-- drawn by node bench/webhook-report.ts --readme: begin -->';
const end = '<!-- drawn by node bench/webhook-report.ts --readme: end -->';
const disturbedShareMax = 0.05;
/** What Linux tells of cores is of this resolution, twice. */
const resolutionUs = 20_000;

const columns = [
  'webhook',
  'load',
  'reviews',
  'p50 ms',
  'p99 ms',
  'worst ms',
  'reviews/s',
  'CPU us/review',
  "load's core",
] as const;

/** The report for the terminal. */
export function printWebhookReport(result: WebhookResult): string {
  const rows = [columns, ...tableOf(result)];
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => row[at]!.length)));
  const lines = rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at]!)).join('  '));
  const text = [...conditionsOf(result), '', ...lines.map((line) => line.trimEnd()), ''].join('\n');
  return `\n${text}\n`;
}

/** `text`, which is bench/README.md, with the drawn part renewed; throws when its marks are gone. */
export function withWebhookSection(text: string, result: WebhookResult): string {
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error("bench/README.md has lost the webhook's marks");
  const markdown = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const section = [
    ...conditionsOf(result),
    '',
    markdown(columns),
    markdown(columns.map(() => '---')),
    ...tableOf(result).map(markdown),
  ].join('\n');
  return `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`;
}

/** The result that bench/README.md shows. */
export function publishedWebhookResult(): WebhookResult {
  return readWebhookResult(published);
}

function conditionsOf({ date, commit, options, machine, pinning, rows }: WebhookResult): string[] {
  const dropped = rows.filter(isDisturbed).length;
  const pinned =
    pinning === 'none'
      ? 'nothing pinned'
      : `webhook alone on core ${pinning.proxy}, load and collector on core ${pinning.load}`;
  return [
    `${date.slice(0, 16)}Z, commit ${commit}, ${options.rounds} rounds, closed loop ${options.seconds} s each; ` +
      `${dropped} of ${rows.length} rows dropped because others disturbed them.`,
    `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}; ${pinned}; ` +
      `${(machine.idleBusy * 100).toFixed(1)} % busy before the first round.`,
  ];
}

function tableOf(result: WebhookResult): string[][] {
  return webhookArms.flatMap((arm) =>
    webhookLoads.map((load) => {
      const rows = result.rows.filter(
        (row) => row.arm === arm && row.load === load && !isDisturbed(row),
      );
      return [arm, load, ...cellsOf(rows)];
    }),
  );
}

/** Medians over rounds with the lowest and the highest round; the worst is of all rounds. */
function cellsOf(rows: readonly WebhookRow[]): string[] {
  if (rows.length === 0) return columns.slice(2).map(() => '-');
  const histograms = rows.map(({ times }) => {
    const histogram = new Histogram();
    histogram.add(times);
    return histogram;
  });
  const percentile = (share: number): string =>
    shown(
      histograms.map((each) => each.percentile(share) / 1e6),
      2,
    );
  const worst = Math.max(...histograms.map((each) => each.percentile(1) / 1e6));
  const over = (value: (row: WebhookRow) => number): string => shown(rows.map(value), 0);
  return [
    String(histograms.reduce((sum, { total }) => sum + total, 0)),
    percentile(0.5),
    percentile(0.99),
    worst.toFixed(2),
    // Bursts have pauses between them.
    rows[0]!.load === 'bursts' ? '-' : over(({ reviews, wallUs }) => (reviews / wallUs) * 1e6),
    over(({ cpuUs, reviews }) => cpuUs / reviews),
    `${over(({ loadCpuUs, wallUs }) => (loadCpuUs / wallUs) * 100)} %`,
  ];
}

function shown(values: readonly number[], digits: number): string {
  const [middle, lowest, highest] = [median(values), Math.min(...values), Math.max(...values)].map(
    (value) => value.toFixed(digits),
  );
  return `${middle} [${lowest}..${highest}]`;
}

function isDisturbed({ stolenUs, foreignUs, wallUs }: WebhookRow): boolean {
  return stolenUs + foreignUs > Math.max(resolutionUs, wallUs * disturbedShareMax);
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { readme: { type: 'boolean' } },
  });
  if (values.readme) {
    const text = readFileSync(readme, 'utf8');
    writeFileSync(readme, withWebhookSection(text, publishedWebhookResult()));
    return;
  }
  const result = readWebhookResult(positionals[0] ?? published);
  process.stdout.write(printWebhookReport(result));
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`webhook report: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
