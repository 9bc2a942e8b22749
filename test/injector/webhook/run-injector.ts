/** Runs `tracecar injector` from the sources, as src/cli does: flags in, exit status out. */

import { runInjector } from '../../../injector/main.ts';

runInjector(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`tracecar injector: ${error instanceof Error ? error.message : error}\n`);
    process.exit(2);
  },
);
