import { Command, CommanderError, Option } from 'commander';

import { isSwitch, type OptionTable, type OptionValues } from '../config/options.ts';
import { UsageError, resolveOptions, type WrittenFlags } from '../config/resolve.ts';
import { SUBCOMMANDS, type Subcommand } from '../config/subcommands.ts';
import { runCleanupWait } from './cleanup-wait.ts';
import { runCleanup } from './cleanup.ts';
import { runConfiguration } from './configuration.ts';
import { renderHelp, renderOverview } from './help.ts';
import { withHint } from './hint.ts';
import { printVersion } from '../app/version.ts';

/** Exit codes: success, failure at run time, wrong usage. */
const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/**
 * Runs the command line.
 *
 * Prints each failure as one line on stderr.
 *
 * @param args without program and script
 * @returns the exit code: 0, 1 for a failure, 2 for wrong usage
 */
export async function run(args: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  const program = new Command('peerglass');
  program
    .exitOverride()
    .helpCommand(false)
    .configureOutput({ writeErr: () => undefined });
  program.helpInformation = () => renderOverview(SUBCOMMANDS);

  addSubcommand(program, 'registry', env, async (values) => {
    // A lazy import keeps libp2p out of the other subcommands, and takes 5 MiB less in the agent itself.
    const { runRegistry } = await import('./registry.ts');
    await runRegistry(values);
  });
  addSubcommand(program, 'configuration', env, runConfiguration);
  addSubcommand(program, 'cleanup', env, runCleanup);
  addSubcommand(program, 'cleanup-wait', env, runCleanupWait);
  addSubcommand(program, 'startup-taint', env, async (values) => {
    // Lazy imports from here on: the agent does not need these.
    const { runStartupTaint } = await import('./startup-taint.ts');
    await runStartupTaint(values, env);
  });
  let exitCode: number = EXIT.ok;
  addSubcommand(program, 'check-registries', env, async (values, ...files) => {
    const { runCheckRegistries } = await import('./check-registries.ts');
    exitCode = await runCheckRegistries(values, files);
  });
  addSubcommand(program, 'doctor', env, async (values) => {
    const { runDoctor } = await import('./doctor.ts');
    await runDoctor(values, env);
  });
  addSubcommand(program, 'swarm-key', env, async (values) => {
    const { runSwarmKey } = await import('./swarm-key.ts');
    await runSwarmKey(values);
  });
  addSubcommand(program, 'version', env, (values) => {
    printVersion(values.format);
  });

  try {
    if (args.length === 0) throw new UsageError('no subcommand given; try peerglass --help');
    await program.parseAsync(asSubcommand(args), { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok; // --help
      complain(withHint(error.message, args[0] ?? ''));
      return EXIT.usage;
    }
    complain(error instanceof Error ? error.message : String(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failure;
  }
}

/** What people try before `version` and `--help`: `--version`, `help` and `help SUBCOMMAND`. */
function asSubcommand(args: readonly string[]): readonly string[] {
  const [first, ...rest] = args;
  if (first === '--version') return ['version', ...rest];
  if (first !== 'help') return args;
  const [subcommand = '--help'] = rest;
  return Object.hasOwn(SUBCOMMANDS, subcommand) ? [subcommand, '--help'] : [subcommand];
}

function addSubcommand<N extends keyof typeof SUBCOMMANDS>(
  program: Command,
  name: N,
  env: NodeJS.ProcessEnv,
  action: (
    values: OptionValues<(typeof SUBCOMMANDS)[N]['options']>,
    ...operands: readonly string[]
  ) => Promise<void> | void,
): void {
  const { summary, operands, sections }: Subcommand = SUBCOMMANDS[name];
  const own: (typeof SUBCOMMANDS)[N]['options'] = SUBCOMMANDS[name].options;
  const table: OptionTable = own;
  const command = program.command(name).allowExcessArguments(false);
  if (operands !== undefined) command.argument('[operands...]');
  const usage = operands === undefined ? name : `${name} ${operands}`;
  command.helpInformation = () =>
    renderHelp(usage, summary, sections ?? { '': table }, operands !== undefined);
  for (const [flag, row] of Object.entries(table)) {
    // A switch before an operand would take the operand as its value.
    const bare = operands === undefined ? '[value]' : '';
    const single = isSwitch(row) ? bare : '<value>';
    const value = row.kind.list ? '<values...>' : single;
    const option = new Option(`--${flag} ${value}`.trimEnd());
    if (value !== '') {
      option.argParser((text: string, before?: readonly string[]) => [...(before ?? []), text]);
    }
    command.addOption(option);
  }
  command.action(async () => {
    const written: Record<string, readonly string[] | undefined> = {};
    for (const option of command.options) {
      const value: unknown = command.getOptionValue(option.attributeName());
      // A bare boolean flag has no text of its own.
      written[option.name()] = value === true ? ['true'] : (value as WrittenFlags[string]);
    }
    const variables = 'router-addr' in table ? withK3sPort(env) : env;
    await action(resolveOptions(own, written, variables), ...command.args);
  });
}

/**
 * Takes the port from K3S_P2P_PORT, k3s' variable for its peer-to-peer network, unless ROUTER_ADDR is set.
 *
 * @throws UsageError when it is no port
 */
function withK3sPort(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const port = env['K3S_P2P_PORT'] ?? '';
  if (port === '' || (env['ROUTER_ADDR'] ?? '') !== '') return env;
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new UsageError(`K3S_P2P_PORT: "${port}" is no port`);
  }
  return { ...env, ROUTER_ADDR: `:${port}` };
}

function complain(message: string): void {
  process.stderr.write(`peerglass: ${message}\n`);
}
