import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { text } from 'node:stream/consumers';

import { parse } from 'smol-toml';

import { codeOf } from '../../errors/system-error.ts';
import { at, isRecord, textAt } from '../json.ts';
import { readSmallText } from '../../files/small-file.ts';
import { CheckSkippedError } from '../report.ts';
import type { CriStatus } from './cri-client.ts';
import { sharesNamespace, type RunningProcess } from './process.ts';

/** The parts of containerd's configuration that matter here, as containerd uses them. */
export interface EffectiveConfig {
  /** `config_path` of the registries; empty when not set. */
  readonly configPath: string;
  readonly discardUnpackedLayers: boolean;
  /** Empty when unknown. */
  readonly snapshotter: string;
  /** The file to edit. */
  readonly file: string;
}

/** Default configuration file of containerd. */
const DEFAULT_FILE = '/etc/containerd/config.toml';
/** Upper bound for the configuration file, in bytes. */
const MAX_BYTES = 1024 * 1024;
/** How long `containerd config dump` may take, in milliseconds. */
const DUMP_MS = 2_000;

const IMAGES = 'io.containerd.cri.v1.images';
const CRI = 'io.containerd.grpc.v1.cri';

/** Sources of {@link effectiveConfig}. */
export interface ConfigSources {
  readonly cri: CriStatus;
  /** Finds containerd's process; called only when the CRI does not report the configuration. */
  readonly process: () => Promise<RunningProcess>;
  /** The file to read instead of the one that containerd was started with. */
  readonly file?: string;
}

/**
 * Finds out the configuration that containerd uses. Before 2.0 the CRI reports it. From 2.0 on it comes from
 * `containerd config dump` with the configuration file of the running process, or from that file itself.
 *
 * @throws CheckSkippedError with the reason when it cannot be found out
 */
export async function effectiveConfig(sources: ConfigSources): Promise<EffectiveConfig> {
  const { config, imageFolder } = sources.cri;
  const snapshotter = /^io\.containerd\.snapshotter\.v1\.(.+)$/.exec(basename(imageFolder))?.[1];
  if (isRecord(config['registry'])) {
    return {
      configPath: textAt(config, 'registry', 'configPath') ?? '',
      discardUnpackedLayers: at(config, 'containerd', 'discardUnpackedLayers') === true,
      snapshotter: textAt(config, 'containerd', 'snapshotter') ?? snapshotter ?? '',
      file: sources.file ?? (await fileOf(sources.process).catch(() => DEFAULT_FILE)),
    };
  }
  const { file, tree } = await configTree(sources);
  const images = at(tree, 'plugins', IMAGES);
  const old = at(tree, 'version') === 3 ? undefined : at(tree, 'plugins', CRI);
  const read = (key: string): unknown =>
    at(images, key) ?? at(old, 'containerd', key) ?? at(old, key);
  return {
    configPath:
      textAt(images, 'registry', 'config_path') ?? textAt(old, 'registry', 'config_path') ?? '',
    discardUnpackedLayers: read('discard_unpacked_layers') === true,
    snapshotter: textAt({ it: read('snapshotter') }, 'it') ?? snapshotter ?? '',
    file,
  };
}

async function configTree(sources: ConfigSources): Promise<{ file: string; tree: unknown }> {
  if (sources.file !== undefined) return { file: sources.file, tree: await readTree(sources.file) };
  const running = await sources.process();
  const file = configFile(running.command);
  const here = await sharesNamespace(running.pid, 'mnt');
  if (here !== false) {
    const dumped = await dump(running, file).catch(() => undefined);
    if (dumped !== undefined) return { file, tree: dumped };
  }
  const seen = here === false ? `/proc/${running.pid}/root${resolve('/', file)}` : file;
  const tree = await readTree(seen);
  if (at(tree, 'imports') !== undefined) {
    throw new CheckSkippedError(
      `${file} imports others, and \`containerd config dump\` cannot be run from here; run doctor as root on the node itself`,
    );
  }
  return { file, tree };
}

/** Runs `containerd config dump`, which resolves imports, defaults and older forms of the file. */
async function dump({ pid, command }: RunningProcess, file: string): Promise<unknown> {
  const child = spawn(`/proc/${pid}/exe`, ['--config', file, 'config', 'dump'], {
    // The binary of k3s holds several programs, which it selects by argv[0].
    argv0: command[0] ?? 'containerd',
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: DUMP_MS,
    killSignal: 'SIGKILL',
  });
  const [printed] = await Promise.all([text(child.stdout), once(child, 'close')]);
  if (child.exitCode !== 0) throw new Error('containerd config dump failed');
  return parse(printed);
}

async function readTree(file: string): Promise<unknown> {
  try {
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw new CheckSkippedError(`${file} is too large: ${size} bytes`);
    return parse(await readSmallText(file));
  } catch (error) {
    if (error instanceof CheckSkippedError) throw error;
    const code = codeOf(error) ?? '';
    // Without a file containerd uses its defaults.
    if (code === 'ENOENT' && file.endsWith(DEFAULT_FILE)) return {};
    const why =
      code === 'EACCES' || code === 'EPERM' ? 'it may be read by root only' : code || 'not TOML';
    throw new CheckSkippedError(`${file} cannot be read: ${why}`, { cause: error });
  }
}

async function fileOf(running: () => Promise<RunningProcess>): Promise<string> {
  return configFile((await running()).command);
}

/** Returns the configuration file of a command line: `--config FILE`, `-c FILE`, or with `=`; else the default. */
export function configFile(command: readonly string[]): string {
  for (const [index, word] of command.entries()) {
    const match = /^(?:-c|--?config)(?:=(.*))?$/.exec(word);
    const file = match === null ? undefined : (match[1] ?? command[index + 1]);
    if (file !== undefined && file !== '') return resolve('/', file);
  }
  return DEFAULT_FILE;
}

/** Returns the folder of containerd's content store, when the CRI reports it. */
export function contentFolder({ config }: CriStatus): string | undefined {
  const root = textAt(config, 'containerdRootDir');
  return root === undefined ? undefined : `${root}/io.containerd.content.v1.content`;
}
