import { mkdir, mkdtemp, readdir, readFile, readlink, rm, lstat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, posix } from 'node:path';

import { runCommand } from '../system/command.ts';
import { downloadPackages } from '../system/debian-suite.ts';
import { elfNeeds } from './elf.ts';
import { FileTree } from './file-tree.ts';
import type { Platform } from './platform.ts';

/** A Debian package with files in the image. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** The source package, if its name or version differs. */
  readonly source: string | undefined;
}

/** The layer below Node.js, and the packages in it. */
export interface BaseTree {
  readonly tree: FileTree;
  /** Sorted by name. */
  readonly packages: readonly DebianPackage[];
}

/** Debian's stable release. */
export const BASE_SUITE = 'trixie';

const PACKAGES = ['base-files', 'ca-certificates', 'libc6', 'libgcc-s1', 'libstdc++6', 'netbase'];

/** Files that are copied, in addition to libraries, licences and certificates. */
const FILES = ['usr/lib/os-release', 'etc/protocols', 'etc/services'];

const PASSWD = `root:x:0:0:root:/:/nonexistent
nobody:x:65534:65534:nobody:/nonexistent:/nonexistent
nonroot:x:65532:65532:nonroot:/nonexistent:/nonexistent
`;
const GROUP = `root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n`;
const NSSWITCH = `passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n`;

/**
 * Builds the smallest base on which the programs run: their libraries with all dependencies, certificates, and a few files
 * of /etc. It has no shell and no package manager. The package records are in /var/lib/dpkg/status.d, where scanners look
 * for them in such images.
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

/** Downloads and unpacks the packages. Returns their control files by name, sorted. */
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
  // A package may keep its licence in another package of the same source. Its folder is then a link to that package.
  const links = await Promise.all(
    PACKAGES.map((name) => readlink(join(root, 'usr/share/doc', name)).catch(() => undefined)),
  );
  const licencePackages = new Set(links.filter((it) => it !== undefined));
  if (licencePackages.size > 0) await fetch([...licencePackages], join(folder, 'licences'));
  return new Map([...control].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Adds the libraries of the programs, and recursively the libraries of these. */
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

/** Folders that the loader searches: that of the architecture, `usr/lib/x86_64-linux-gnu`, and usr/lib. */
async function libraryFolders(root: string): Promise<string[]> {
  const names = await readdir(join(root, 'usr/lib'));
  const own = names.filter((name) => name.endsWith('-linux-gnu')).map((name) => `usr/lib/${name}`);
  return [...own, 'usr/lib'];
}

async function addLicences(tree: FileTree, root: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = `usr/share/doc/${name}`;
    const target = await readlink(join(root, path)).catch(() => undefined);
    if (target !== undefined) tree.addLink(path, target);
    else tree.addFile(`${path}/copyright`, await readFile(join(root, path, 'copyright')));
  }
  const common = 'usr/share/common-licenses';
  for (const name of await readdir(join(root, common))) {
    const target = await readlink(join(root, common, name)).catch(() => undefined);
    if (target !== undefined) tree.addLink(`${common}/${name}`, target);
    else tree.addFile(`${common}/${name}`, await readFile(join(root, common, name)));
  }
}

/** All certificates in one file, sorted by name, as update-ca-certificates writes it. */
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
