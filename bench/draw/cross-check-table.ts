/**
 * The table of cross-checks: other people's load generators beside ours, at saturation.
 *
 * Pure. It says whether our generator can be believed; no other figure rests on it.
 */

import type { CrossCheck } from '../result/row.ts';
import { type Figure, read, type Summary } from '../result/summary.ts';
import { showFigure, type Table } from './section.ts';

/** Nothing where the run had no cross-check. */
export function crossCheckTables(summary: Summary): readonly Table[] {
  const { crossChecks, seconds } = summary.result;
  if (crossChecks.length === 0) return [];
  const tools = [...new Set(crossChecks.map(({ tool, version }) => toolName(tool, version)))];
  const arms = [...new Set(crossChecks.map(({ arm }) => arm))];
  const failed = crossChecks.flatMap(({ arm, tool, failed: why }) =>
    why === undefined ? [] : [`${tool}, ${summary.label(arm)}: no figure, ${why}`],
  );
  return [
    {
      caption: 'Cross-check: saturation as other load generators see it',
      columns: [
        'arm',
        ...['ours', ...tools].map((name) => `requests/s, ${name}`),
        ...['ours', ...tools].map((name) => `CPU us/request, ${name}`),
      ],
      rows: arms.map((arm) => {
        const ours = (figure: Figure, digits: number) => showFigure(figure, digits);
        const others = (value: (check: CrossCheck) => string) =>
          tools.map((name) => {
            const check = crossChecks.find(
              (each) => each.arm === arm && toolName(each.tool, each.version) === name,
            );
            return check === undefined || check.failed !== undefined ? '-' : value(check);
          });
        return [
          summary.label(arm),
          ours(summary.figure(arm, 'saturation', read.requestsPerSecond), 0),
          ...others((check) => check.requestsPerSecond.toFixed(0)),
          ours(summary.figure(arm, 'saturation', read.cpuUsPerRequest), 1),
          ...others(showCpu),
        ];
      }),
      notes: [
        `Ours: ${seconds} s in each round, every answer compared. The others: one second once, after the ` +
          'last round, 16 connections on one thread of the same core; no interval, and nothing dropped.',
        ...failed,
      ],
    },
  ];
}

function toolName(tool: string, version: string): string {
  return version.startsWith(tool) ? version : `${tool} ${version}`;
}

/** Direct has no process of a proxy. */
function showCpu({ cpuUsPerRequest }: CrossCheck): string {
  return cpuUsPerRequest === 0 ? '-' : cpuUsPerRequest.toFixed(1);
}
