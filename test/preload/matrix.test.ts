/**
 * The matrix on this Node and on the system's, by --require and by --import. The flags load the same
 * file, so the first run is wide and the others are not; TRACECAR_TEST_WHOLE=1 makes all whole.
 */

import { applicationNodes } from './application.ts';
import { testMatrix } from './matrix.ts';

const nodes = applicationNodes();
const isWhole = process.env.TRACECAR_TEST_WHOLE !== undefined;

testMatrix(
  nodes.flatMap((node, index) =>
    (['--require', '--import'] as const).map((flag) => ({
      ...{ node, flag },
      part: isWhole ? 'whole' : index === 0 && flag === '--require' ? 'wide' : 'edge',
    })),
  ),
);

if (nodes.length === 1) {
  console.warn('NOTE: no system Node besides this one: the matrix ran on one Node only');
}
