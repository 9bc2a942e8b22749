'use strict';
/**
 * The fault of the story, loaded before the unchanged `ratings`: of the calls that the new version of
 * `reviews` makes (it asks below /v2), it answers every 36th by 500, twenty in all. Only requests whose
 * id begins with `fault-` count, so a warm-up uses none of them up.
 */

const http = require('node:http');

const every = 36;
const faultsMax = 20;
const meant = /^\/v2\/.*[?&]id=fault-/;
const { createServer } = http;
let calls = 0;
let faults = 0;

http.createServer = (handle) =>
  createServer((request, response) => {
    if (meant.test(request.url) && faults < faultsMax && ++calls % every === 0) {
      faults += 1;
      response.writeHead(500, { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ error: 'no rating' }));
      return;
    }
    handle(request, response);
  });
