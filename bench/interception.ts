/**
 * `node bench/interception.ts [OPTIONS]`: the scenario `interception` of `npm run bench` by its old name.
 *
 * It is `npm run bench -- --only interception` with the same options after it (`--rounds N`, `--json FILE`,
 * `--full`); nothing is measured or drawn here.
 */

process.argv.splice(2, 0, '--only', 'interception');
await import('./bench.ts');

export {};
