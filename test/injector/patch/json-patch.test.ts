/**
 * JSON Patch: the operations are few, their pointers escaped, and large lists end in time.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fastJsonPatch from 'fast-json-patch';
import { diff, jsonOf, printOperations } from '../../../injector/json-patch.ts';

test('equal values need no operation, whatever the order of their keys', () => {
  assert.deepEqual(diff({ a: 1, b: [{ c: 2 }] }, { b: [{ c: 2 }], a: 1 }), []);
});

test('a container put first is one add', () => {
  const [first, second] = [{ name: 'a', image: '1' }, { name: 'b' }];
  assert.deepEqual(diff({ list: [second] }, { list: [first, second] }), [
    { op: 'add', path: '/list/0', value: first },
  ]);
});

test('a change inside a named element leaves its siblings alone', () => {
  const before = [{ name: 'a', x: 1 }, { name: 'b', x: 1 }, { name: 'c' }];
  const after = [{ name: 'new' }, { name: 'b', x: 2 }, { name: 'c' }];
  assert.deepEqual(diff(before, after), [
    { op: 'remove', path: '/0' },
    { op: 'add', path: '/0', value: { name: 'new' } },
    { op: 'replace', path: '/1/x', value: 2 },
  ]);
});

test('an absent parent is made before its child', () => {
  const patch = diff({ metadata: {} }, { metadata: { annotations: { 'a/b': '1' } } });
  assert.deepEqual(patch, [{ op: 'add', path: '/metadata/annotations', value: { 'a/b': '1' } }]);
  assert.deepEqual(diff({ list: [] }, { list: [1] }), [{ op: 'add', path: '/list/0', value: 1 }]);
});

test('slash and tilde in a key are escaped', () => {
  assert.deepEqual(diff({ 'a/b~c': 1 }, {}), [{ op: 'remove', path: '/a~1b~0c' }]);
  assert.deepEqual(diff({ '~1': 1 }, { '~1': 2 }), [{ op: 'replace', path: '/~01', value: 2 }]);
});

test('an own key named __proto__ is a key like any other', () => {
  const before = JSON.parse('{"__proto__": {"a": 1}}');
  const after = JSON.parse('{"__proto__": {"a": 2}, "constructor": 1}');
  assert.deepEqual(diff(before, after), [
    { op: 'replace', path: '/__proto__/a', value: 2 },
    { op: 'add', path: '/constructor', value: 1 },
  ]);
});

test('two long lists without anything in common are compared in bounded time', () => {
  const before = Array.from({ length: 3_000 }, (_none, at) => at);
  const after = before.map((each) => -each - 1);
  const patch = diff({ before }, { before: after });
  const { newDocument } = fastJsonPatch.applyPatch({ before }, patch, false, false);
  assert.deepEqual(newDocument, { before: after });
});

test('operations are printed as JSON.stringify prints them, known values or not', () => {
  const known = { name: 'a"b', list: [1, null, { c: 'é' }] };
  assert.equal(jsonOf(known), JSON.stringify(known));
  const after = { a: known, list: [known, { name: 'x' }, 'text', null, [known]], 'k"ey': null };
  const operations = diff({ gone: 1, list: [{ name: 'x' }] }, after);
  assert.equal(printOperations(operations), JSON.stringify(operations));
  assert.equal(printOperations([]), '[]');
});
