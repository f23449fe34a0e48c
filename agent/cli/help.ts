import { environmentName, type OptionTable } from '../config/options.ts';

/** Column at which the summaries begin. */
const SUMMARY_COLUMN = 45;

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
    '\npeerglass <subcommand> --help lists the options of one.\n',
  ].join('');
}

/** The text of `peerglass <name> --help`: one line an option, its default in the place of its value. */
export function renderHelp(name: string, summary: string, table: OptionTable): string {
  const rows = Object.entries(table).map(([flag, option]) => {
    const value = option.fallback === '' ? option.kind.placeholder : option.fallback;
    const left = `  --${flag} ${value}${option.kind.list ? ' ...' : ''}`;
    const twin = option.env === undefined ? '' : ` (${environmentName(flag, option)})`;
    const gap = left.length < SUMMARY_COLUMN ? '' : `\n`;
    return `${left}${gap}${gap === '' ? ' '.repeat(SUMMARY_COLUMN - left.length) : ' '.repeat(SUMMARY_COLUMN)}${option.summary}${twin}\n`;
  });
  return [
    `Usage: peerglass ${name} [options]      (${summary})\n\n`,
    ...rows,
    '\nEach has an environment twin: --registry-addr is REGISTRY_ADDR. Values shown in lower case or as\n',
    'an address are the defaults. docs/CONFIGURATION.md says when to change them.\n',
  ].join('');
}
