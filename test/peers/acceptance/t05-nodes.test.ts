/**
 * T5 of reference/tracing.md on the Nodes that applications run on today, each as the application's own
 * runtime: the matrix of test/preload behind one server kind, and two paths of it behind
 * every other.
 */

import { findPeer, installCommand } from '../../../tools/peers.ts';
import { testMatrix } from '../../preload/matrix.ts';
import { skipWithout } from '../../support/skip-without.ts';
import { nodePeers } from '../node-peers.ts';

const found = nodePeers.map(({ name }) => ({ name, path: findPeer(name)?.path }));
const missing = found.filter(({ path }) => path === undefined).map(({ name }) => name);
const reason =
  missing.length === 0 ? undefined : `missing; install with: ${installCommand(missing)}`;

testMatrix(
  found.flatMap(({ path }) =>
    path === undefined ? [] : [{ node: path, flag: '--require', part: 'edge' }],
  ),
  skipWithout(import.meta.filename, reason),
);
