/**
 * All that the worker has to be told about one routing table, once, before a record of its generation.
 */

import type { RoutingTable } from '../model/routing-table.ts';
import { type ClustersMessage, clustersMessage } from './span/cluster-facts.ts';
import { type RulesMessage, rulesMessage, type TagEnvironment } from './span/rule-book.ts';

/** Survives structured cloning. */
export interface TableMessage {
  readonly clusters: ClustersMessage;
  readonly rules: RulesMessage;
}

/** `environment`: the variables that tags of the table may name. */
export function tableMessage(table: RoutingTable, environment: TagEnvironment = {}): TableMessage {
  return { clusters: clustersMessage(table), rules: rulesMessage(table, environment) };
}
