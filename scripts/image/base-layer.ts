import { mkdir, mkdtemp, readdir, readFile, readlink, rm, lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';

import { runCommand } from '../system/command.ts';
import { downloadPackages } from '../system/debian-suite.ts';
import { elfNeeds } from './elf.ts';
import { FileTree } from './file-tree.ts';
import type { Platform } from './platform.ts';

/** A Debian package of which something is in the image. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** The source package, where its name or version is another. */
  readonly source: string | undefined;
}

/** What is below Node.js, and the packages that it comes from. */
export interface BaseTree {
  readonly tree: FileTree;
  /** Sorted by name. */
  readonly packages: readonly DebianPackage[];
}

/** Debian's stable release. */
export const BASE_SUITE = 'trixie';

const PACKAGES = ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6', 'netbase'];

/** Files that are taken as they are, beside libraries, licences and certificates. */
const FILES = ['usr/lib/os-release', 'etc/protocols', 'etc/services'];

const PASSWD = `root:x:0:0:root:/:/nonexistent
nobody:x:65534:65534:nobody:/nonexistent:/nonexistent
nonroot:x:65532:65532:nonroot:/nonexistent:/nonexistent
`;
const GROUP = `root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n`;
const NSSWITCH = `passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n`;

/**
 * The smallest base on which the programs run: the libraries that they are linked with and those that these need in turn,
 * certificates, and a few files of /etc. There is no shell in it, and no package manager, whose records are there all
 * the same (in the place where scanners look for them in such images, /var/lib/dpkg/status.d).
 *
 * @param programs programs and libraries that must be loadable
 * @param cache folder for the package lists
 */
export async function baseTree(
  { architecture }: Platform,
  programs: readonly Buffer[],
  cache: string,
): Promise<BaseTree> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-base-'));
  try {
    const root = join(folder, 'root');
    const control = await unpack(architecture, folder, root, cache);
    const tree = new FileTree();
    for (const path of FILES) tree.addFile(path, await readFile(join(root, path)));
    tree.addLink('etc/os-release', '../usr/lib/os-release');
    tree.addFile('etc/passwd', PASSWD);
    tree.addFile('etc/group', GROUP);
    tree.addFile('etc/nsswitch.conf', NSSWITCH);
    tree.addFile('etc/ssl/certs/ca-certificates.crt', await certificates(root));
    tree.addFolder('tmp', 0o1777);
    for (const alias of ['lib', 'lib64']) {
      tree.addFolder(`usr/${alias}`);
      tree.addLink(alias, `usr/${alias}`);
    }
    await addLibraries(tree, root, programs);
    await addLicences(tree, root, [...control.keys()]);
    const packages = [...control.values()].map(parseControl);
    for (const [name, text] of control) tree.addFile(`var/lib/dpkg/status.d/${name}`, text);
    return { tree, packages };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Downloads and unpacks; gives the packages' control files by name, sorted. */
async function unpack(
  architecture: string,
  folder: string,
  root: string,
  cache: string,
): Promise<Map<string, string>> {
  const suite = { suite: BASE_SUITE, architecture, security: true, cache };
  const control = new Map<string, string>();
  const fetch = async (names: readonly string[], into: string): Promise<void> => {
    for (const deb of await downloadPackages(suite, names, into)) {
      await runCommand(['dpkg-deb', '-x', deb, root]);
      const text = await runCommand(['dpkg-deb', '-f', deb]);
      control.set(parseControl(text).name, text);
    }
  };
  await mkdir(root);
  await fetch(PACKAGES, join(folder, 'debs'));
  // Packages of one source may keep their licence in another one of it, to which their folder is a link.
  const links = await Promise.all(
    PACKAGES.map((name) => readlink(join(root, 'usr/share/doc', name)).catch(() => undefined)),
  );
  const keepers = new Set(links.filter((it) => it !== undefined));
  if (keepers.size > 0) await fetch([...keepers], join(folder, 'keepers'));
  return new Map([...control].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The closure of what the programs are linked with. */
async function addLibraries(
  tree: FileTree,
  root: string,
  programs: readonly Buffer[],
): Promise<void> {
  const folders = await libraryFolders(root);
  const done = new Set<string>();
  const visit = async (file: Buffer): Promise<void> => {
    const { interpreter, libraries } = elfNeeds(file);
    if (interpreter !== undefined) await add(`usr${interpreter}`);
    for (const name of libraries) {
      const paths = folders.map((folder) => `${folder}/${name}`);
      const found = await Promise.all(paths.map((path) => exists(join(root, path))));
      const path = paths[found.indexOf(true)];
      if (path === undefined) throw new Error(`no package of the base has ${name}`);
      await add(path);
    }
  };
  const add = async (path: string): Promise<void> => {
    if (done.has(path)) return;
    done.add(path);
    const target = await readlink(join(root, path)).catch(() => undefined);
    if (target === undefined) {
      const bytes = await readFile(join(root, path));
      tree.addFile(path, bytes, 0o755);
      await visit(bytes);
    } else {
      tree.addLink(path, target);
      const absolute = target.replace(/^\/(?=lib)/, '/usr/');
      await add(posix.resolve('/', posix.dirname(path), absolute).slice(1));
    }
  };
  for (const program of programs) await visit(program);
}

/** Where the loader looks: the folder of the architecture, `usr/lib/x86_64-linux-gnu`, and usr/lib. */
async function libraryFolders(root: string): Promise<string[]> {
  const names = await readdir(join(root, 'usr/lib'));
  const own = names.filter((name) => name.endsWith('-linux-gnu')).map((name) => `usr/lib/${name}`);
  return [...own, 'usr/lib'];
}

async function addLicences(tree: FileTree, root: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = `usr/share/doc/${name}`;
    const keeper = await readlink(join(root, path)).catch(() => undefined);
    if (keeper !== undefined) tree.addLink(path, keeper);
    else tree.addFile(`${path}/copyright`, await readFile(join(root, path, 'copyright')));
  }
  const common = 'usr/share/common-licenses';
  for (const name of await readdir(join(root, common))) {
    const target = await readlink(join(root, common, name)).catch(() => undefined);
    if (target !== undefined) tree.addLink(`${common}/${name}`, target);
    else tree.addFile(`${common}/${name}`, await readFile(join(root, common, name)));
  }
}

/** What update-ca-certificates makes: all certificates one after the other, sorted by name. */
async function certificates(root: string): Promise<string> {
  const folder = join(root, 'usr/share/ca-certificates/mozilla');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.crt')).sort();
  const texts = names.map(async (name) => (await readFile(join(folder, name), 'utf8')).trimEnd());
  return `${(await Promise.all(texts)).join('\n')}\n`;
}

function parseControl(text: string): DebianPackage {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1];
  const name = field('Package') ?? '';
  const version = field('Version') ?? '';
  return { name, version, architecture: field('Architecture') ?? '', source: field('Source') };
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
