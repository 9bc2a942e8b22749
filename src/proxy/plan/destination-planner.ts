/**
 * Destination planner: plans of a table's destinations, from one table to the next.
 *
 * Tables share objects: where neither destinations nor clusters have changed, as after an edit of rules
 * for requests, the lookup of the table before is the lookup of this one. The window of a weighted
 * choice goes on while some destination has a rule with its key.
 */

import type { Backend, ConnectionRule, Destination } from '../../model/routing-table.ts';
import { ConnectionRules } from '../../routing/connection-rules.ts';
import { startWeights, type WeightState, weightsKey } from '../../routing/weighted-choice.ts';
import type { ProxyScope } from '../scope/proxy-scope.ts';
import { printAddress } from '../socket/print-address.ts';
import {
  CaptureLookup,
  type ConnectionBackend,
  type ConnectionPlan,
  type DestinationPlan,
} from './capture-lookup.ts';
import type { ClusterKeeper } from './cluster-keeper.ts';

const none: readonly Destination[] = Object.freeze([]);

type RulesPlan = Pick<DestinationPlan, 'rules' | 'connections' | 'clusters'>;
/** All addresses of a service have the very same rules: one list, one plan of it. */
type SharedRules = Map<readonly ConnectionRule[], RulesPlan>;

export class DestinationPlanner {
  readonly #scope: ProxyScope;
  readonly #clusters: ClusterKeeper;
  #destinations = none;
  #plans = new Map<Destination, DestinationPlan>();
  #weights = new Map<string, WeightState>();
  #lookup = new CaptureLookup([]);

  constructor(scope: ProxyScope, clusters: ClusterKeeper) {
    this.#scope = scope;
    this.#clusters = clusters;
  }

  /** The lookup of the table that `clusters` has taken. */
  lookupOf(destinations: readonly Destination[] = none): CaptureLookup {
    if (destinations === this.#destinations && this.#holdsForAll()) return this.#lookup;
    const before = this.#plans;
    const oldWeights = this.#weights;
    this.#plans = new Map();
    this.#weights = new Map();
    const shared: SharedRules = new Map();
    for (const destination of destinations) {
      const known = before.get(destination);
      const plan =
        known !== undefined && this.#holdsFor(known)
          ? known
          : this.#plan(destination, shared, oldWeights);
      this.#plans.set(destination, plan);
      for (const { rule, weights } of plan.connections)
        this.#weights.set(weightsKey(rule), weights);
    }
    this.#destinations = destinations;
    this.#lookup = new CaptureLookup(this.#plans.values());
    return this.#lookup;
  }

  #holdsForAll(): boolean {
    if (this.#clusters.isSame) return true;
    for (const plan of this.#plans.values()) if (!this.#holdsFor(plan)) return false;
    return true;
  }

  #holdsFor({ clusters }: DestinationPlan): boolean {
    return clusters.every((plan) => this.#clusters.find(plan.cluster.name) === plan);
  }

  #plan(
    destination: Destination,
    shared: SharedRules,
    before: ReadonlyMap<string, WeightState>,
  ): DestinationPlan {
    const { address, port, connectionRules } = destination;
    const isAnyAddress = address === '';
    const { names } = this.#scope.telemetry;
    const known = shared.get(connectionRules) ?? this.#planRules(connectionRules, before);
    shared.set(connectionRules, known);
    const { rules, connections, clusters } = known;
    const nameId = isAnyAddress ? 0 : names.idOf(printAddress(address, port));
    return { destination, isAnyAddress, nameId, rules, connections, clusters };
  }

  #planRules(
    connectionRules: readonly ConnectionRule[],
    before: ReadonlyMap<string, WeightState>,
  ): RulesPlan {
    const connections = connectionRules.map((rule) => this.#connection(rule, before));
    const backends = connections.flatMap((each) => each.backends);
    const clusters = backends.flatMap((each) => (each === undefined ? [] : [each.cluster]));
    const rules = new ConnectionRules(connectionRules);
    return { rules, connections, clusters: [...new Set(clusters)] };
  }

  #connection(rule: ConnectionRule, before: ReadonlyMap<string, WeightState>): ConnectionPlan {
    const key = weightsKey(rule);
    let weights = this.#weights.get(key) ?? before.get(key);
    if (weights === undefined) {
      const shares = rule.backends.map(({ weight }) => weight);
      weights = startWeights(shares.length === 0 ? [0] : shares, this.#scope.random);
    }
    this.#weights.set(key, weights);
    return {
      rule,
      isDefault: !rule.resource.startsWith('VirtualService '),
      routeId: this.#scope.telemetry.names.idOf(rule.route),
      weights,
      backends: rule.backends.map((backend) => this.#backend(backend, rule)),
    };
  }

  #backend(
    { cluster: name, weight }: Backend,
    rule: ConnectionRule,
  ): ConnectionBackend | undefined {
    const cluster = this.#clusters.find(name);
    if (cluster === undefined) return undefined;
    const { names } = this.#scope.telemetry;
    return {
      cluster,
      weight: rule.backends.length > 1 ? weight : 0,
      clusterId: names.idOf(name),
      subsetId: names.idOf(cluster.cluster.subset),
    };
  }
}
