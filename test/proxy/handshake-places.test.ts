import assert from 'node:assert/strict';
import { test } from 'node:test';
import { trafficLimits } from '../../src/model/limits.ts';
import { HandshakePlaces, type PlaceHolder } from '../../src/proxy/mesh/handshake-places.ts';

class Holder implements PlaceHolder {
  readonly address: string;
  hurried = 0;

  constructor(address: string) {
    this.address = address;
  }

  hurry(): void {
    this.hurried++;
  }
}

/** `bounds`: under way, of one address, waiting, of one address. */
function placesOf(bounds: readonly [number, number, number, number]): HandshakePlaces<Holder> {
  const [meshHandshakesMax, meshHandshakesPerAddressMax, ...waiting] = bounds;
  const [meshHandshakesWaitingMax, meshWaitingPerAddressMax] = waiting;
  return new HandshakePlaces({
    ...trafficLimits,
    ...{ meshHandshakesMax, meshHandshakesPerAddressMax },
    ...{ meshHandshakesWaitingMax, meshWaitingPerAddressMax },
  });
}

function taking(places: HandshakePlaces<Holder>, address: string): Holder {
  const holder = new Holder(address);
  places.take(holder);
  return holder;
}

function queueing(places: HandshakePlaces<Holder>, address: string): Holder {
  const holder = new Holder(address);
  assert.ok(places.wait(holder));
  return holder;
}

test('one address has its share of the places, and others have the rest', () => {
  const places = placesOf([4, 2, 9, 9]);
  const stranger = taking(places, 'a');
  taking(places, 'a');
  assert.equal(places.isFreeFor('a'), false);
  assert.equal(places.isFreeFor('b'), true);
  const [second, other] = [queueing(places, 'a'), queueing(places, 'b')];
  assert.equal(places.next(), other, 'whose address has a place does not wait for others');
  assert.equal(places.next(), undefined);
  places.leave(stranger);
  assert.equal(places.next(), second);
  assert.equal(places.waiting, 0);
});

test('addresses take turns', () => {
  const places = placesOf([9, 9, 9, 9]);
  const [a1, a2, b1] = ['a', 'a', 'b'].map((address) => queueing(places, address));
  assert.deepEqual([places.next(), places.next(), places.next()], [a1, b1, a2]);
});

test('so many wait, and so many of one address', () => {
  const places = placesOf([1, 1, 3, 2]);
  const first = queueing(places, 'a');
  queueing(places, 'a');
  assert.equal(places.wait(new Holder('a')), false);
  queueing(places, 'b');
  assert.equal(places.wait(new Holder('c')), false);
  places.leave(first);
  queueing(places, 'c');
  assert.equal(places.all().length, 3);
});

test('only those whose places are wanted are hurried', () => {
  const places = placesOf([3, 2, 9, 9]);
  const [a, b] = [taking(places, 'a'), taking(places, 'b')];
  taking(places, 'a');
  places.leave(b);
  const c = taking(places, 'c');
  places.hurry();
  assert.equal(a.hurried + c.hurried, 0, 'nobody waits');
  places.leave(c);
  const d = taking(places, 'd');
  const waiting = queueing(places, 'a');
  places.hurry();
  assert.deepEqual([a.hurried, d.hurried], [1, 1], 'all places are taken');
  places.leave(d);
  const e = new Holder('e');
  places.hurry();
  assert.deepEqual([a.hurried, places.isWanted(a), places.isWanted(e)], [2, true, false]);
  places.leave(waiting);
  assert.equal(places.isWanted(a), false);
});

test('one address has half of the places by default, above what a machine of sidecars needs', () => {
  const { meshHandshakesMax, meshHandshakesPerAddressMax } = trafficLimits;
  assert.equal(meshHandshakesPerAddressMax * 2, meshHandshakesMax);
  assert.equal(trafficLimits.meshWaitingPerAddressMax * 2, trafficLimits.meshHandshakesWaitingMax);
  const { meshHandshakePatienceMs, tlsHandshakeMs } = trafficLimits;
  assert.ok(meshHandshakePatienceMs * 4 <= tlsHandshakeMs);
});
