/**
 * Loaded into every child of the demo before its own program: ends the child when the demo is gone,
 * whatever killed it. The channel between the two closes then, and nothing is ever said on it.
 *
 * Programs that a child starts with the same flags have no channel, and nothing happens there.
 */
'use strict';

const { rmSync } = require('node:fs');
const { isMainThread } = require('node:worker_threads');

/** A sidecar drains for two seconds; who is not done by then is made to end. */
const patienceMs = 8_000;

if (isMainThread && process.channel) {
  process.on('disconnect', () => {
    // The authority's keys: nobody else is left to remove them.
    const folder = process.env.TRACECAR_DEMO_FOLDER;
    if (folder) process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), patienceMs).unref();
  });
  // It is no reason to go on.
  process.channel.unref();
}
