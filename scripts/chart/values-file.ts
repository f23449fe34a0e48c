import { type YAMLMap, isMap, isNode, isScalar, parseDocument } from 'yaml';

import { type OptionValue, SPEGEL_VALUES } from './option-values.ts';

/** What values.yaml says of one value. */
export interface ValueRow {
  readonly path: readonly string[];
  /** As helm-docs names them: `string`, `bool`, `int`, `list`, `object`. */
  readonly type: string;
  readonly fallback: unknown;
  readonly description: string;
}

const BEGIN = /^ *# BEGIN of the options.*\n/m;
const END = /^ *# END of the options/m;

/**
 * Puts the options between the two marks of values.yaml.
 *
 * @throws Error without the marks
 */
export function withOptions(text: string, values: readonly OptionValue[]): string {
  const begin = BEGIN.exec(text);
  const end = END.exec(text);
  if (begin === null || end === null) throw new Error('values.yaml has no marks for the options');
  const lines = values.flatMap(({ name, flag, option }) => {
    const fallback = option.fallback === '' ? '' : ` Default: \`${option.fallback}\`.`;
    const summary = option.summary.charAt(0).toUpperCase() + option.summary.slice(1);
    return [
      `  # -- (${optionType(option.kind)}) ${summary}: \`--${flag}\`.${fallback}`,
      `  ${name}: null`,
    ];
  });
  return `${text.slice(0, begin.index + begin[0].length)}${lines.join('\n')}\n${text.slice(end.index)}`;
}

function optionType({ list, placeholder }: OptionValue['option']['kind']): string {
  if (list) return 'list';
  if (placeholder === 'NUMBER') return 'int';
  return placeholder === 'true|false' ? 'bool' : 'string';
}

/**
 * Reads the values with their descriptions, which stand above them after `# --`, as helm-docs has them. A map that is
 * described is one value; the values in one that is not are values each.
 *
 * @throws Error when one has no description, or no type can be told
 */
export function readValues(text: string): ValueRow[] {
  const document = parseDocument(text);
  if (!isMap(document.contents)) throw new Error('values.yaml is no map');
  return rowsOf(document.contents, []);
}

function rowsOf(map: YAMLMap, above: readonly string[]): ValueRow[] {
  return map.items.flatMap(({ key, value }, index) => {
    if (!isScalar(key)) throw new Error('values.yaml has a key that is no word');
    const path = [...above, String(key.value)];
    // What stands above the first key of a map counts as the comment of the map.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : null) ?? '';
    const [, type, description] = /^ -- (?:\((\w+)\) )?(.*)$/m.exec(comment) ?? [];
    if (description === undefined) {
      if (isMap(value) && value.items.length > 0) return rowsOf(value, path);
      throw new Error(`values.yaml says nothing of ${path.join('.')}`);
    }
    const fallback: unknown = isNode(value) ? value.toJSON() : value;
    return [{ path, type: type ?? typeOf(fallback, path), fallback, description }];
  });
}

function typeOf(value: unknown, path: readonly string[]): string {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  throw new Error(`values.yaml: the type of ${path.join('.')} cannot be told`);
}

/** Whether the row is an option of the agent, below `peerglass` or `spegel`. */
export function optionOf(
  { path }: ValueRow,
  values: readonly OptionValue[],
): OptionValue | undefined {
  const [section = '', name = '', ...rest] = path;
  if (rest.length > 0) return undefined;
  const known = section === 'peerglass' || (section === 'spegel' && SPEGEL_VALUES.includes(name));
  return known ? values.find((value) => value.name === name) : undefined;
}
