/**
 * Service parts: the resources that services are made of, found by what refers to them.
 *
 * What is found comes in the order of names, not of files: a table is a function of the resources, and
 * controllers write slices in any order.
 */

import { serviceNameOf } from '../resource/kube-service.ts';
import {
  type EndpointSliceResource,
  type KubeServiceResource,
  type PodResource,
  type Resource,
  resourceName,
  type WorkloadEntryResource,
} from '../resource/resource.ts';
import type { Labels } from '../resource/values.ts';

export class ServiceParts {
  readonly #slices = new Map<string, EndpointSliceResource[]>();
  readonly #pods = new Map<string, PodResource>();
  /** WorkloadEntries and pods of each namespace. */
  readonly #workloads = new Map<string, (WorkloadEntryResource | PodResource)[]>();
  readonly #services = new Set<string>();

  constructor(resources: readonly Resource[]) {
    for (const each of ofKind(resources, 'Service')) this.#services.add(resourceName(each));
    for (const each of ofKind(resources, 'EndpointSlice')) {
      const service = serviceNameOf(each.spec);
      if (service !== undefined) addTo(this.#slices, `${each.namespace}/${service}`, each);
    }
    for (const each of ofKind(resources, 'WorkloadEntry')) {
      addTo(this.#workloads, each.namespace, each);
    }
    for (const each of ofKind(resources, 'Pod')) {
      this.#pods.set(resourceName(each), each);
      if (isRunning(each)) addTo(this.#workloads, each.namespace, each);
    }
  }

  slicesOf(service: KubeServiceResource): readonly EndpointSliceResource[] {
    return this.#slices.get(resourceName(service)) ?? [];
  }

  /** Slices of Services that are not here. */
  strays(): readonly EndpointSliceResource[] {
    return [...this.#slices]
      .filter(([service]) => !this.#services.has(service))
      .flatMap(([, slices]) => slices);
  }

  /** The pod that an endpoint of a slice refers to. */
  podOf(
    reference: {
      readonly kind: string | undefined;
      readonly name: string | undefined;
      readonly namespace: string | undefined;
    },
    namespace: string,
  ): PodResource | undefined {
    if (reference.kind !== 'Pod') return undefined;
    return this.#pods.get(`${reference.namespace ?? namespace}/${reference.name}`);
  }

  /** What a ServiceEntry of `namespace` selects. A selector without labels selects nothing. */
  select(
    namespace: string,
    { labels: wanted }: { readonly labels: Labels },
  ): readonly (WorkloadEntryResource | PodResource)[] {
    const keys = Object.keys(wanted);
    if (keys.length === 0) return [];
    return (this.#workloads.get(namespace) ?? []).filter((each) => {
      const own = each.kind === 'Pod' ? each.spec.metadata?.labels : each.spec.labels;
      return keys.every((key) => own?.[key] === wanted[key]);
    });
  }
}

function isRunning({ spec }: PodResource): boolean {
  const { phase, podIP } = spec.status ?? {};
  return podIP !== undefined && phase !== 'Succeeded' && phase !== 'Failed';
}

/** Those of one kind, by name; most resources are of others. */
function ofKind<Kind extends Resource['kind']>(
  resources: readonly Resource[],
  kind: Kind,
): readonly Extract<Resource, { readonly kind: Kind }>[] {
  const isOfKind = (each: Resource): each is Extract<Resource, { readonly kind: Kind }> =>
    each.kind === kind;
  return resources.filter(isOfKind).toSorted((first, second) => {
    const [one, other] = [resourceName(first), resourceName(second)];
    return one < other ? -1 : Number(one > other);
  });
}

function addTo<T>(map: Map<string, T[]>, key: string, item: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}
