/**
 * Forms of Tracecar with routes of their own: many of them, or one that is edited.
 *
 * Everything else is as in the arm "tracecar". Text is made when a copy is started: the largest is
 * 2.5 MB.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Arm } from '../arms/arm.ts';
import { tracecarVariant } from '../arms/tracecar.ts';
import {
  editedDocument,
  type RouteCount,
  routeDocuments,
  serviceDocuments,
} from './route-documents.ts';

/** The file of a copy's folder that edits replace. */
export const editedFile = 'edited.yaml';

export function routesArm(name: string, label: string, count: RouteCount): Arm {
  return armWith(name, label, describe(count), () => serviceDocuments + routeDocuments(count));
}

/** The rules of the bench's own host, and no others, are in `editedFile`. */
export function editedArm(name: string, label: string, count: RouteCount): Arm {
  const setting = `${describe(count)}, those of one host edited`;
  const arm = armWith(name, label, setting, () => serviceDocuments + routeDocuments(count, 1));
  return {
    ...arm,
    prepare: (place) => {
      writeFileSync(join(place.directory, editedFile), editedDocument(count.rulesPerHost, 0));
      return arm.prepare(place);
    },
  };
}

function armWith(name: string, label: string, setting: string, makeYaml: () => string): Arm {
  return {
    ...tracecarVariant(name, label, setting),
    prepare: (place) => tracecarVariant(name, label, setting, { yaml: makeYaml() }).prepare(place),
  };
}

function describe({ hosts, rulesPerHost }: RouteCount): string {
  return `${hosts * rulesPerHost} rules on ${hosts} hosts, all to the same two subsets 60/40`;
}
