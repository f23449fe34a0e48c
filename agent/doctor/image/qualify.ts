import { canonicalRegistry, looksLikeRegistry, parseReference } from '../../oci/reference.ts';
import type { Reference } from '../../oci/reference.ts';

/** Namespace of Docker Hub's official images. */
const LIBRARY = 'library';

/**
 * Completes a short image name, `nginx`, to the name that containerd uses: `docker.io/library/nginx:latest`.
 *
 * @returns undefined when the text is no image name
 */
export function qualify(text: string): Reference | undefined {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  let name = text;
  if (!looksLikeRegistry(first)) {
    name = `docker.io/${slash < 0 ? `${LIBRARY}/` : ''}${text}`;
  } else if (canonicalRegistry(first) === 'docker.io') {
    const rest = text.slice(slash + 1);
    name = `docker.io/${rest.includes('/') ? '' : `${LIBRARY}/`}${rest}`;
  }
  const reference = parseReference(name);
  if (reference === undefined) return undefined;
  const untagged = reference.tag === undefined && reference.digest === undefined;
  return untagged ? { ...reference, tag: 'latest' } : reference;
}

/** Returns the name of containerd's image record for the reference. */
export function nameOf({ registry, repository, tag, digest }: Reference): string {
  const suffix = `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
  return `${registry}/${repository}${suffix}`;
}
