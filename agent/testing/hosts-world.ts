import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { pino } from 'pino';

import { Crash, CrashingFiles } from './crashing-files.ts';
import { fileTree } from './file-tree.ts';
import { nodeFileOperations } from '../hosts/file-operations.ts';
import { HostsConfigurator } from '../hosts/hosts-configurator.ts';
import type { RegistryHosts } from '../hosts/hosts-toml.ts';
import { K3S_HEADER, provenanceOf } from '../hosts/marker.ts';

/** A folder that exists before the first run. */
export interface InitialFolder {
  readonly registry: string;
  readonly hosts: boolean;
  readonly certificate: boolean;
  readonly mode: number;
}

/** A run of the configurator. */
export interface Run {
  /** Undefined for a cleanup. */
  readonly wanted: readonly string[] | undefined;
  readonly prepend: boolean;
  readonly target: string;
  /** Index of the operation at which the process is killed; undefined for a complete run. */
  readonly crashAt: number | undefined;
  /** Whether that operation is completed first. */
  readonly done: boolean;
}

/** Registries that the model knows. */
export const REGISTRIES = ['_default', 'docker.io', 'ghcr.io:5000'] as const;
const never = new AbortController().signal;

/** The expected folder of a registry after a cleanup. */
interface Folder {
  mode: number;
  /** The hosts.toml that another program wrote. */
  theirs: string | undefined;
  /** An edit of our file that no run has seen yet. */
  edit: string | undefined;
  /** The backup that remains until a run sees that another program replaced our file. It is restored if that file is removed. */
  backup: string | undefined;
  readonly others: Map<string, string>;
}

/** The folder on the disk, and a model of what is expected in it. */
export class HostsWorld {
  readonly root: string;
  readonly #folders = new Map<string, Folder>();
  /** Contents that other programs wrote. A number makes each unique. */
  readonly #written = new Set<string>();
  /** Backups that an edit of our file replaced: those that must exist, and those that may. */
  readonly #earlier = { must: new Set<string>(), may: new Set<string>() };
  #count = 0;
  #crashed = false;

  constructor(parent: string, initial: readonly InitialFolder[]) {
    this.root = join(parent, 'certs.d');
    mkdirSync(this.root);
    for (const { registry, hosts, certificate, mode } of initial) {
      this.#make(registry, mode);
      if (hosts) this.#put(registry, this.#content());
      if (certificate) this.other(registry);
    }
  }

