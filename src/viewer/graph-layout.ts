/**
 * Where the services of a graph stand: callers left of whom they call, few crossings.
 *
 * Layers by the longest way from a caller that nobody calls (Sugiyama's scheme); an edge that would
 * close a circle is turned round for that, and says so. An edge over several layers has a place in
 * each, so that it passes between nodes. Same input, same picture: nothing is random.
 */

export interface GraphInput {
  readonly nodes: readonly string[];
  readonly edges: readonly { readonly from: string; readonly to: string }[];
}

/** Places in units: `layer` to the right from 0, `slot` downwards, fractions too. */
export interface GraphPlace {
  readonly layer: number;
  readonly slot: number;
}

export interface GraphLayout {
  readonly nodes: ReadonlyMap<string, GraphPlace>;
  /** In the order of the input: places from the caller to the callee, both included. */
  readonly ways: readonly (readonly GraphPlace[])[];
  readonly layers: number;
  readonly slots: number;
}

export function layOutGraph({ nodes, edges }: GraphInput): GraphLayout {
  const names = [...new Set([...nodes, ...edges.flatMap(({ from, to }) => [from, to])])].sort();
  const forward = breakCircles(names, edges);
  const layerOf = longestWays(names, forward);
  const layers: Place[][] = [];
  const at = (layer: number): Place[] => {
    while (layers.length <= layer) layers.push([]);
    return layers[layer]!;
  };
  const places = new Map<string, Place>();
  for (const name of names) {
    const place = new Place(layerOf.get(name)!);
    places.set(name, place);
    at(place.layer).push(place);
  }
  const chains = edges.map(({ from, to }, index) => {
    const { from: first, to: last } = forward[index] ?? { from, to };
    const chain = [places.get(first)!];
    for (let layer = layerOf.get(first)! + 1; layer < layerOf.get(last)!; layer++) {
      const between = new Place(layer);
      at(layer).push(between);
      chain.push(between);
    }
    if (first !== last) chain.push(places.get(last)!);
    chain.forEach((place, step) => {
      place.meets(chain[step + 1], chain[step - 1]);
    });
    return first === from ? chain : chain.reverse();
  });
  order(layers);
  return {
    nodes: places,
    ways: chains,
    layers: layers.length,
    slots: Math.max(1, ...layers.map((layer) => layer.length)),
  };
}

class Place implements GraphPlace {
  readonly layer: number;
  slot = 0;
  readonly #after: Place[] = [];
  readonly #before: Place[] = [];

  constructor(layer: number) {
    this.layer = layer;
  }

  meets(after: Place | undefined, before: Place | undefined): void {
    if (after !== undefined) this.#after.push(after);
    if (before !== undefined) this.#before.push(before);
  }

  /** Mean slot of its neighbours on one side, or its own. */
  center(isAfter: boolean): number {
    const neighbours = isAfter ? this.#after : this.#before;
    if (neighbours.length === 0) return this.slot;
    return neighbours.reduce((sum, { slot }) => sum + slot, 0) / neighbours.length;
  }
}

type Edge = { readonly from: string; readonly to: string };

/** The edges by index, those turned round that lead back on a walk from the first callers. */
function breakCircles(names: readonly string[], edges: readonly Edge[]): readonly Edge[] {
  const callees = new Map<string, string[]>(names.map((name) => [name, []]));
  for (const { from, to } of edges) callees.get(from)!.push(to);
  const calls = new Map(names.map((name) => [name, { by: 0, of: 0 }]));
  for (const { from, to } of edges) {
    if (from === to) continue;
    calls.get(from)!.by += 1;
    calls.get(to)!.of += 1;
  }
  // Whom nobody calls begins; then who calls more than it is called.
  const rank = (name: string): number => {
    const { by, of } = calls.get(name)!;
    return of === 0 ? Number.POSITIVE_INFINITY : by - of;
  };
  const starts = [...names].sort((one, other) => compare(rank(other), rank(one)));
  const state = new Map<string, 'open' | 'done'>();
  const back = new Set<string>();
  for (const start of starts) {
    if (state.has(start)) continue;
    state.set(start, 'open');
    const open = [{ name: start, next: 0 }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const to = callees.get(top.name)![top.next++];
      if (to === undefined) {
        state.set(top.name, 'done');
        open.pop();
      } else if (state.get(to) === 'open') {
        back.add(JSON.stringify([top.name, to]));
      } else if (!state.has(to)) {
        state.set(to, 'open');
        open.push({ name: to, next: 0 });
      }
    }
  }
  return edges.map(({ from, to }) => {
    return back.has(JSON.stringify([from, to])) ? { from: to, to: from } : { from, to };
  });
}

function compare(one: number, other: number): number {
  return one === other ? 0 : one - other;
}

/** Layer of each name: one more than the farthest of its callers. */
function longestWays(
  names: readonly string[],
  edges: readonly Edge[],
): ReadonlyMap<string, number> {
  const layers = new Map(names.map((name) => [name, 0]));
  // Without circles this settles after at most as many rounds as there are names.
  for (let round = 0; round < names.length; round++) {
    let hasMoved = false;
    for (const { from, to } of edges) {
      if (from === to || layers.get(to)! > layers.get(from)!) continue;
      layers.set(to, layers.get(from)! + 1);
      hasMoved = true;
    }
    if (!hasMoved) break;
  }
  return layers;
}

/** Barycenters, forwards and back; each layer stands in the middle of the tallest one. */
function order(layers: readonly Place[][]): void {
  const tallest = Math.max(1, ...layers.map((layer) => layer.length));
  const stand = (layer: Place[]): void => {
    layer.forEach((place, index) => {
      place.slot = index + (tallest - layer.length) / 2;
    });
  };
  layers.forEach(stand);
  for (let sweep = 0; sweep < 6; sweep++) {
    const isAfter = sweep % 2 === 1;
    for (const layer of isAfter ? layers.toReversed() : layers) {
      layer.sort((one, other) => one.center(isAfter) - other.center(isAfter));
      stand(layer);
    }
  }
}
