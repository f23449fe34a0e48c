/** A taint of a node, with whatever further fields it has. */
export interface Taint {
  readonly key: string;
  readonly effect: string;
}

/** An operation of a JSON patch (RFC 6902), as far as they are needed here. */
export type PatchOperation =
  | { readonly op: 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** Whether it is what the API calls a list of taints. */
export function isTaintList(value: unknown): value is readonly Taint[] {
  return (
    Array.isArray(value) &&
    value.every((it: unknown) => typeof it === 'object' && it !== null && 'key' in it)
  );
}

/**
 * What removes all taints of the key, whatever their effect, and nothing else. A JSON patch names list items by their index,
 * so before each removal stands what has to be there: when others changed the list meanwhile, nothing is removed.
 *
 * @returns no operation when there is no such taint
 */
export function removalOf(key: string, taints: readonly Taint[]): PatchOperation[] {
  return taints
    .map((taint, index) => ({ taint, path: `/spec/taints/${index}` }))
    .filter(({ taint }) => taint.key === key)
    .reverse() // A removal moves what is behind it.
    .flatMap(({ taint, path }): PatchOperation[] => [
      { op: 'test', path, value: taint },
      { op: 'remove', path },
    ]);
}
