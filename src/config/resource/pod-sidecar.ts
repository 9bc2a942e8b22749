/**
 * Pod sidecar: at which ports of a pod no sidecar of ours takes what comes, though its label says `istio`.
 *
 * Istio's injection writes the same label, and ours leaves the ports out that its annotation names. Both
 * are seen from the pod's containers, where they are told: a pod that somebody wrote by hand without them
 * is what its label says. These parts of a pod belong to others, so nothing here complains.
 */

import { type PortRange, readPortList } from '../../base/port-list.ts';
import type { Cursor } from '../syntax/cursor.ts';

const sidecarContainer = 'tracecar-proxy';
const initContainer = 'tracecar-init';
const skipVariable = 'TRACECAR_SKIP_IN';
const skipAnnotation = 'tracecar.dev/skip-inbound-ports';
const istioContainer = 'istio-proxy';

const noPorts: readonly PortRange[] = Object.freeze([]);
const everyPort: readonly PortRange[] = Object.freeze([Object.freeze({ first: 1, last: 65_535 })]);

/** Of a whole Pod, from the document's root. */
export function plainPortsOf(pod: Cursor): readonly PortRange[] {
  const spec = fieldOf(pod, 'spec');
  const containers = [...itemsOf(spec, 'containers'), ...itemsOf(spec, 'initContainers')];
  const isOurs = containers.some(isNamed(sidecarContainer));
  if (!isOurs && containers.some(isNamed(istioContainer))) return everyPort;
  // The annotation may stand on the namespace; what holds for the pod stands in its container.
  const init = containers.find(isNamed(initContainer));
  const skipped =
    init === undefined
      ? fieldOf(fieldOf(fieldOf(pod, 'metadata'), 'annotations'), skipAnnotation)
      : fieldOf(itemsOf(init, 'env').find(isNamed(skipVariable)), 'value');
  const list = readPortList(textOf(skipped));
  return 'ranges' in list && list.ranges.length > 0 ? list.ranges : noPorts;
}

/** Undefined: it is not there. */
function fieldOf(cursor: Cursor | undefined, name: string): Cursor | undefined {
  return cursor?.entries()?.find(({ key }) => key === name)?.value;
}

function itemsOf(cursor: Cursor | undefined, name: string): readonly Cursor[] {
  return fieldOf(cursor, name)?.items() ?? [];
}

function isNamed(name: string): (item: Cursor) => boolean {
  return (item) => textOf(fieldOf(item, 'name')) === name;
}

function textOf(cursor: Cursor | undefined): string {
  const value = cursor?.scalar();
  return typeof value === 'string' ? value : '';
}
