/**
 * What is remembered of destinations, and the first move that follows from it.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  FirstMove,
  firstMoveOf,
  HttpExpected,
  howDetected,
} from '../../src/proxy/capture/first-move.ts';
import { expectedOf, noteVerdict, VerdictMemory } from '../../src/proxy/scope/verdict-memory.ts';
import { Detected, DetectedBy } from '../../src/telemetry/record/detection.ts';

function after(...verdicts: readonly number[]) {
  const entry = new VerdictMemory(1).entryOf('10.0.0.1', 80);
  for (const verdict of verdicts) noteVerdict(entry, verdict);
  return entry;
}

const { Nowhere, AtPort, AtAddress } = HttpExpected;
const { Http1, ServerFirst, Silent, Other, Unknown } = Detected;

test('three of the same in a row are expected, silence changes nothing, another one resets', () => {
  assert.equal(expectedOf(after(Http1, Http1)), Unknown);
  assert.equal(expectedOf(after(Http1, Http1, Http1)), Http1);
  assert.equal(expectedOf(after(Http1, Http1, Silent, Http1)), Http1);
  assert.equal(expectedOf(after(Http1, Http1, Http1, Http1, Http1, Other)), Unknown);
  assert.equal(expectedOf(after(Http1, Http1, Http1, Other, Http1, Http1)), Unknown);
});

test('destinations beyond the bound are forgotten, the first one first', () => {
  const memory = new VerdictMemory(2);
  const first = memory.entryOf('10.0.0.1', 80);
  const second = memory.entryOf('10.0.0.1', 81);
  memory.entryOf('10.0.0.2', 80);
  assert.equal(memory.size, 2);
  assert.equal(memory.entryOf('10.0.0.1', 81), second);
  assert.notEqual(memory.entryOf('10.0.0.1', 80), first);
});

test('the first move follows what is declared, then the port, then what is remembered', () => {
  const nothing = after();
  const http = after(Http1, Http1, Http1);
  const greeting = after(ServerFirst, ServerFirst, ServerFirst);
  assert.equal(firstMoveOf(Nowhere, 5432, nothing), FirstMove.Relay);
  assert.equal(firstMoveOf(AtAddress, 5432, nothing), FirstMove.Wait);
  assert.equal(firstMoveOf(AtAddress, 5432, http), FirstMove.Wait);
  assert.equal(firstMoveOf(AtAddress, 5432, greeting), FirstMove.Dial);
  for (const expected of [Nowhere, AtPort]) {
    assert.equal(firstMoveOf(expected, 9080, nothing), FirstMove.Dial);
    assert.equal(firstMoveOf(expected, 9080, greeting), FirstMove.Dial);
    assert.equal(firstMoveOf(expected, 9080, http), FirstMove.Wait);
  }
  assert.equal(firstMoveOf(AtPort, 5432, nothing), FirstMove.Dial, 'it may be HTTP');
});

test('a verdict is remembered only when memory has changed the first move and was right', () => {
  const { Declared, Sniffed, Remembered } = DetectedBy;
  assert.equal(howDetected(FirstMove.Relay, Nowhere, Other), Declared);
  assert.equal(howDetected(FirstMove.Wait, AtAddress, Http1), Declared);
  assert.equal(howDetected(FirstMove.Dial, AtAddress, ServerFirst), Remembered);
  assert.equal(howDetected(FirstMove.Wait, AtAddress, ServerFirst), Sniffed);
  assert.equal(howDetected(FirstMove.Dial, AtAddress, Other), Sniffed);
  assert.equal(howDetected(FirstMove.Wait, Nowhere, Http1), Remembered);
  assert.equal(howDetected(FirstMove.Dial, Nowhere, Http1), Sniffed);
  assert.equal(howDetected(FirstMove.Wait, Nowhere, Other), Sniffed);
  assert.equal(howDetected(FirstMove.Dial, AtPort, Http1), Declared);
  assert.equal(howDetected(FirstMove.Wait, AtPort, Http1), Declared);
  assert.equal(howDetected(FirstMove.Dial, AtPort, ServerFirst), Sniffed);
  assert.equal(howDetected(FirstMove.Wait, AtPort, ServerFirst), Sniffed);
});
