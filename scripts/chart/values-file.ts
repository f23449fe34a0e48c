import { type YAMLMap, isMap, isNode, isScalar, parseDocument } from 'yaml';

import { CHART_DEFAULTS, FORMER_VALUES, type OptionValue, SPEGEL_VALUES } from './option-values.ts';

/** One value of values.yaml. */
export interface ValueRow {
  readonly path: readonly string[];
  /** Type by its name in helm-docs: `string`, `bool`, `int`, `list`, `object`. */
  readonly type: string;
  readonly fallback: unknown;
  readonly description: string;
}

const BEGIN = /^ *# BEGIN of the options.*\n/m;
const END = /^ *# END of the options/m;

/**
 * Replaces the options between the two marks of values.yaml.
 *
 * @throws Error when a mark is missing
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
      `  ${name}: ${JSON.stringify(CHART_DEFAULTS[name] ?? null)}`,
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
 * Reads the values with their descriptions, which are comments with `# --` above them, as in helm-docs. A map with a
 * description is one value. In a map without one, each entry is a value.
 *
 * @throws Error when a description is missing, or the type is unknown
 */
export function readValues(text: string): ValueRow[] {
  const document = parseDocument(text);
  if (!isMap(document.contents)) throw new Error('values.yaml is not a map');
  return rowsOf(document.contents, []);
}

function rowsOf(map: YAMLMap, above: readonly string[]): ValueRow[] {
  return map.items.flatMap(({ key, value }, index) => {
    if (!isScalar(key)) throw new Error('values.yaml has a key that is not a word');
    const path = [...above, String(key.value)];
    // The parser takes the comment above the first key of a map as the comment of the map.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : null) ?? '';
    const [, type, description] = /^ -- (?:\((\w+)\) )?(.*)$/m.exec(comment) ?? [];
    if (description === undefined) {
      if (isMap(value) && value.items.length > 0) return rowsOf(value, path);
      throw new Error(`values.yaml has no description of ${path.join('.')}`);
    }
    const fallback: unknown = isNode(value) ? value.toJSON() : value;
    return [{ path, type: type ?? typeOf(fallback, path), fallback, description }];
  });
}

function typeOf(value: unknown, path: readonly string[]): string {
  if (typeof value === 'string') return 'string';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'number') return 'int';
  throw new Error(`values.yaml: the type of ${path.join('.')} is unknown`);
}

/** The option of the agent that a value below `peerglass` or `spegel` sets; undefined for other values. */
export function optionOf(
  { path }: ValueRow,
  values: readonly OptionValue[],
): OptionValue | undefined {
  const [section = '', name = '', ...rest] = path;
  if (rest.length > 0) return undefined;
  const former = section === 'spegel' ? FORMER_VALUES[name] : undefined;
  const known =
    section === 'peerglass' ||
    former !== undefined ||
    (section === 'spegel' && SPEGEL_VALUES.includes(name));
  return known ? values.find((value) => value.name === (former ?? name)) : undefined;
}
