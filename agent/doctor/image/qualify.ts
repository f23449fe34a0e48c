import { canonicalRegistry, looksLikeRegistry, parseReference } from '../../oci/reference.ts';
import type { Reference } from '../../oci/reference.ts';

/** Docker Hub's folder of images without one. */
const LIBRARY = 'library';

/**
 * An image as people write it, `nginx`, made whole as containerd has it: `docker.io/library/nginx:latest`.
 *
 * @returns `undefined` when it is no name of an image
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

/** The name of the image record that containerd has of it. */
export function nameOf({ registry, repository, tag, digest }: Reference): string {
  const suffix = `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
  return `${registry}/${repository}${suffix}`;
}
