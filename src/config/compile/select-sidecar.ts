/**
 * Select sidecar: which Sidecar resource is a workload's, as in Istio.
 *
 * One of its namespace whose selector's labels are all the workload's; else the one of the namespace
 * without a selector. Two that fit equally well are an error naming both, and the first counts.
 */

import { carries, labelText } from '../resource/labels.ts';
import { resourceName, type SidecarResource } from '../resource/resource.ts';
import type { Labels } from '../resource/values.ts';
import type { Complaints } from '../syntax/complaints.ts';
import { placeText } from '../syntax/complaints.ts';
import type { Workload } from './compile-inbound.ts';

export function selectSidecar(
  sidecars: readonly SidecarResource[],
  workload: Workload,
  complaints: Complaints,
): SidecarResource | undefined {
  const near = sidecars.filter((each) => each.namespace === workload.namespace);
  const selecting = near.filter(
    (each) => hasSelector(each) && carries(workload.labels, selectorOf(each)),
  );
  const fitting = selecting.length > 0 ? selecting : near.filter((each) => !hasSelector(each));
  const [first, second] = fitting;
  if (first !== undefined && second !== undefined) {
    const message =
      `Sidecar ${resourceName(first)} (${placeText(first.at)}) selects the same workload ` +
      `(${labelText(workload.labels)}) and counts`;
    const fix = 'Give the selectors labels that tell the workloads apart.';
    complaints.add('sidecar-ambiguous', second.at, message, fix);
  }
  return first;
}

/** The labels that a Sidecar asks for; none means every workload of its namespace. */
export function selectorOf(sidecar: SidecarResource): Labels {
  return sidecar.spec.workloadSelector?.labels ?? {};
}

function hasSelector(sidecar: SidecarResource): boolean {
  return Object.keys(selectorOf(sidecar)).length > 0;
}
