/**
 * Host planner: plans of one virtual host's rules on one listener, and the weighted choices in them.
 *
 * A choice's window goes on while some plan of the last table has a rule with its key, so every plan
 * is released once when no table has it any more.
 */

import type { Backend, Cluster, Listener, Rule, VirtualHost } from '../../model/routing-table.ts';
import { HostIndex } from '../../routing/route-index.ts';
import { startWeights, type WeightState, weightsKey } from '../../routing/weighted-choice.ts';
import type { RequestSeries } from '../../telemetry/metrics/metrics.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import type { ClusterKeeper } from './cluster-keeper.ts';
import { compileEdits } from './header-edits.ts';
import type { BackendPlan, ClusterPlan, HostPlan, RulePlan } from './plan.ts';

interface KnownWeights {
  readonly state: WeightState;
  /** Rule plans that have it. */
  uses: number;
}

export class HostPlanner {
  readonly #scope: ProxyScope;
  readonly #weights = new Map<string, KnownWeights>();

  constructor(scope: ProxyScope) {
    this.#scope = scope;
  }

  /** @param before of the same virtual host and listener, when only clusters are others now */
  plan(
    host: VirtualHost,
    listener: Listener,
    clusters: ClusterKeeper,
    before: HostPlan | undefined,
  ): HostPlan {
    const looksAtPaths = host.rules.some(({ matches }) => matches.some(({ path }) => path));
    const rules =
      before?.isWhole === true
        ? before.rules.map((plan) => this.#turn(plan, listener, clusters))
        : host.rules.map((rule) => this.#rule(rule, looksAtPaths, listener, clusters));
    for (const { weightsKey: key } of rules) this.#weights.get(key)!.uses++;
    const used = new Set<ClusterPlan>();
    const series = new Set<RequestSeries>();
    let isWhole = true;
    for (const plan of rules) {
      series.add(plan.series);
      for (const [index, backend] of plan.backends.entries()) {
        if (backend === undefined) isWhole &&= plan.rule.backends[index]!.cluster === '';
        else {
          used.add(backend.cluster);
          series.add(backend.series);
        }
      }
    }
    const index = new HostIndex(host, rules, before?.index);
    return { index, rules, clusters: [...used], isWhole, series: [...series] };
  }

  /** No table has `host` any more. */
  release(host: HostPlan): void {
    for (const { weightsKey: key } of host.rules) {
      const known = this.#weights.get(key)!;
      known.uses--;
      if (known.uses === 0) this.#weights.delete(key);
    }
  }

  /** What is counted on the listener without a rule; with one, of the rule or of one of its backends. */
  seriesOf(listener: Listener, rule?: Rule, cluster?: Cluster): RequestSeries {
    return this.#scope.telemetry.metrics.requestSeries({
      direction: listener.direction,
      listener: listener.name,
      route: rule?.route ?? '',
      rule: rule?.identity ?? '',
      cluster: cluster?.name ?? '',
      subset: cluster?.subset ?? '',
    });
  }

  #rule(rule: Rule, looksAtPaths: boolean, listener: Listener, clusters: ClusterKeeper): RulePlan {
    const key = weightsKey(rule);
    return {
      rule,
      isDefault: !rule.resource.startsWith('VirtualService '),
      looksAtPaths,
      routeId: this.#scope.telemetry.names.idOf(rule.route),
      weights: this.#weightState(rule, key),
      weightsKey: key,
      backends: rule.backends.map((backend) => this.#backend(backend, rule, listener, clusters)),
      series: this.seriesOf(listener, rule),
    };
  }

  /** The same rule with the clusters of the new table; its series are kept already. */
  #turn(plan: RulePlan, listener: Listener, clusters: ClusterKeeper): RulePlan {
    const { rule } = plan;
    const backends = plan.backends.map((backend, index) => {
      const cluster = backend && clusters.find(backend.cluster.cluster.name);
      if (backend === undefined || cluster === undefined) return undefined;
      if (cluster === backend.cluster) return backend;
      if (cluster.cluster.subset === backend.cluster.cluster.subset) return { ...backend, cluster };
      return this.#backend(rule.backends[index]!, rule, listener, clusters);
    });
    return { ...plan, backends };
  }

  #backend(
    backend: Backend,
    rule: Rule,
    listener: Listener,
    clusters: ClusterKeeper,
  ): BackendPlan | undefined {
    const cluster = clusters.find(backend.cluster);
    if (cluster === undefined) return undefined;
    const { names } = this.#scope.telemetry;
    return {
      cluster,
      weight: rule.backends.length > 1 ? backend.weight : 0,
      requestEdits: compileEdits(rule.requestHeaders, backend.requestHeaders),
      responseEdits: compileEdits(rule.responseHeaders, backend.responseHeaders),
      clusterId: names.idOf(cluster.cluster.name),
      subsetId: names.idOf(cluster.cluster.subset),
      series: this.seriesOf(listener, rule, cluster.cluster),
    };
  }

  #weightState(rule: Rule, key: string): WeightState {
    const known = this.#weights.get(key);
    if (known !== undefined) return known.state;
    const weights = rule.backends.map((backend) => backend.weight);
    const state = startWeights(weights.length === 0 ? [0] : weights, this.#scope.random);
    this.#weights.set(key, { state, uses: 0 });
    return state;
  }
}