  /** Another program edits the file in place. */
  edit(registry: string): void {
    const visible = this.#visible(registry);
    if (visible === undefined) return;
    const folder = this.#touch(registry);
    const text = `${visible}# edited ${this.#count++}\n`;
    writeFileSync(this.#file(registry), text);
    const isOurs = !this.#written.has(visible);
    // A run was killed after it had backed an edit up and written ours. A second edit does not replace the first one.
    if (isOurs && folder.edit !== undefined) this.#earlier.must.add(folder.edit);
    this.#written.add(text);
    if (isOurs || visible === folder.edit) folder.edit = text;
    else folder.theirs = text;
  }

  /** Another program replaces the file. */
  replace(registry: string): void {
    if (!existsSync(join(this.root, registry))) return;
    this.#put(registry, this.#content());
  }

  /** k3s starts. */
  rewrite(registry: string): void {
    this.removeAll(registry);
    this.#make(registry, 0o700);
    this.#put(registry, `${K3S_HEADER}${this.#content()}`);
  }

  remove(registry: string): void {
    // After a crash the same file may have two names. Removing one of them is not a removal.
    const visible = this.#visible(registry);
    if (visible === undefined || this.#crashed) return;
    const folder = this.#touch(registry);
    unlinkSync(this.#file(registry));
    if (visible === folder.edit) folder.edit = undefined;
    else if (visible === folder.theirs) folder.theirs = folder.backup;
    folder.backup = undefined;
  }

  removeAll(registry: string): void {
    for (const content of [...this.#earlier.must]) this.#earlier.may.add(content);
    const gone = this.#earlierFiles(registry);
    rmSync(join(this.root, registry), { recursive: true, force: true });
    for (const content of gone) this.#earlier.must.delete(content);
    this.#folders.delete(registry);
  }

  other(registry: string): void {
    if (!existsSync(join(this.root, registry))) return;
    const name = `other-${this.#count++}.pem`;
    writeFileSync(join(this.root, registry, name), name);
    this.#touch(registry).others.set(name, name);
  }

  /** Runs the configurator, which may be killed. */
  async run(run: Run): Promise<void> {
    const before = new Map(REGISTRIES.map((each) => [each, this.#visible(each)]));
    const isCleanup = run.wanted === undefined;
    const mustStay = (each: string): boolean => run.wanted?.includes(each) === true;
    const files = new CrashingFiles(nodeFileOperations, {
      crashAt: run.crashAt ?? Number.POSITIVE_INFINITY,
      done: run.done,
      onOperation: () => {
        for (const [registry, was] of before)
          this.#checkWhole(registry, mustStay(registry) ? was : undefined);
      },
    });
    const configurator = new HostsConfigurator(
      { files, logger: pino({ level: 'silent' }) },
      { path: this.root },
    );
    const wanted = (run.wanted ?? []).map((registry): RegistryHosts => ({
      registry,
      file: { hosts: [{ url: run.target, capabilities: ['pull'] }] },
    }));
    try {
      if (isCleanup) await configurator.cleanup(never);
      else await configurator.configure(wanted, { prependExisting: run.prepend }, never);
      this.#crashed = false;
      this.#pass();
      if (!isCleanup && run.crashAt === undefined) this.#checkConfigured(run);
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.#crashed = true;
      for (const { theirs, edit } of this.#folders.values()) {
        if (theirs !== undefined && edit !== undefined) this.#earlier.may.add(theirs);
      }
      // The killed process also left its lock.
      if (existsSync(this.root)) writeFileSync(join(this.root, '.peerglass-lock.0-1-1-1.0'), '');
    }
  }

  /** Checks the folder after a cleanup. */
  check(): void {
    const expected: Record<string, string> = { '.': 'folder' };
    for (const registry of [...this.#folders.keys()].sort()) {
      const folder = this.#folders.get(registry);
      if (folder === undefined) continue;
      expected[registry] = `folder ${folder.mode.toString(8)}`;
      if (folder.theirs !== undefined) expected[`${registry}/hosts.toml`] = folder.theirs;
      for (const [name, content] of folder.others) expected[`${registry}/${name}`] = content;
    }
    const found: Record<string, string> = {};
    const earlier = new Set<string>();
    for (const [path, what] of Object.entries(fileTree(this.root))) {
      const [kind = '', mode = ''] = what.split(' ');
      const content = what.replace(/^file \S+ \S+ /, '');
      if (/before-peerglass\.\d+$/.test(path)) earlier.add(content);
      else if (path === '.') found[path] = kind;
      else found[path] = kind === 'folder' ? `folder ${mode}` : content;
    }
    const sorted = (tree: Record<string, string>): unknown => Object.entries(tree).sort();
    assert.deepEqual(sorted(found), sorted(expected));
    assert.deepEqual(
      [...this.#earlier.must].filter((content) => !earlier.has(content)),
      [],
    );
    const known = this.#earlier.must.union(this.#earlier.may);
    assert.deepEqual(
      [...earlier].filter((content) => !known.has(content)),
      [],
    );
  }

  #content(): string {
    return `# number ${this.#count++}\n[host."https://there.example"]\n`;
  }

  #make(registry: string, mode: number): void {
    mkdirSync(join(this.root, registry));
    rmSync(join(this.root, registry), { recursive: true });
    mkdirSync(join(this.root, registry), { mode });
    this.#folders.set(registry, {
      mode,
      theirs: undefined,
      edit: undefined,
      backup: undefined,
      others: new Map(),
    });
  }

  #put(registry: string, text: string): void {
    const folder = this.#touch(registry);
    if (this.#visible(registry) !== folder.theirs) folder.backup ??= folder.theirs;
    writeFileSync(join(this.root, 'new'), text);
    renameSync(join(this.root, 'new'), this.#file(registry));
    this.#written.add(text);
    folder.theirs = text;
    folder.edit = undefined;
  }

  /** A folder into which another program writes counts as its own, even if peerglass created it. */
  #touch(registry: string): Folder {
    const mode = statSync(join(this.root, registry)).mode & 0o777;
    const folder = this.#folders.get(registry) ?? {
      mode,
      theirs: undefined,
      edit: undefined,
      backup: undefined,
      others: new Map(),
    };
    this.#folders.set(registry, folder);
    return folder;
  }

  /** Updates the model after a complete run, which has seen every edit. */
  #pass(): void {
    for (const folder of this.#folders.values()) {
      folder.backup = undefined;
      if (folder.edit === undefined) continue;
      if (folder.theirs !== undefined) this.#earlier.must.add(folder.theirs);
      folder.theirs = folder.edit;
      folder.edit = undefined;
    }
  }

  #checkWhole(registry: string, was: string | undefined): void {
    const now = this.#visible(registry);
    if (now === undefined) {
      assert.ok(was === undefined, 'no moment without configuration');
      return;
    }
    const isWhole = this.#written.has(now) || provenanceOf(now, registry).origin === 'ours';
    assert.ok(isWhole, `half a file: ${now}`);
  }

  #checkConfigured({ wanted = [], target }: Run): void {
    for (const registry of wanted) {
      const text = this.#visible(registry);
      assert.ok(text?.includes(`[host.'${target}']`), `${registry} is configured`);
    }
  }

  #earlierFiles(registry: string): string[] {
    const path = join(this.root, registry);
    return (existsSync(path) ? readdirSync(path) : [])
      .filter((name) => /before-peerglass\.\d+$/.test(name))
      .map((name) => readFileSync(join(path, name), 'utf8'));
  }

  #file(registry: string): string {
    return join(this.root, registry, 'hosts.toml');
  }

  #visible(registry: string): string | undefined {
    const file = this.#file(registry);
    return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  }
}
