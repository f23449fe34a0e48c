/**
 * What may stand in an object: `true` takes any value whole, a list of one shape is a list of such things, and fields
 * that are not named may not be there.
 */
export type Shape = true | readonly [Shape] | { readonly [field: string]: Shape };

/**
 * Refuses what the helper would not do, so that nobody takes for tested what was left out.
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
