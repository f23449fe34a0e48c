/**
 * The fields that an object may have. `true` allows any value, and a list of one shape allows a list of such values.
 * Other fields are not allowed.
 */
export type Shape = true | readonly [Shape] | { readonly [field: string]: Shape };

/**
 * Refuses fields that the harness does not implement, so that a scenario cannot pass without them.
 *
 * @throws Error with the path of the field
 */
export function checkShape(value: unknown, shape: Shape, path: string): void {
  if (shape === true || value === undefined || value === null) return;
  if (isList(shape)) {
    if (!Array.isArray(value)) throw new Error(`${path}: not a list`);
    for (const [index, item] of value.entries()) checkShape(item, shape[0], `${path}[${index}]`);
    return;
  }
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error(`${path}: not an object`);
  for (const [field, item] of Object.entries(value)) {
    const known = shape[field];
    if (known === undefined)
      throw new Error(`${path}.${field}: the test's kubelet does not know it`);
    checkShape(item, known, `${path}.${field}`);
  }
}

function isList(shape: Exclude<Shape, true>): shape is readonly [Shape] {
  return Array.isArray(shape);
}
