import { environmentName, isSwitch, type OptionTable } from '../config/options.ts';

/** The column at which summaries begin. */
const SUMMARY_COLUMN = 45;
/** Maximum length of a line, in columns. */
const MAX_COLUMNS = 100;

/** The text of `peerglass --help`. */
export function renderOverview(
  subcommands: Readonly<Record<string, { readonly summary: string }>>,
): string {
  const column = 2 + Math.max(...Object.keys(subcommands).map(({ length }) => length));
  const rows = Object.entries(subcommands).map(
    ([name, { summary }]) => `  ${name.padEnd(column)}${summary}\n`,
  );
  return [
    'Peerglass: images from the nodes next door, not from the registry.\n\n',
    'Usage: peerglass <subcommand> [options]\n\n',
    ...rows,
    '\npeerglass help <subcommand> lists the options of one.\n',
  ].join('');
}

/**
 * The text of `peerglass <name> --help`: one line for each option, with its default as its value.
 *
 * @param sections options by their heading; an empty heading is left out
 */
export function renderHelp(
  name: string,
  summary: string,
  sections: Readonly<Record<string, OptionTable>>,
  hasOperands = false,
): string {
  return [
    `Usage: peerglass ${name} [options]      (${summary})\n\n`,
    ...Object.entries(sections).flatMap(([title, table]) => [
      title === '' ? '' : `${title}:\n`,
      ...renderOptions(table, hasOperands),
      '\n',
    ]),
    'Each has an environment twin: --registry-addr is REGISTRY_ADDR. Values shown in lower case or as\n',
    'an address are the defaults. docs/CONFIGURATION.md says when to change them.\n',
  ].join('');
}

/** A switch of a subcommand with operands takes no value: the next word would be one. */
function renderOptions(table: OptionTable, hasOperands: boolean): string[] {
  return Object.entries(table).map(([flag, option]) => {
    const value = option.fallback === '' ? option.kind.placeholder : option.fallback;
    const isBare = hasOperands && isSwitch(option);
    const left = isBare ? `  --${flag}` : `  --${flag} ${value}${option.kind.list ? ' ...' : ''}`;
    const twin = option.env === undefined ? '' : ` (${environmentName(flag, option)})`;
    const isLong = left.length >= SUMMARY_COLUMN;
    const gap = isLong
      ? `\n${' '.repeat(SUMMARY_COLUMN)}`
      : ' '.repeat(SUMMARY_COLUMN - left.length);
    const { choices = [] } = option.kind;
    const first = `${left}${gap}${option.summary}${twin}`;
    if (choices.length === 0) return `${first}\n`;
    const allowed = `: ${choices.join(', ')}`;
    const length = first.length - first.lastIndexOf('\n') - 1 + allowed.length;
    if (length <= MAX_COLUMNS) return `${first}${allowed}\n`;
    return `${first}:\n${' '.repeat(SUMMARY_COLUMN)}${choices.join(', ')}\n`;
  });
}
