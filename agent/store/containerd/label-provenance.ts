import type { Digest } from '../../oci/digest.ts';
import { canonicalRegistry } from '../../oci/reference.ts';
import type { Origin, Provenance, RepositoryName } from '../provenance.ts';
import type { ContainerdClient } from './client.ts';

/** Followed by the host without its port. The value has the repositories, separated by commas. */
const SOURCE = 'containerd.io/distribution.source.';
/** Followed by the registry. The value has the repositories, separated by commas. */
const MARK = 'peerglass/imported.';
/** containerd refuses labels whose key and value have more bytes, and then leaves out the name of the repository. */
const MAX_LABEL = 4096;

/**
 * The origin of images by the labels of their manifests. When containerd pulls, from a registry or from a mirror, each
 * blob gets a label with the repository before there is an image record. An import sets none.
 *
 * The label comes with a pull of an imported image too, as with the pull policy `Always`. So an imported manifest is marked
 * by a label of our own.
 *
 * @see containerd, core/remotes/docker/handler.go, AppendDistributionSourceLabel
 */
export class LabelProvenance implements Provenance {
  readonly #client: Pick<ContainerdClient, 'info' | 'label'>;

  constructor(client: Pick<ContainerdClient, 'info' | 'label'>) {
    this.#client = client;
  }

  async origin(digest: Digest, name: RepositoryName, signal?: AbortSignal): Promise<Origin> {
    const labels = (await this.#client.info(digest, signal))?.labels;
    if (labels === undefined) return 'registry';
    if (repositoriesOf(labels[MARK + name.registry]).includes(name.repository)) return 'marked';
    return isPulled(labels, name) ? 'registry' : 'import';
  }

  async mark(digest: Digest, name: RepositoryName, signal?: AbortSignal): Promise<void> {
    const key = MARK + name.registry;
    const labels = (await this.#client.info(digest, signal))?.labels;
    if (labels === undefined) return;
    const known = repositoriesOf(labels[key]);
    if (known.includes(name.repository)) return;
    const value = [...known, name.repository].join(',');
    if (key.length + value.length > MAX_LABEL) return;
    await this.#client.label(digest, key, value, signal);
  }
}

function isPulled(
  labels: Readonly<Record<string, string>>,
  { registry, repository }: RepositoryName,
): boolean {
  const host = hostOf(registry);
  return Object.entries(labels).some(([key, value]) => {
    if (!key.startsWith(SOURCE) || canonicalRegistry(key.slice(SOURCE.length)) !== host)
      return false;
    // Where one more name may not have fitted, the image counts as pulled under any name.
    const isFull = key.length + value.length + repository.length + 1 > MAX_LABEL;
    return isFull || repositoriesOf(value).includes(repository);
  });
}

/** The host of a registry without port and brackets, as containerd writes it into labels. */
function hostOf(registry: string): string {
  const [, address] = /^\[(.*)\](?::\d+)?$/.exec(registry) ?? [];
  return address ?? registry.replace(/:\d+$/, '');
}

function repositoriesOf(value = ''): readonly string[] {
  return value.split(',');
}
