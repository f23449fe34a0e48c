/** A taint of a node. It may have further fields. */
export interface Taint {
  readonly key: string;
  readonly effect: string;
}

/** An operation of a JSON patch (RFC 6902); only the two that are used here. */
export type PatchOperation =
  | { readonly op: 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** Whether the value is a list of taints, as the API returns it. */
export function isTaintList(value: unknown): value is readonly Taint[] {
  return (
    Array.isArray(value) &&
    value.every((it: unknown) => typeof it === 'object' && it !== null && 'key' in it)
  );
}

/**
 * Makes the JSON patch that removes all taints of the key, with any effect, and nothing else. A JSON patch refers to list
 * items by their index. So a `test` precedes each removal: if the list was changed meanwhile, nothing is removed.
 *
 * @returns no operation when there is no such taint
 */
export function removalOf(key: string, taints: readonly Taint[]): PatchOperation[] {
  return taints
    .map((taint, index) => ({ taint, path: `/spec/taints/${index}` }))
    .filter(({ taint }) => taint.key === key)
    .reverse() // A removal changes the index of all later items.
    .flatMap(({ taint, path }): PatchOperation[] => [
      { op: 'test', path, value: taint },
      { op: 'remove', path },
    ]);
}
